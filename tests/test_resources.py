"""Where the grammars and templates are found: in the checkout, in an installed package, or nowhere."""

import zipfile
from pathlib import Path

import pytest

from ipt2np import resources

TOP = Path(__file__).resolve().parents[1]


def _package_at(monkeypatch: pytest.MonkeyPatch, package: Path | zipfile.Path, module: Path) -> None:
    monkeypatch.setattr(resources, "files", lambda _name: package)
    monkeypatch.setattr(resources, "__file__", str(module))


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package folder outside any checkout, as an installed wheel has it."""
    package = tmp_path / "site-packages" / "ipt2np"
    package.mkdir(parents=True)
    _package_at(monkeypatch, package, package / "resources.py")
    return package


def test_a_checkout_uses_the_folders_at_its_top() -> None:
    assert resources.template_root() == TOP / "templates"
    for path in (TOP / "grammars").iterdir():
        assert resources.grammar(path.name) == path.read_text(encoding="utf-8")


def test_an_installed_package_uses_its_own_folders(installed: Path) -> None:
    (installed / "grammars").mkdir()
    (installed / "grammars" / "rules.lark").write_text("start: WORD\n", encoding="utf-8")
    (installed / "templates" / "report").mkdir(parents=True)
    (installed / "templates" / "report" / "summary.j2").write_text("é\n", encoding="utf-8")

    assert resources.grammar("rules.lark") == "start: WORD\n"
    assert resources.read_template("report/summary.j2") == "é\n"
    assert resources.template_root() == installed / "templates"


@pytest.mark.usefixtures("installed")
def test_a_missing_folder_is_named() -> None:
    with pytest.raises(resources.ResourceError, match="the grammars folder of ipt2np is missing"):
        resources.grammar("rules.lark")


def test_a_missing_file_is_answered_with_those_present(installed: Path) -> None:
    (installed / "grammars").mkdir()
    with pytest.raises(resources.ResourceError, match=r"no 'rules\.lark' in .* \(it holds: nothing\)"):
        resources.grammar("rules.lark")


@pytest.mark.parametrize("name", ["", "../pyproject.toml", "a//b", "/etc/passwd", "./a"])
def test_names_stay_inside_the_folder(name: str) -> None:
    with pytest.raises(resources.ResourceError, match="not a file name inside templates"):
        resources.read_template(name)


def test_a_zipped_package_still_gives_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "app.zip"
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr("ipt2np/templates/a.j2", "text")
    _package_at(monkeypatch, zipfile.Path(archive, "ipt2np/"), archive / "ipt2np" / "resources.py")

    assert resources.read_template("a.j2") == "text"
    with pytest.raises(resources.ResourceError, match="use read_template"):
        resources.template_root()
