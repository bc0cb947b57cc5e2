"""ipt2np: the packet filter of a legacy Linux host as Kubernetes network policy, proven.

The stages, each usable alone, in the order in which data flows::

    ruleset = parse_ruleset(Path("rules.v4").read_bytes(), "rules.v4")     text → Ruleset
    decision = decide([ruleset])                                           Ruleset → Decision
    plan = translate(decision)                                             Decision → PolicyPlan
    fitted = CNIS["kubernetes"].fit(plan, identity, "rules.v4")            PolicyPlan → objects
    text = render(CNIS["kubernetes"], fitted, "a header")                  objects → YAML
    readings = CNIS["kubernetes"].interpret(text, identity, decision.space)  YAML → what it lets through
    proof = prove(decision, readings, fitted.findings)                     both → Proof

``convert`` goes the whole way.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ipt2np.library import *  # noqa: F403

    __version__: str
else:  # What a command does not need it does not load: all of the library takes longer than to print a help text.

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            return _version()
        if name != "__all__" and name.startswith("__"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        library = import_module("ipt2np.library")
        if name == "__all__":
            return [*library.__all__, "__version__"]
        if name not in library.__all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(library, name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__getattr__("__all__")})


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("ipt2np")
    except PackageNotFoundError:  # a source tree that was never installed
        return "0+unknown"
