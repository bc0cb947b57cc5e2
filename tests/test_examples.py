"""Every finding has an example that meets it: run as a user would run it."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path

import pytest

from ipt2np.cli.example import printed
from ipt2np.errors import InternalError
from ipt2np.findings import CATALOGUE
from ipt2np.findings.examples import EXAMPLES, WITHOUT, Example

DOCUMENTATION = [
    ipaddress.ip_network(text)
    for text in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
]
"""RFC 5737 and RFC 3849."""
OF_NOBODY = [ipaddress.ip_network(text) for text in ("10.0.0.0/8", "127.0.0.0/8", "::ffff:0:0/96")]


def test_every_code_has_an_example_or_a_reason_why_not() -> None:
    assert set(EXAMPLES) | set(WITHOUT) == set(CATALOGUE)
    assert not set(EXAMPLES) & set(WITHOUT)


def test_few_codes_go_without() -> None:
    assert len(WITHOUT) <= 5
    assert all(reason[:1].isupper() and reason.endswith(".") for reason in WITHOUT.values())


@pytest.mark.parametrize(("code", "example"), EXAMPLES.items(), ids=list(EXAMPLES))
def test_an_example_has_its_finding_where_it_says(code: str, example: Example) -> None:
    head, *more = printed(code, example).splitlines()
    assert head.startswith(f"{CATALOGUE[code].severity.word} {code} ")
    assert more and more[-1].startswith("    → ")
    place = re.match(r"\w+ \w+ (\S+):(\d+): ", head)
    name, line = example.place
    assert (place and (place[1], int(place[2]))) == ((name, line) if line else None)
    if len(more) > 1:
        # Rules are shown without the counters of the dump.
        assert more[0].strip() == re.sub(r"^\[\d+:\d+\] ", "", example.texts[name].splitlines()[line - 1])


@pytest.mark.parametrize(("code", "example"), EXAMPLES.items(), ids=list(EXAMPLES))
def test_an_example_is_complete_and_of_no_real_host(code: str, example: Example) -> None:
    assert set(example.files) <= set(example.options)
    for name, text in example.texts.items():
        assert Path(name).name == name
        assert text.endswith("\n") and "`" * 3 not in text
        for word in set(re.findall(r"(?<![\w.:])[0-9a-f]*[.:][0-9a-f.:]*[0-9a-f](?![\w.])", text)):
            address = _address(word)
            if address is not None:
                assert any(address in net for net in [*DOCUMENTATION, *OF_NOBODY]), (code, word)


def _address(word: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(word.removesuffix(":"))
    except ValueError:
        return None


def test_an_example_s_rules_are_those_that_matter() -> None:
    assert max(len(example.rules.splitlines()) for example in EXAMPLES.values()) <= 16


def test_examples_look_the_same_whatever_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = printed("N2P201", EXAMPLES["N2P201"])
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "30")
    assert printed("N2P201", EXAMPLES["N2P201"]) == plain


def test_an_example_runs_in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.v4").write_text("mine")
    printed("N2P201", EXAMPLES["N2P201"])
    assert Path.cwd() == tmp_path
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_an_example_of_another_finding_is_noticed() -> None:
    with pytest.raises(InternalError, match="N2P409"):
        printed("N2P409", EXAMPLES["N2P201"])


def test_an_example_is_typed_as_a_shell_takes_it() -> None:
    example = Example("", ("--assume", "set:a b=empty"), command="lint")
    assert example.command_line == "ipt2np lint rules.v4 --assume 'set:a b=empty'"
