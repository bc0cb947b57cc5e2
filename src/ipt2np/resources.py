"""Finds the grammars and templates that ship with ipt2np.

An installed wheel holds them inside the package (``ipt2np/grammars``, ``ipt2np/templates``).  In a checkout,
and so in an editable install, they are the folders of the same name at the top of the tree.
"""

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

_PACKAGE = "ipt2np"
_GRAMMARS = "grammars"
_TEMPLATES = "templates"


class ResourceError(LookupError):
    """A file that ships with ipt2np is not where it should be."""


def grammar(name: str) -> str:
    """The text of one grammar, named by its file name, such as ``rules.lark``."""
    return _read(_GRAMMARS, name)


def read_template(name: str) -> str:
    """The text of one template, named by its path below the templates folder."""
    return _read(_TEMPLATES, name)


def template_root() -> Path:
    """The templates folder, for a loader that wants a directory."""
    folder = _folder(_TEMPLATES)
    if not isinstance(folder, Path):
        raise ResourceError(f"the templates are not in a plain folder ({folder}); use read_template()")
    return folder


def _read(kind: str, name: str) -> str:
    folder = _folder(kind)
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise ResourceError(f"not a file name inside {kind}: {name!r}")
    entry = folder.joinpath(*parts)
    if not entry.is_file():
        present = ", ".join(sorted(item.name for item in folder.iterdir())) or "nothing"
        raise ResourceError(f"no {name!r} in {folder} (it holds: {present})")
    return entry.read_text(encoding="utf-8")


def _folder(kind: str) -> Traversable:
    # The checkout comes first: an editable install leaves copies beside its .pth file, and they go stale.
    top = _checkout_top()
    places: list[Traversable] = [] if top is None else [top / kind]
    places.append(files(_PACKAGE).joinpath(kind))
    for place in places:
        if place.is_dir():
            return place
    looked = " nor ".join(str(place) for place in places)
    raise ResourceError(f"the {kind} folder of ipt2np is missing: no {looked}; install ipt2np again")


def _checkout_top() -> Path | None:
    """The top of the source tree this module runs from; None when it runs from an installed wheel."""
    source = Path(__file__).resolve().parents[1]
    top = source.parent
    return top if source.name == "src" and (top / "pyproject.toml").is_file() else None
