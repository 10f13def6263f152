# SPDX-License-Identifier: Apache-2.0
"""Every verb has help with an example, its options in a manual page, and completion."""
import re
import subprocess

import pytest

from conftest import ROOT, baton, needs

PAGES = {page.name: page.read_text() for page in (ROOT / "docs/man").glob("*.1")}


def names(text):
    """The verbs in a help text: the first column of the indented lines."""
    return re.findall(r"^  ([a-z][a-z -]*?)  +\S", text, re.M)


def all_verbs():
    found = []
    for verb in names(baton("--help").stdout):
        sub = baton(verb, "--help").stdout
        found += names(sub) if "Usage: baton %s VERB" % verb in sub else [verb]
    return found


def options(verb):
    text = baton(*verb.split(), "--help").stdout
    return set(re.findall(r"^  (?:-\w, )?--([\w-]+)", text, re.M)) - {"help"}


@pytest.fixture(params=all_verbs())
def verb(request):
    return request.param


def test_help_has_usage_options_and_an_example(verb):
    result = baton(*verb.split(), "--help")
    assert result.returncode == 0 and result.stderr == ""
    assert result.stdout.startswith(f"Usage: baton {verb} ")
    example = result.stdout.split("Example:\n")[1]
    assert f"baton {verb}" in example
    assert baton("help", *verb.split()).stdout == result.stdout


def test_examples_use_options_that_exist(verb):
    example = baton(*verb.split(), "--help").stdout.split("Example:\n")[1]
    for line in example.splitlines():
        for part in re.split(r"&&|\|", line):
            words = part.split()
            while words and "=" in words[0]:
                words.pop(0)
            if words[:1] == ["baton"]:
                other = next(v for v in (" ".join(words[1:3]), words[1]) if v in all_verbs())
                assert set(re.findall(r" --([\w-]+)", part)) <= options(other), part


def test_the_manual_has_the_verb_and_its_options(verb):
    assert any(re.search(rf"^\.It Cm {verb}( |$)", page, re.M) for page in PAGES.values())
    assert re.search(rf"^\.It Cm {verb.split()[0]}( |$)", PAGES["baton.1"], re.M)
    described = set(re.findall(r"Fl -([\w-]+)", "".join(PAGES.values())))
    assert options(verb) <= described, options(verb) - described


def test_the_manual_invents_nothing():
    verbs = all_verbs()
    known = {o for v in verbs for o in options(v)} | {"help", "version"}
    described = set(re.findall(r"Fl -([\w-]+)", "".join(PAGES.values())))
    assert described <= known, described - known


@needs("mandoc")
@pytest.mark.parametrize("page", sorted(PAGES))
def test_manual_pages_are_well_formed(page):
    """Whether pages of other packages are there is left out."""
    said = subprocess.run(["mandoc", "-Tlint", page], cwd=ROOT / "docs/man", capture_output=True, text=True).stdout
    assert not [line for line in said.splitlines() if "referenced manual" not in line]


def test_the_documents_have_every_key_of_a_description():
    keys = re.findall(r'^\t\{"(\w+)", parse_', (ROOT / "vmm/spec.c").read_text(), re.M)
    section = re.search(r"^## The machine description$(.*?)^## ", (ROOT / "docs/interfaces.md").read_text(), re.M | re.S)[1]
    assert len(keys) > 40 and not [k for k in keys if not re.search(rf"\b{k}\b", section)]


def complete(line):
    """What bash offers for the line, through the script that is installed."""
    script = f'source {ROOT}/cli/baton.bash; COMP_LINE="$1"; COMP_POINT=${{#COMP_LINE}}; ' \
             'COMP_WORDS=("$0"); _baton; printf "%s\\n" "${COMPREPLY[@]}"'
    from conftest import BATON
    result = subprocess.run(["bash", "-c", script, BATON, line], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0 and result.stderr == ""
    return result.stdout.split()


def test_completion_of_verbs_and_options(verb):
    words = verb.split()
    head = " ".join(["baton", *words[:-1]])
    assert words[-1] in complete(f"{head} {words[-1][:2]}")
    assert set(complete(f"baton {verb} -")) == {f"--{o}" for o in options(verb)} | {"--help"}


def test_completion_of_names(state_home):
    for name in ("web", "work", "db"):
        assert baton("create", name, "--kernel", "/bin/true").returncode == 0
    assert complete("baton start w") == ["web", "work"]
    assert complete("baton start ") == ["db", "web", "work"]
    assert complete("baton stop --timeout 5 d") == ["db"]
    assert complete("baton rename web ") == []
    assert complete("baton frobnicate ") == []
    assert complete("baton ps ") == []
    for snapshot in ("before", "after"):
        assert baton("snapshot", "take", "web", snapshot).returncode == 0
    assert complete("baton snapshot restore w") == ["web", "work"]
    assert complete("baton snapshot restore web ") == ["before", "after"]
    assert complete("baton snapshot delete web a") == ["after"]


def test_wrong_verbs():
    for args in (["frobnicate"], ["help", "frobnicate"], []):
        result = baton(*args)
        assert result.returncode == 1 and "baton --help" in result.stderr
