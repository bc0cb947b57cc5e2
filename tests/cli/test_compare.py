"""``ipt2np convert RULES --cni all``."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ipt2np import CNIS
from ipt2np.cli.main import app
from ipt2np.cni import aws
from tests.dumps import dump

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
RUNNER = CliRunner()


def lines_of(*arguments: str) -> dict[str, str]:
    """The line of each CNI."""
    done = RUNNER.invoke(app, ["convert", *arguments, "--cni", "all"])
    assert done.exit_code == 0, done.output
    return {line.split()[0]: line for line in done.stdout.splitlines() if line and line.split()[0] in CNIS}


def test_every_cni_has_a_line_with_its_verdicts_and_losses() -> None:
    lines = lines_of(str(SAMPLES / "ufw.v4"))
    assert list(lines) == list(CNIS)
    assert lines["calico"].split()[1:4] == ["equal", "equal", "equal"]
    assert lines["kubernetes"].split()[1:4] == ["narrower", "open", "open"]
    assert lines["flannel"].split()[1:4] == ["wider", "wider", "wider"]
    assert "302*" in lines["kube-router"] and "302" not in lines["antrea"]


def test_what_the_codes_stand_for_is_told_once() -> None:
    done = RUNNER.invoke(app, ["convert", str(SAMPLES / "ufw.v4"), "--cni", "all"])
    assert done.stdout.count("source ports cannot be written") == 1
    assert max(map(len, done.stdout.splitlines())) <= 120


@pytest.mark.parametrize("more", [["-o", "x.yaml"], ["--report", "x.json"], ["--scope", "host"]])
def test_options_of_one_policy_are_refused(
    more: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = RUNNER.invoke(app, ["convert", str(SAMPLES / "ufw.v4"), "--cni", "all", *more])
    assert done.exit_code == 2 and "--cni all" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_limit_of_one_cni_does_not_hide_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "MOST_PREFIXES", 100)
    rng = random.Random(4)
    rules = [
        f"-A INPUT -s 10.{rng.randrange(256)}.{rng.randrange(256)}.{n} -p tcp --dport 22 -j ACCEPT"
        for n in range(1, 200, 2)
    ]
    file = tmp_path / "many.v4"
    file.write_text(dump(*rules))
    lines = lines_of(str(file))
    assert "a pod's table takes 99" in lines["aws-vpc-cni"]
    assert lines["calico"].split()[1] == "equal"
    alone = RUNNER.invoke(app, ["convert", str(file), "--cni", "aws-vpc-cni"])
    assert alone.exit_code == 2 and "prefixes" in alone.stderr and not alone.stdout
