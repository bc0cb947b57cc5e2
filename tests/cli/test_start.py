"""How much a command loads before it does anything."""

from __future__ import annotations

import subprocess
import sys

import pytest

import ipt2np
from ipt2np import library


def loaded(program: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after ``program``."""
    listed = f"{program}\nimport sys\nprint(*sys.modules)"
    told = subprocess.run(
        [sys.executable, "-c", listed], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    )
    return set(told.stdout.split())


def test_the_command_line_is_there_before_the_library_is_loaded() -> None:
    modules = loaded("import ipt2np.cli.main")
    assert "ipt2np.cli.main" in modules
    assert not {"ipt2np.library", "ipt2np.conversion", "lark", "yaml", "jinja2"} & modules


@pytest.mark.parametrize(
    "arguments",
    [
        ["accept", "-"],
        ["convert", "-", "--report", "report.pdf"],
        ["verify", "-", "policy.yaml", "--report", "report.pdf"],
        ["diff", "-", "-"],
        ["lint", "-", "--ipset", "-"],
    ],
    ids=" ".join,
)
def test_what_needs_no_ruleset_loads_nothing_that_reads_one(arguments: list[str]) -> None:
    modules = loaded(
        f"import sys\nfrom ipt2np.cli.main import app\ntry:\n    app({arguments!r})\nexcept SystemExit as end:\n"
        "    assert end.code == 2"
    )
    assert "ipt2np.reporting.console" in modules
    assert not {"ipt2np.library", "ipt2np.conversion", "ipt2np.semantics", "ipt2np.cni.registry"} & modules
    assert not {"lark", "jinja2"} & modules


def test_a_name_of_the_library_is_there_when_it_is_asked_for() -> None:
    assert "ipt2np.library" in loaded("from ipt2np import convert")
    assert all(getattr(ipt2np, name) is getattr(library, name) for name in library.__all__)
    assert {*library.__all__, "__version__"} <= {*dir(ipt2np)}


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ipt2np.nothing  # type: ignore[attr-defined]
