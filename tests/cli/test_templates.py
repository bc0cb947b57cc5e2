"""``--template-dir``: layout of one's own, and nothing but layout."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ipt2np.cli.main import app
from ipt2np.resources import read_template

SAMPLE = Path(__file__).resolve().parents[2] / "samples" / "web-server.v4"
RUNNER = CliRunner()


def converted(folder: Path, *more: str) -> Result:
    return RUNNER.invoke(app, ["convert", str(SAMPLE), "--template-dir", str(folder), "-q", *more])


def test_a_template_of_that_name_stands_in(tmp_path: Path) -> None:
    own = read_template("networkpolicy.yaml.j2").replace("---\n", "---\n# owned by the web team\n")
    (tmp_path / "networkpolicy.yaml.j2").write_text(own)
    done = converted(tmp_path)
    assert done.exit_code == 0
    assert done.stdout.startswith("---\n# owned by the web team\n# ")


def test_templates_that_are_not_there_are_the_tool_s_own(tmp_path: Path) -> None:
    plain = RUNNER.invoke(app, ["convert", str(SAMPLE), "-q", "--cni", "calico"])
    assert converted(tmp_path, "--cni", "calico").stdout == plain.stdout


def test_a_macro_of_the_layout_can_be_replaced_alone(tmp_path: Path) -> None:
    own = read_template("objects.j2").replace("# {{ header | remark }}", "# mine: {{ header | remark }}")
    (tmp_path / "objects.j2").write_text(own)
    assert "# mine: " in converted(tmp_path, "--cni", "antrea").stdout


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{% for %}", "line 1 fails"),
        ("{{ nobody.knows }}", "fails"),
        ("{{ 1 / 0 }}", "fails"),
        ("{{ ''.__class__.__mro__ }}", "fails"),
        ("{% include 'no-such-file' %}", "fails"),
        ("kind: [", "no YAML"),
        ("a: 1\n", "does not keep the objects"),
        ("", "does not keep the objects"),
    ],
)
def test_a_template_that_changes_more_than_the_layout_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "networkpolicy.yaml.j2").write_text(text)
    done = converted(tmp_path)
    assert done.exit_code == 2 and not done.stdout
    assert expected in done.stderr and "Traceback" not in done.stderr


def test_a_folder_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    assert converted(tmp_path / "nowhere").exit_code == 2
