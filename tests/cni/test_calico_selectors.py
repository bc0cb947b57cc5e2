"""Calico's selectors: what is one, what it says, and what it says of labels that nobody knows."""

from __future__ import annotations

import random

import pytest

from ipt2np.cni.base import PolicyFault
from ipt2np.cni.kinds.calico_selectors import Labels, Truth, holds, parse

from .naive_calico import selects

WEB = {"app": "web", "env": "test-1", "in": "x", "a/b.c-d_e": "", "has": "y"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("all()", True),
        ("all( )", True),
        ("!all()", False),
        ("app == 'web'", True),
        ('app=="web"', True),
        ("app == 'db'", False),
        ("none == ''", False),
        ("app != 'db'", True),
        ("none != 'db'", True),
        ("has(app)", True),
        ("has( app )", True),
        ("!has(none)", True),
        ("!!has(none)", False),
        ("app in {'db', 'web'}", True),
        ("app in {'db', 'web',}", True),
        ("app in {}", False),
        ("none in {'db'}", False),
        ("app not in {'db'}", True),
        ("none not in {'db'}", True),
        ("app notin{'web'}", False),
        ("env contains 'st-'", True),
        ("none contains ''", False),
        ("env starts with 'test'", True),
        ("env startswith 'est'", False),
        ("env ends with '-1'", True),
        ("in in {'x'}", True),
        ("has == 'y'", True),
        ("a/b.c-d_e == ''", True),
        ("app == 'db' || app == 'web' && has(none)", False),
        ("(app == 'db' || app == 'web') && has(env)", True),
        ("app == 'web' || app == 'db' && has(none)", True),
        ("!app == 'db' && has(env)", True),
        ("!(app == 'web' && has(none))", True),
        ("\tapp\t== 'web' ", True),
    ],
)
def test_what_a_selector_says(text: str, expected: bool) -> None:
    assert holds(parse(text), Labels(WEB)) is expected


@pytest.mark.parametrize(
    "text",
    [
        *(
            "app",
            "app = 'web'",
            "app == web",
            "app == 'web",
            "'web' == app",
            "== 'web'",
            "app == 'web' &&",
            "|| all()",
        ),
        *(
            "app == 'a' app == 'b'",
            "app & 'b'",
            "has (app)",
            "has()",
            "has(app",
            "all",
            "(all()",
            "all())",
            "()",
            "!",
        ),
        *(
            "app in 'web'",
            "app in {'a' 'b'}",
            "app in {,}",
            "app in {web}",
            "app not {'a'}",
            "app index {'a'}",
        ),
        *(
            "app\n== 'web'",
            "app == 'web'\n",
            "äpp == 'web'",
            "app starts 'w'",
            "app ! = 'b'",
            "app === 'b'",
            "a == b == c",
        ),
        *(
            "a" * 513 + " == 'b'",
            "has(" + "a" * 513 + ")",
            "(" * 1024,
            "!" * 1024,
            "a == '" + "b" * 1024 + "'",
        ),
    ],
)
def test_what_is_no_selector(text: str) -> None:
    with pytest.raises(PolicyFault):
        parse(text)


def test_a_fault_names_the_column() -> None:
    with pytest.raises(PolicyFault, match="column 9"):
        parse("app ==  web")


@pytest.mark.parametrize(("piece", "negates"), [("!(", True), ("a==''||(", False), ("a==''&&!(", True)])
def test_a_deep_selector_is_read(piece: str, negates: bool) -> None:
    depth = (1024 - len("a==''")) // (len(piece) + 1)
    text = piece * depth + "a==''" + ")" * depth
    assert holds(parse(text), Labels({"a": ""})) is (not negates or depth % 2 == 0)


PARTLY = Labels({"app": "web"}, present=frozenset({"zone"}), absent=frozenset({"pcns.gone"}), open=("pcns.",))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("has(zone)", True),
        ("zone == 'a'", None),
        ("zone != 'a'", None),
        ("has(pcns.x)", None),
        ("!has(pcns.x)", None),
        ("has(pcns.gone)", False),
        ("has(other)", False),
        ("app == 'web' || has(pcns.x)", True),
        ("app == 'db' || has(pcns.x)", None),
        ("app == 'db' && has(pcns.x)", False),
        ("app == 'web' && has(pcns.x)", None),
    ],
)
def test_labels_that_nobody_knows(text: str, expected: Truth) -> None:
    assert holds(parse(text), PARTLY) is expected


def random_selector(rng: random.Random, depth: int = 4) -> str:
    draw = rng.random()
    key, value = rng.choice("abc"), rng.choice(("x", "xy", "y", ""))
    if depth == 0 or draw < 0.45:
        return rng.choice(
            (
                f"{key} == '{value}'",
                f'{key} != "{value}"',
                f"has({key})",
                f"{key} in {{'{value}', 'y'}}",
                f"{key} not in {{'{value}'}}",
                f"{key} contains '{value}'",
                f"{key} starts with '{value}'",
                f"{key} ends with '{value}'",
                "all()",
            )
        )
    parts = [random_selector(rng, depth - 1) for _ in range(2)]
    if draw < 0.6:
        return f"!{parts[0]}" if draw < 0.5 else f"!({parts[0]})"
    if draw < 0.75:
        return f"({parts[0]})"
    return (" && " if draw < 0.88 else "||").join(parts)


def test_random_selectors_as_the_naive_evaluator_has_them() -> None:
    """With labels unknown, the answer is that of every labelling that may be, or None."""
    rng = random.Random(7)
    found: list[Truth] = []
    for _ in range(3000):
        text = random_selector(rng)
        if len(text) > 1024:
            continue
        labels = {key: rng.choice(("x", "xy", "")) for key in "abc" if rng.random() < 0.6}
        assert holds(parse(text), Labels(labels)) is selects(text, labels), text
        hidden = Labels({key: value for key, value in labels.items() if key != "b"}, open=("b",))
        found.append(holds(parse(text), hidden))
        if found[-1] is not None:
            assert found[-1] is selects(text, labels), text
    assert {True, False, None} == set(found)
