"""Skip the whole folder, in one line, where no kernel can be asked; or fail, where it must be."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .host import KernelHost, sweep

_HERE = Path(__file__).parent
_TOOLS = ("ip", "nft", "iptables-nft-restore", "ip6tables-nft-restore")


def _missing() -> str:
    if not sys.platform.startswith("linux"):
        return "not Linux"
    if os.geteuid() != 0:
        return "not root"
    absent = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if absent:
        return "no " + ", ".join(absent)
    try:
        sweep()
        with KernelHost():
            pass
    except Exception as error:
        return f"no namespaces here: {error}"
    return ""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    ours = [item for item in items if _HERE in item.path.parents]
    for item in ours:
        item.add_marker("kernel")
    reason = _missing() if ours else ""
    if not reason:
        return
    line = f"{len(ours)} tests not checked against a real kernel ({reason})"
    if os.environ.get("IPT2NP_REQUIRE_KERNEL") == "1":
        raise pytest.UsageError(f"IPT2NP_REQUIRE_KERNEL=1, but {line}")
    # One test stands for all, so that the report has one line.
    ours[0].add_marker(pytest.mark.skip(reason=line))
    items[:] = [item for item in items if item not in ours[1:]]
    config.hook.pytest_deselected(items=ours[1:])


@pytest.fixture(scope="session")
def host() -> Iterator[KernelHost]:
    """A host with two interfaces and addresses of both families."""
    from .generate import HOST_ADDRESSES

    with KernelHost(HOST_ADDRESSES) as made:
        yield made


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How much the kernel was asked, in one line."""
    from .differential import TALLY

    if TALLY.verdicts:
        terminalreporter.write_line(
            f"kernel judge: {TALLY.verdicts:,} packets of {TALLY.rulesets} loaded rulesets judged, "
            f"{TALLY.comparisons:,} comparisons ({TALLY.certain / TALLY.comparisons:.0%} of them leave no choice), "
            f"{TALLY.mismatches:,} mismatches"
        )
