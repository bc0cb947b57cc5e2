"""What every target would keep and lose of the same ruleset, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ipt2np.cni.base import SOURCE_CLASSES, Cni
from ipt2np.conversion import Conversion
from ipt2np.errors import TargetLimit
from ipt2np.findings import CATALOGUE, Severity

_MARKS = {Severity.ERROR: "!", Severity.WARNING: "*", Severity.INFO: ""}


def comparison(results: Sequence[tuple[Cni, Conversion | TargetLimit]]) -> str:
    """A table with a line for each target, and below it what its codes stand for; text of several lines."""
    conversions = [each for _, each in results if isinstance(each, Conversion)]
    common = set.intersection(*({finding.code for finding in each.findings} for each in conversions))
    width = max(len(cni.name) for cni, _ in results)
    lines = [f"{'CNI':{width}}  outside   pods      nodes     objects    kB  lost or to know"]
    lines += [
        _line(each, width, common) if isinstance(each, Conversion) else f"{cni.name:{width}}  {each}"
        for cni, each in results
    ]
    lines += ["", *_legend(conversions, common)]
    return "\n".join(lines) + "\n"


def _line(conversion: Conversion, width: int, common: set[str]) -> str:
    verdicts = [conversion.proof.by_class.get(name) for name in SOURCE_CLASSES]
    words = " ".join(f"{verdict.value if verdict else 'open':9}" for verdict in verdicts)
    size = f"{len(conversion.draft.fitted.objects):7} {len(conversion.text) / 1000:5.0f}"
    told = " ".join(_short(code) for code in _sorted({f.code for f in conversion.findings} - common))
    return f"{conversion.draft.cni.name:{width}}  {words} {size}  {told}".rstrip()


def _legend(conversions: Sequence[Conversion], common: set[str]) -> Iterator[str]:
    met = {finding.code for each in conversions for finding in each.findings}
    for code in _sorted(met - common):
        yield f"{_short(code):4} {CATALOGUE[code].title}"
    if common:
        told = ", ".join(code.removeprefix("N2P") for code in sorted(common))
        yield f"With every CNI: {told}; converting for one of them tells more"
    yield "! error, * warning; open: documents leave it open"


def _sorted(codes: set[str]) -> list[str]:
    return sorted(codes, key=lambda code: (-CATALOGUE[code].severity, code))


def _short(code: str) -> str:
    return code.removeprefix("N2P") + _MARKS[CATALOGUE[code].severity]
