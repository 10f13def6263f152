# SPDX-License-Identifier: Apache-2.0
"""What docs/walkthrough.md promises: a system that is broken and comes back."""
import re

from conftest import ENGINE, ROOT, baton
from test_help import all_verbs, options
from test_lifecycle import info, ok


def test_break_it_and_go_back(start, images, debian_disk, disk_copy):
    ok("create", "web", "--engine", ENGINE, "--memory", "512M", "--kernel", images / "vmlinuz", "--initrd",
       images / "initrd.gz", "--append", "console=ttyS0 root=/dev/vda", "--disk", disk_copy(debian_disk))
    guest = start("start", "web", "--console")
    guest.expect("login: ", 300)
    guest.send("root\n")
    guest.expect(r"root@baton-guest:~# ", 120)
    guest.run("sleep 100000 & echo $! >/root/pid; echo before >/etc/marker; sync", 60)
    ok("snapshot", "take", "web", "clean")
    guest.run("echo after >/etc/marker; rm -rf /etc; ! ls /etc", 120)
    guest.send("\x1d")
    assert guest.wait(10) == 0

    ok("snapshot", "restore", "web", "clean")
    assert info("web")["state"] == "running"
    again = start("console", "web")
    again.send("\n")
    again.expect("# ", 60)
    assert again.run("cat /etc/marker", 60).strip() == "before"
    again.run("kill -0 $(cat /root/pid) && ls /etc/passwd", 60)
    ok("stop", "web", "--force")
    again.wait(20)
    ok("snapshot", "delete", "web", "clean")
    ok("delete", "web", "--disks")


def test_its_commands_exist():
    text = (ROOT / "docs/walkthrough.md").read_text().replace("\\\n", "")
    commands = re.findall(r"^    \$ baton (.*?)(?:#.*)?$", text, re.M)
    assert len(commands) > 15
    for command in commands:
        words = command.split()
        verb = next(v for v in (" ".join(words[:2]), words[0]) if v in all_verbs())
        assert set(re.findall(r"--([\w-]+)", command)) <= options(verb), command


def test_its_definition_is_accepted(state_home, tmp_path):
    """The command of the section "Define it", with a disc of our own."""
    (tmp_path / "debian-12-netinst.iso").write_bytes(bytes(1 << 20))
    text = (ROOT / "docs/walkthrough.md").read_text().replace("\\\n", "")
    command = re.search(r"\$ baton (create web .*?) --title", text).group(1)
    result = baton(*command.split(), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert info("web")["definition"]["disks"][0]["path"].endswith("/web/disk0.qcow2")
