"""Label selectors of Calico: text to expression, and what an expression says of labels that are known in part.

Sources: calico: libcalico-go/lib/selector/parser/ast.go (meaning), tokenizer.go and parser.go (syntax);
https://docs.tigera.io/calico/latest/reference/resources/networkpolicy#selectors
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedInput

from ipt2np.cni.base import PolicyFault
from ipt2np.resources import grammar

LIMIT = 1024
"""Characters of a selector (maxLength in the CRDs)."""
_KEY_LIMIT = 512


@dataclass(frozen=True, slots=True)
class LabelTest:
    """A test of one label: ``has``, ``==``, ``!=``, ``in``, ``not in``, ``contains``, ``starts with``, ``ends with``."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class All:
    """``all()``: holds for every endpoint and network set."""


@dataclass(frozen=True, slots=True)
class Global:
    """``global()``: in a rule's namespaceSelector, what is in no namespace."""


@dataclass(frozen=True, slots=True)
class Not:
    """``!``"""

    operand: Selector


@dataclass(frozen=True, slots=True)
class Both:
    """``&&``"""

    operands: tuple[Selector, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """``||``"""

    operands: tuple[Selector, ...]


Selector = LabelTest | All | Global | Not | Both | Either
Truth = bool | None
"""Whether something holds; None where nobody can say."""


@dataclass(frozen=True)
class Labels:
    """What is known of the labels of an endpoint or a network set."""

    known: Mapping[str, str]
    present: frozenset[str] = frozenset()
    """Keys that are there with a value that nobody knows."""
    absent: frozenset[str] = frozenset()
    """Keys that are not there, although ``open`` would leave them open."""
    open: tuple[str, ...] = ()
    """Prefixes of keys that may be there or not; the empty one leaves every other key open."""

    def test(self, test: LabelTest) -> Truth:
        """Whether ``test`` holds."""
        value = self.known.get(test.key)
        if value is None:
            if test.key in self.present:
                return True if test.operator == "has" else None
            if test.key not in self.absent and test.key.startswith(self.open):
                return None
            return test.operator in ("!=", "not in")
        return _TESTS[test.operator](value, test.values)


_TESTS: Mapping[str, Callable[[str, tuple[str, ...]], bool]] = {
    "has": lambda value, wanted: True,
    "==": lambda value, wanted: value == wanted[0],
    "!=": lambda value, wanted: value != wanted[0],
    "in": lambda value, wanted: value in wanted,
    "not in": lambda value, wanted: value not in wanted,
    "contains": lambda value, wanted: wanted[0] in value,
    "starts with": lambda value, wanted: value.startswith(wanted[0]),
    "ends with": lambda value, wanted: value.endswith(wanted[0]),
}


def holds(selector: Selector, labels: Labels) -> Truth:
    """Whether ``selector`` holds for ``labels``: None where that hangs on a label that nobody knows."""
    match selector:
        case LabelTest():
            return labels.test(selector)
        case All() | Global():
            return True
        case Not(operand):
            inner = holds(operand, labels)
            return None if inner is None else not inner
        case Both(operands):
            found = [holds(operand, labels) for operand in operands]
            return False if False in found else None if None in found else True
        case Either(operands):
            found = [holds(operand, labels) for operand in operands]
            return True if True in found else None if None in found else False


def rewritten(selector: Selector, prefix: str, every: Selector, global_: Selector) -> Selector:
    """The selector with ``prefix`` before the keys of its tests, ``every`` for ``all()``, ``global_`` for ``global()``."""
    match selector:
        case LabelTest():
            return replace(selector, key=prefix + selector.key)
        case All():
            return every
        case Global():
            return global_
        case Not(operand):
            return negated(rewritten(operand, prefix, every, global_))
        case Both(operands):
            return Both(tuple(rewritten(operand, prefix, every, global_) for operand in operands))
        case Either(operands):
            return Either(tuple(rewritten(operand, prefix, every, global_) for operand in operands))


def negated(selector: Selector) -> Selector:
    """The opposite; two negations are none, which keeps a text of nothing but ``!`` and ``(`` flat."""
    return selector.operand if isinstance(selector, Not) else Not(selector)


def conjunction(*selectors: Selector) -> Selector:
    """The selector that holds where all of one or more do."""
    return selectors[0] if len(selectors) == 1 else Both(selectors)


class _Expressions(Transformer[Token, Selector]):
    """Parse tree to expression."""

    def start(self, parts: list[Selector]) -> Selector:
        return parts[0] if parts else All()

    def either(self, parts: list[Selector]) -> Selector:
        return Either(tuple(parts))

    def both(self, parts: list[Selector]) -> Selector:
        return Both(tuple(parts))

    def negation(self, parts: list[Selector]) -> Selector:
        return negated(parts[0])

    def group(self, parts: list[Selector]) -> Selector:
        return parts[0]

    def has(self, parts: list[Token]) -> Selector:
        return LabelTest(_key(parts[0][len("has(") : -1].strip(" \t")), "has")

    def all(self, parts: list[Token]) -> Selector:
        return All()

    def global_(self, parts: list[Token]) -> Selector:
        return Global()

    def comparison(self, parts: list[Token]) -> str:
        return _OPERATORS.get(parts[0].type, str(parts[0]))

    membership = comparison

    def test(self, parts: list[str]) -> Selector:
        key, operator, *texts = parts
        return LabelTest(_key(key), operator, tuple(text[1:-1] for text in texts))


_OPERATORS = {
    "CONTAINS": "contains",
    "STARTS_WITH": "starts with",
    "ENDS_WITH": "ends with",
    "IN": "in",
    "NOT_IN": "not in",
}


def _key(text: str) -> str:
    if len(text) > _KEY_LIMIT:
        raise PolicyFault(f"the label {text[:20]!r}… has more than {_KEY_LIMIT} characters")
    return str(text)


@cache
def _parser() -> Lark:
    return Lark(
        grammar("calico_selector.lark"), parser="lalr", lexer="contextual", transformer=_Expressions()
    )


@lru_cache(maxsize=4096)
def parse(text: str) -> Selector:
    """The expression that a selector's text is. PolicyFault where it is none, or is longer than ``LIMIT``."""
    if len(text) > LIMIT:
        raise PolicyFault(f"a selector of {len(text)} characters, more than {LIMIT}")
    try:
        return _parser().parse(text)  # type: ignore[return-value]
    except UnexpectedInput as error:
        column = error.column if error.column > 0 else len(text) + 1
        raise PolicyFault(f"{text!r} is no selector: column {column}") from None
