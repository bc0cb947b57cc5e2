"""Standard output and standard error that take no more."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
RULES = str(SAMPLES / "web-server.v4")
COMMANDS = (
    ("verify", RULES, str(SAMPLES / "web-server.yaml")),
    ("diff", RULES, str(SAMPLES / "mail-server.v4")),
    ("lint", str(SAMPLES / "mail-server.v4")),
    ("explain", RULES, "--from", "192.0.2.1", "--to", "443/tcp"),
    ("testplan", RULES, "--max", "3"),
)

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


@pytest.mark.parametrize("words", COMMANDS, ids=[words[0] for words in COMMANDS])
@pytest.mark.parametrize("both", [False, True], ids=["stdout", "both"])
def test_a_full_disk_is_bad_usage_and_no_fault_of_the_program(words: Sequence[str], both: bool) -> None:
    command = [sys.executable, "-m", "ipt2np.cli.main", *words]
    with Path("/dev/full").open("wb") as full:
        errors = full if both else subprocess.PIPE
        done = subprocess.run(command, stdout=full, stderr=errors, check=False, timeout=120)
    assert done.returncode == 2
    assert both or b"error: standard output cannot be written" in done.stderr
    assert both or b"Traceback" not in done.stderr
