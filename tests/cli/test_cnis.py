"""``ipt2np cnis`` as a user meets it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from ipt2np.cli.main import app
from ipt2np.cni.base import Grade
from ipt2np.cni.features import Feature
from ipt2np.cni.registry import CNIS, HOSTS, REFUSED

GRADES = {grade.value for grade in Grade}


def run(*arguments: str, width: int = 100) -> Result:
    return CliRunner().invoke(app, ["cnis", *arguments], env={"COLUMNS": str(width), "NO_COLOR": "1"})


def shown(text: str) -> dict[str, list[str]]:
    """Grades by feature, of all blocks of a terminal matrix."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        title, *cells = re.split(r" {2,}", line.rstrip())
        if cells and set(cells) <= GRADES:
            found.setdefault(title, []).extend(cells)
    return found


def declared() -> dict[str, list[str]]:
    return {
        feature.title: [cni.capabilities()[feature].grade.value for cni in CNIS.values()]
        for feature in Feature
    }


def texts(value: Any) -> Iterator[str]:
    """Every text of a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)


@pytest.mark.parametrize(("width", "blocks"), [(60, 5), (80, 3), (100, 2), (120, 2), (200, 1)])
def test_the_matrix_folds_into_blocks_that_fit_the_terminal(width: int, blocks: int) -> None:
    result = run(width=width)
    assert result.exit_code == 0
    assert shown(result.stdout) == declared()
    table = result.stdout.partition("\nexact   ")[0]
    assert len(re.findall(r"^source CIDR ", table, re.MULTILINE)) == blocks
    assert max(len(line) for line in table.splitlines()) <= width
    assert "\x1b" not in result.stdout


def test_the_matrix_names_every_cni_over_its_column() -> None:
    lines = run(width=200).stdout.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("source CIDR"))
    places = [match.start() for match in re.finditer(r"\b(exact|partly|not)\b", lines[start])]
    ends = [*places[1:], 200]
    names = ["".join(line[a:b].strip() for line in lines[:start]) for a, b in zip(places, ends, strict=True)]
    assert names == list(CNIS)


def test_colour_comes_only_where_it_is_asked_for() -> None:
    result = CliRunner().invoke(
        app, ["cnis"], env={"COLUMNS": "100", "FORCE_COLOR": "1", "TERM": "xterm"}, color=True
    )
    assert "\x1b[32mexact" in result.stdout
    assert "\x1b[31mnot" in result.stdout


@pytest.mark.parametrize("name", CNIS)
def test_one_cni_is_told_in_full_in_every_format(name: str) -> None:
    cni = CNIS[name]
    terminal, markdown, written = (
        run(name, "--format", each, width=400) for each in ("terminal", "markdown", "json")
    )
    assert {terminal.exit_code, markdown.exit_code, written.exit_code} == {0}
    (plain,) = json.loads(written.stdout)["cnis"]
    wanted = {
        name,
        cni.profile.title,
        *cni.profile.kinds,
        cni.profile.sources,
        cni.client_address,
        *(capability.note for capability in cni.capabilities().values()),
        *(text for limit in cni.profile.limits for text in (limit.what, limit.reference)),
        *(text for effect in cni.platform for text in (effect.statement, effect.reference)),
        *cni.remarks(),
    }
    assert wanted <= set(texts(plain))
    assert [limit["value"] for limit in plain["limits"]] == [limit.value for limit in cni.profile.limits]
    for text in wanted:
        assert text in terminal.stdout
        assert text[1:] in markdown.stdout
    for limit in cni.profile.limits:
        assert f"{limit.value:,}" in terminal.stdout
        assert f"| {limit.value:,} |" in markdown.stdout


@pytest.mark.parametrize("name", HOSTS)
def test_what_differs_where_the_cni_filters_hosts_is_told_below(name: str) -> None:
    pods, host = CNIS[name].capabilities(), HOSTS[name].capabilities()
    for form in ("terminal", "markdown"):
        told = run(name, "--format", form, width=400).stdout.partition(f"{name} --scope host")[2]
        assert all(kind in told for kind in HOSTS[name].profile.kinds)
        for feature in Feature:
            row = re.search(rf"^[| ]+{feature.title}[| ]+{host[feature].grade.value}\b", told, re.MULTILINE)
            assert (row is not None) == (pods[feature] != host[feature]), feature
            assert pods[feature] == host[feature] or host[feature].note in told
    (plain,) = json.loads(run(name, "--format", "json").stdout)["cnis"]
    assert plain["host"]["kinds"] == list(HOSTS[name].profile.kinds)
    assert list(plain["host"]["capabilities"]) == [feature.id for feature in Feature]


def test_a_cni_that_filters_no_hosts_tells_of_pods_alone() -> None:
    assert "--scope host" not in run("weave").stdout
    (plain,) = json.loads(run("weave", "--format", "json").stdout)["cnis"]
    assert "host" not in plain


def test_references_stay_on_one_line_in_a_narrow_terminal() -> None:
    result = run("kube-router", width=60)
    for effect in CNIS["kube-router"].platform:
        assert any(line.strip() == effect.reference for line in result.stdout.splitlines())


def test_json_holds_the_matrix_and_the_refused_kinds() -> None:
    result = run("--format", "json")
    document = json.loads(result.stdout)
    assert (document["schema"], document["command"]) == (1, "cnis")
    assert [each["id"] for each in document["features"]] == [feature.id for feature in Feature]
    assert [each["name"] for each in document["cnis"]] == list(CNIS)
    for each in document["cnis"]:
        assert {key: value["grade"] for key, value in each["capabilities"].items()} == {
            feature.id: capability.grade.value
            for feature, capability in CNIS[each["name"]].capabilities().items()
        }
    assert {each["name"]: each["reason"] for each in document["refused"]} == REFUSED


def test_markdown_holds_the_matrix() -> None:
    lines = run("--format", "markdown").stdout.splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert rows[0][2:] == list(CNIS)
    assert {row[0]: row[2:] for row in rows[2:]} == declared()


def test_an_unknown_name_lists_those_that_there_are() -> None:
    result = run("calicoo")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "calicoo: not known" in result.stderr
    assert all(name in result.stderr for name in CNIS)


@pytest.mark.parametrize("name", [*REFUSED, "ClusterNetworkPolicy"])
@pytest.mark.parametrize("command", [["cnis"], ["convert", "rules.v4", "--cni"]], ids=["cnis", "convert"])
def test_policies_of_the_network_policy_api_are_refused_with_the_reason(
    command: list[str], name: str
) -> None:
    result = CliRunner().invoke(app, [*command, name])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert f"{name}" in result.stderr
    assert "no CIDRs" in result.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_an_error_and_no_traceback() -> None:
    program = [sys.executable, "-c", "from ipt2np.cli.main import run; run()", "cnis"]
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            program, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=120
        )
    assert result.returncode == 2
    assert "standard output cannot be written" in result.stderr
    assert "Traceback" not in result.stderr
