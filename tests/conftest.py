# SPDX-License-Identifier: Apache-2.0
"""Options of all tests."""
import pytest


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="also run what takes many minutes")


def pytest_collection_modifyitems(config, items):
    for item in items:
        if "long" in item.keywords and not config.getoption("--long"):
            item.add_marker(pytest.mark.skip(reason="needs --long"))
