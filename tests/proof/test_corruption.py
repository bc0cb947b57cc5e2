"""A policy spoilt on its way to the file never leaves the house: every change of meaning ends in an internal error.

What counts as a change is for ``tests.proof.meaning`` to say, which knows nothing of ``ipt2np``.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from ipt2np import Conversion, Draft, InDoubt, InternalError, OtherFamily, conclude
from ipt2np import render as rendered
from ipt2np.cli.main import app
from tests.sample_hosts import FOLDER, HOSTS, IDENTITY, drafted

from .corruptions import CORRUPTIONS, REWRITINGS, corrupted, mangled
from .meaning import Change, Documents, changed, dumped

CASES = [
    *((host, InDoubt.DENY, OtherFamily.DENY) for host in HOSTS),
    # Undecided rules, taken the open way; and both families from one dump.
    *(
        (host, InDoubt.ALLOW, OtherFamily.DENY)
        for host in ("odd-matches.v4", "two-interfaces.v4", "mail-server.v6", "docker-host.v4")
    ),
    *(
        (host, InDoubt.DENY, OtherFamily.SAME)
        for host in ("web-server.v4", "ban-list.v4", "subnet-with-a-hole.v4")
    ),
]
IDS = [f"{host} {in_doubt.value} {other.value}" for host, in_doubt, other in CASES]
MANGLED = 14
"""Raw texts spoilt for each case."""


@cache
def documents_of(draft: int) -> Documents:
    return list(yaml.safe_load_all(drafted(*CASES[draft]).text))


def attempt(draft: Draft, text: str) -> Conversion | str:
    """The conversion, or what the internal error says. Any other exception is a fault of its own."""
    try:
        return conclude(draft, text)
    except InternalError as error:
        return str(error)


def assert_judged(draft: Draft, text: str, change: Change, what: str) -> bool:
    """The conclusion is what the change calls for; True where the text was refused."""
    outcome = attempt(draft, text)
    refused = isinstance(outcome, str)
    if change in (Change.MEANING, Change.REFUSED):
        assert refused, f"{what}: {change.value}, and it went through\n{text}"
    elif change is Change.NONE:
        assert not refused, f"{what}: {change.value}, and it was refused: {outcome}\n{text}"
    return refused


@cache
def spoilt_objects(case: int) -> list[tuple[str, str, Change]]:
    """Every corruption that finds something to spoil: its name, the text, what became of the meaning."""
    chance = random.Random(IDS[case])
    result = []
    for name, corruption in CORRUPTIONS.items():
        spoilt = corrupted(corruption, chance, documents_of(case))
        if spoilt is not None and spoilt != documents_of(case):
            result.append((name, dumped(spoilt), changed(documents_of(case), spoilt, IDENTITY)))
    return result


@pytest.mark.parametrize("case", range(len(CASES)), ids=IDS)
def test_no_corruption_of_the_objects_goes_through(case: int) -> None:
    for name, text, change in spoilt_objects(case):
        assert_judged(drafted(*CASES[case]), text, change, name)
    assert sum(change in (Change.MEANING, Change.REFUSED) for _, _, change in spoilt_objects(case)) >= 15


@pytest.mark.parametrize("case", range(len(CASES)), ids=IDS)
def test_another_way_to_write_the_same_goes_through(case: int) -> None:
    draft, documents = drafted(*CASES[case]), documents_of(case)
    chance = random.Random(IDS[case])
    for name, rewriting in REWRITINGS.items():
        other = corrupted(rewriting, chance, documents)
        if other is not None:
            assert changed(documents, other, IDENTITY) is Change.NONE, name
            assert_judged(draft, dumped(other), Change.NONE, name)


@pytest.mark.parametrize("case", range(len(CASES)), ids=IDS)
def test_no_corruption_of_the_text_goes_through(case: int) -> None:
    draft, documents = drafted(*CASES[case]), documents_of(case)
    chance = random.Random(f"text {IDS[case]}")
    for _ in range(MANGLED):
        text = mangled(chance, draft.text)
        try:
            read = [document for document in yaml.safe_load_all(text) if document is not None]
        except (yaml.YAMLError, ValueError):
            change = Change.REFUSED
        else:
            change = changed(documents, read, IDENTITY)
        if change is Change.NONE and has_a_key_twice(text):
            continue  # an API server may refuse it, and may not
        assert_judged(draft, text, change, "raw text")


class _OneOfEach(yaml.SafeLoader):
    """Refuses a mapping that has a key twice."""


def _mapping(loader: _OneOfEach, node: yaml.MappingNode) -> object:
    keys = [key.value for key, _ in node.value]
    if len(set(keys)) < len(keys):
        raise yaml.YAMLError("a key twice")
    return loader.construct_mapping(node, deep=True)


_OneOfEach.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def has_a_key_twice(text: str) -> bool:
    try:
        list(yaml.load_all(text, Loader=_OneOfEach))
    except (yaml.YAMLError, ValueError):
        return True
    return False


def test_hundreds_of_corruptions_are_tried_and_most_change_the_meaning() -> None:
    """What the tests above rest on: 300 and more changes of meaning, of every kind, on every host."""
    met: Counter[Change] = Counter()
    kinds: dict[str, set[Change]] = {name: set() for name in CORRUPTIONS}
    for case in range(len(CASES)):
        for name, _, change in spoilt_objects(case):
            met[change] += 1
            kinds[name].add(change)
    assert met[Change.MEANING] >= 300
    assert met[Change.REFUSED] >= 100
    assert [name for name, changes in kinds.items() if not changes & {Change.MEANING, Change.REFUSED}] == []


def test_the_judge_sees_single_packets() -> None:
    """The oracle itself: one address, one port, a source that cannot be, another protocol."""
    (policy,) = yaml.safe_load_all(drafted("subnet-with-a-hole.v4").text)

    def with_rules(*rules: object) -> Documents:
        return [{**policy, "spec": {**policy["spec"], "ingress": list(rules)}}]

    def peers(cidr: str, *excepts: str) -> list[object]:
        return [{"ipBlock": {"cidr": cidr, **({"except": list(excepts)} if excepts else {})}}]

    services = [{"protocol": name} for name in ("TCP", "UDP", "SCTP")]
    plain = with_rules({"from": peers("10.0.0.0/8")})
    for other, expected in (
        (with_rules({"from": peers("10.0.0.0/8", "10.1.2.3/32")}), Change.MEANING),
        (with_rules({"from": peers("10.0.0.0/9") + peers("10.128.0.0/9")}), Change.NONE),
        (with_rules({"from": peers("10.0.0.0/8") + peers("127.0.0.0/8") + peers("ff00::/8")}), Change.NONE),
        (with_rules({"from": peers("10.0.0.0/8") + peers("128.0.0.0/32")}), Change.MEANING),
        (with_rules({"from": peers("10.0.0.0/8") + peers("::2/128")}), Change.MEANING),
        (with_rules({"from": peers("10.0.0.0/8"), "ports": services}), Change.OTHER_PROTOCOLS),
        (with_rules({"from": peers("10.0.0.0/8"), "ports": services[:2]}), Change.MEANING),
        (with_rules({"from": peers("10.0.0.0/8", "10.0.0.0/8")}), Change.REFUSED),
        (with_rules({"from": peers("10.0.0.1/8")}), Change.REFUSED),
        ([], Change.MEANING),
    ):
        assert changed(plain, other, IDENTITY) is expected, other


# -- through the command line ------------------------------------------------------------------------


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["convert", *arguments])
    return result.exit_code, result.stdout, result.stderr


def spoil_rendering(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Between rendering and reading back, something goes wrong."""

    def render(*arguments: Any) -> str:
        spoilt = corrupted(
            CORRUPTIONS[name], random.Random(1), list(yaml.safe_load_all(rendered(*arguments)))
        )
        assert spoilt is not None
        return dumped(spoilt)

    monkeypatch.setattr("ipt2np.conversion.render", render)


