"""What objects of every kind are given: metadata that says where they come from, chunks within a size, names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

from ipt2np.cni.base import Identity, Object
from ipt2np.rules.model import Rule
from ipt2np.text import printable

OBJECT_BYTES = 700_000
"""Split above this: an API server takes 1.5 MiB (etcd --max-request-bytes), annotations and comments aside."""
CLIENT_SIDE_BYTES = 250_000
"""Above this kubectl's client-side apply fails: it keeps the object in an annotation of at most 256 KiB."""
FIRST_RULES = 20
SET_LABEL = "ipt2np/set"


def size_of(value: Any) -> int:
    """Bytes of a value as compact JSON, which is what an API server stores."""
    return len(json.dumps(value))


def digest(text: str) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def set_label(identity: Identity) -> str:
    """The label value that objects of one policy share: its name, or the name's beginning with a digest."""
    name = identity.name
    return name if len(name) <= 63 else f"{name[:52].rstrip('-.')}-{digest(name)[:10]}"


def chunk_name(identity: Identity, content: Any) -> str:
    """The name of one of several objects, by its content: the same content has the same name in every run."""
    return f"{identity.name[:230].rstrip('-.')}-{digest(json.dumps(content))[:10]}"


def origin_notes(behind: Sequence[Rule], source_note: str) -> dict[str, str]:
    """Where an object comes from: files, how many rules, a digest of them, the first of them."""
    places = [f"{rule.location.file}:{rule.location.line}" for rule in behind]
    result = {
        "ipt2np/source": printable(source_note, 1000),
        "ipt2np/rules": str(len(behind)),
        "ipt2np/rules-digest": digest(
            "\n".join(f"{place} {rule.text}" for place, rule in zip(places, behind, strict=True))
        )[:16],
    }
    if places:
        more = f" and {len(places) - FIRST_RULES} more" if len(places) > FIRST_RULES else ""
        result["ipt2np/first-rules"] = (
            ", ".join(printable(place[-200:], 1000) for place in places[:FIRST_RULES]) + more
        )
    return result


def in_runs(items: Sequence[Any], room: int, size: Callable[[Any], int] = size_of) -> list[list[Any]]:
    """``items`` in runs of at most ``room`` bytes each, or one item where that alone is larger."""
    runs: list[list[Any]] = [[]]
    filled = 0
    for item in items:
        bytes_of = size(item)
        if runs[-1] and filled + bytes_of > room:
            runs.append([])
            filled = 0
        runs[-1].append(item)
        filled += bytes_of
    return runs


def too_large_for_client_side(objects: Sequence[Object]) -> bool:
    """True where some object does not fit into the annotation that kubectl's client-side apply keeps."""
    return any(size_of(each) > CLIENT_SIDE_BYTES for each in objects)
