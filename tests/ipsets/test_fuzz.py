"""Whatever text comes as a dump of ipsets: sets, or an InputError with places; in time and memory that its length bounds."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ipt2np import InputError
from ipt2np.syntax.ipset import parse_ipsets

from .strategies import TYPES

_OPTIONS = (
    "family", "inet", "inet6", "-6", "timeout", "5", "range", "1-9", "10.0.0.0/24", "netmask", "24", "bitmask",
    "255.0.255.0", "markmask", "0xff", "counters", "size", "9" * 30,
)  # fmt: skip
_CREATES = st.tuples(
    st.sampled_from(("s", "t", "l", "-x", '"')),
    st.sampled_from((*TYPES, "list:set", "hash:frob", "iphash", "ipporthash", "")),
    st.lists(st.sampled_from(_OPTIONS), max_size=4).map(" ".join),
).map(lambda parts: "create " + " ".join(parts))
_ADDS = st.tuples(
    st.sampled_from(("add s ", "add t ", "add l ", "-A s ")),
    st.text(
        st.sampled_from("0123456789abcdef.:/,-[]+ \"'\\%\x00\ttcpudpicmphysdev\u0660\ufeff"), max_size=24
    ),
    st.sampled_from(("", " nomatch", " wildcard", " timeout 4", ' comment "x', " before s")),
).map("".join)
_OTHERS = st.sampled_from(
    (
        "flush",
        "flush s",
        "destroy t",
        "swap s t",
        "quit",
        "COMMIT",
        "add l s",
        "add l l",
        "# x",
        "",
        "del s 1",
    )
)
_LINES = st.lists(_CREATES | _ADDS | _OTHERS | st.text(max_size=20), max_size=12).map("\n".join)
DATA = _LINES.map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary(max_size=80)


@settings(max_examples=600, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(DATA)
def test_whatever_comes_is_a_result_or_an_input_error(data: bytes) -> None:
    try:
        found = parse_ipsets(data, "sets")
    except InputError as error:
        assert error.problems
        for problem in error.problems:
            assert problem.message and problem.location.file == "sets"
            assert 0 <= problem.location.column <= len(problem.text) + 2
            assert problem.width >= 1
    else:
        assert found


@pytest.mark.parametrize(
    "line",
    [
        "add s " + "1" * 50_000,
        "add s " + "1.2.3.4," * 20_000,
        "add s " + "-" * 50_000,
        'add s 1.2.3.4 comment "' + "x " * 30_000,
        "add s 1.2.3.4" + " timeout" * 20_000,
        "add s " + "[" * 50_000,
        "create t hash:ip " + "timeout 5 " * 10_000,
        "x" * 100_000,
        '"' * 50_001,
        " " * 100_000 + "x",
    ],
)
def test_a_line_may_be_as_long_as_it_likes(line: str) -> None:
    with pytest.raises(InputError):
        parse_ipsets(f"create s hash:net,port\n{line}\n".encode(), "sets")
