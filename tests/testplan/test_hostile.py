"""Whatever a ruleset is called and says: every form of a plan shows it, and obeys none of it."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from ipt2np import Options, convert, parse_ruleset
from ipt2np.testplan import TestPlan, plan_probes
from ipt2np.testplan.jsonplan import json_plan
from ipt2np.testplan.netassert import Resource, netassert_tests
from ipt2np.testplan.shell import quoted, shell_script
from ipt2np.testplan.table import show_plan
from tests.cli.test_hostile import HOSTILE, clean, one_line, with_comment
from tests.cli.test_hostile import quoted as as_saved

SOURCE, TARGET = Resource("pod", "client", "tools"), Resource("deployment", "web", "shop")
TEXTS = (
    *(text for text in HOSTILE if "\n" not in text),
    "'; touch pwned; '",
    "$(touch pwned)",
    "`touch pwned`",
    "@PROBES@ @HEADER@",
    "${IFS}",
)


def forms(text: str, file: str) -> tuple[TestPlan, dict[str, str]]:
    conversion = convert([parse_ruleset(text.encode("utf-8", "surrogatepass"), file)], Options(cni="calico"))
    plan = plan_probes(conversion, 15)
    table = io.StringIO()
    show_plan(Console(file=table, width=200, highlight=False, emoji=False), plan, f"title of {file}")
    return plan, {
        "table": table.getvalue(),
        "json": json_plan(plan, conversion, "1"),
        "sh": shell_script(plan, f"title of {file}"),
        "netassert": netassert_tests(plan, f"title of {file}", SOURCE, TARGET),
    }


def check(text: str, file: str, plain: str, folder: Path) -> None:
    plan, written = forms(text, file)
    other, expected = forms(plain, "rules.v4")
    assert [(case.source, case.packet, case.host, case.pod) for case in plan.cases] == [
        (case.source, case.packet, case.host, case.pod) for case in other.cases
    ]
    assert all(clean(each) for each in written.values())
    assert written["json"].isascii() and len(json.loads(written["json"])["cases"]) == len(plan.cases)
    assert yaml.safe_load(written["netassert"]) == yaml.safe_load(expected["netassert"])
    assert len(written["table"].splitlines()) >= len(plan.cases)
    script = folder / "plan.sh"
    script.write_text(written["sh"])
    done = subprocess.run(
        ["sh", str(script), "--side", "old", "--target", "192.0.2.1", "--nc", "false"],
        capture_output=True, text=True, cwd=folder, stdin=subprocess.DEVNULL, timeout=60, check=False,
        env={"PATH": "/usr/bin:/bin", "PING": "false"},
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "unexpected" not in done.stderr and "not found" not in done.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["plan.sh"]
    assert len(re.findall(r"^(?:not )?ok \d", done.stdout, re.MULTILINE)) == len(plan.cases)


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_a_comment_may_hold_anything(text: str, tmp_path: Path) -> None:
    check(with_comment(as_saved(one_line(text))), "rules.v4", with_comment("plain"), tmp_path)


@pytest.mark.parametrize("text", [text for text in TEXTS if text], ids=ascii)
def test_a_file_may_be_called_anything(text: str, tmp_path: Path) -> None:
    check(with_comment("plain"), text, with_comment("plain"), tmp_path)


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_a_quoted_text_is_one_word_of_a_shell(text: str) -> None:
    text = text.replace("\x00", "").encode("utf-8", "ignore").decode()
    done = subprocess.run(
        ["sh", "-c", f"printf %s {quoted(text)}"], capture_output=True, check=True, timeout=20
    )
    assert done.stdout.decode() == text


@pytest.mark.parametrize("shell", ["dash", "busybox ash", "bash --posix"])
def test_the_script_is_read_by_every_shell(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell.split()[0]) is None:
        pytest.skip(f"no {shell}")
    script = tmp_path / "plan.sh"
    script.write_text(forms(with_comment(as_saved("it's $(id)")), "rules.v4")[1]["sh"])
    done = subprocess.run([*shell.split(), "-n", str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_script_is_clean_for_shellcheck(tmp_path: Path) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("no shellcheck")
    script = tmp_path / "plan.sh"
    script.write_text(forms(with_comment(as_saved("it's $(id) `id`")), "rules.v4")[1]["sh"])
    done = subprocess.run(["shellcheck", str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
