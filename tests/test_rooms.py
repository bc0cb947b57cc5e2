"""One direction: each room of the program imports only rooms that stand before it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]
PACKAGE = TOP / "src" / "ipt2np"
COMMON = ("errors", "text", "resources", "files", "sourcefile")
ROOMS = (
    "packets",
    "rules",
    "frames",
    "syntax",
    "semantics",
    "planning",
    "findings",
    "cni",
    "lint",
    "policies",
    "proof",
    "conversion",
    "review",
    "testplan",
    "reporting",
    "cli",
)
OFFERED = ("__init__", "library")
"""What other programs import: the library's names, of every room but those for output."""


def files_of(room: str) -> list[Path]:
    """The Python files of a room."""
    return sorted((PACKAGE / room).rglob("*.py")) or [PACKAGE / f"{room}.py"]


def imported(file: Path) -> Iterator[tuple[int, str]]:
    """Line and room of every import from the program itself, those in functions and for types included."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "ipt2np":
            names = [f"ipt2np.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [str(node.module)]
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            if package == "ipt2np" and rest:
                yield node.lineno, rest.partition(".")[0]


def test_every_file_of_the_program_is_in_a_room() -> None:
    found = {path.name.removesuffix(".py") for path in PACKAGE.iterdir() if path.name != "__pycache__"}
    pure = {name for name in found if (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").exists()}
    assert pure == {*COMMON, *ROOMS, *OFFERED}


@pytest.mark.parametrize("room", [*COMMON, *ROOMS])
def test_a_room_imports_only_rooms_before_it(room: str) -> None:
    before = {*COMMON, *ROOMS[: ROOMS.index(room) + 1]} if room in ROOMS else {*COMMON}
    backwards = [
        f"{file.relative_to(TOP)}:{line}: {name}"
        for file in files_of(room)
        for line, name in imported(file)
        if name not in before and not name.startswith("__")
    ]
    assert backwards == []


def test_the_rooms_stand_in_the_architecture_in_this_order() -> None:
    text = (TOP / "docs" / "architecture.md").read_text("utf-8")
    told = text.partition("A room imports only what stands before it:")[2].partition("(`tests/")[0]
    assert [part.removesuffix(".py") for part in told.split("`")[1::2]] == list(ROOMS)