@pytest.mark.parametrize(
    ("host", "corruption"),
    [
        *(("file-server-ranges.v4", name) for name in ("one peer less", "a port one up", "another kind")),
        *(
            ("subnet-with-a-hole.v4", name)
            for name in ("no excepts", "an except longer or shorter", "no from")
        ),
        *(("docker-host.v4", name) for name in ("another protocol", "another namespace", "egress only")),
        *(("odd-matches.v4", name) for name in ("an empty rule more", "a policy less")),
    ],
)
def test_the_command_writes_nothing_and_exits_with_3(
    host: str, corruption: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil_rendering(monkeypatch, corruption)
    new, old, report = tmp_path / "new.yaml", tmp_path / "old.yaml", tmp_path / "report.json"
    old.write_text("what was there before\n")
    for output in (new, old):
        status, stdout, stderr = run(str(FOLDER / host), "-o", str(output), "--report", str(report))
        assert status == 3
        assert stdout == ""
        assert "internal error" in stderr
        assert "Nothing was written" in stderr
        assert "Traceback" not in stderr
    assert old.read_text() == "what was there before\n"
    assert [path.name for path in tmp_path.iterdir()] == ["old.yaml"]


def test_standard_output_stays_empty_too(monkeypatch: pytest.MonkeyPatch) -> None:
    spoil_rendering(monkeypatch, "one service less")
    status, stdout, stderr = run(str(FOLDER / "file-server-ranges.v4"))
    assert status == 3
    assert stdout == ""
    assert "internal error" in stderr


def test_the_same_command_works_unspoilt(tmp_path: Path) -> None:
    status, _, _ = run(str(FOLDER / "file-server-ranges.v4"), "-o", str(tmp_path / "new.yaml"))
    assert status == 0
    assert (tmp_path / "new.yaml").read_text().startswith("---\n")


# -- faults that no packet shows ---------------------------------------------------------------------


def test_two_objects_of_one_name_do_not_add_up() -> None:
    """An API server keeps one object of a name: the second takes the place of the first."""
    draft = drafted("file-server-ranges.v4")
    (policy,) = yaml.safe_load_all(draft.text)
    rules = policy["spec"]["ingress"]
    halves = [{**policy, "spec": {**policy["spec"], "ingress": part}} for part in (rules[:1], rules[1:])]
    named_apart = [
        {**half, "metadata": {**half["metadata"], "name": f"part-{n}"}} for n, half in enumerate(halves)
    ]
    assert not isinstance(attempt(draft, dumped(named_apart)), str)
    assert isinstance(attempt(draft, dumped(halves)), str)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(
            lambda text: text.replace("kind: NetworkPolicy", "kind: 2020-99-99"), id="a day that is none"
        ),
        pytest.param(
            lambda text: text.replace("protocol: TCP", "protocol: [TCP]"), id="a list for a protocol"
        ),
        pytest.param(
            lambda text: text.replace("matchLabels:", "matchExpressions: [5]\n    matchLabels:"),
            id="a number for an expression",
        ),
        pytest.param(lambda text: "\x00" + text, id="a control character"),
        pytest.param(lambda text: text + "\n---\n- a list\n", id="a list for an object"),
        pytest.param(lambda text: "{" + text, id="no YAML"),
    ],
)
def test_nonsense_is_an_internal_error_and_no_other_exception(spoil: Callable[[str], str]) -> None:
    draft = drafted("file-server-ranges.v4")
    assert spoil(draft.text) != draft.text
    assert isinstance(attempt(draft, spoil(draft.text)), str)
