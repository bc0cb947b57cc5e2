"""Where network-config-analyzer is missing, say in one line what was not checked, or fail."""

from __future__ import annotations

import os

import pytest

from .reading import available

_MISSING = (
    "network-config-analyzer is not installed: "
    "NetworkPolicy YAML was NOT checked against a second, independent analyser"
)
_failed = pytest.StashKey[bool]()


@pytest.fixture
def analyzer() -> None:
    """To be asked for by every test that calls ``read``; see ``pytest_runtest_setup``."""


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs the analyser and cannot have it.

    IPT2NP_REQUIRE_ANALYZER=1 makes the first of them fail; once is enough, and the rest is skipped.  The
    skip is raised here and not in the fixture, as pytest then sums up all of them in a single line.
    """
    if "analyzer" not in getattr(item, "fixturenames", ()) or available():
        return
    if os.environ.get("IPT2NP_REQUIRE_ANALYZER") == "1" and not item.config.stash.get(_failed, False):
        item.config.stash[_failed] = True
        pytest.fail(f"{_MISSING}, and IPT2NP_REQUIRE_ANALYZER=1 demands it", pytrace=False)
    pytest.skip(_MISSING)
