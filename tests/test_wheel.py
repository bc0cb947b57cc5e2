"""The built wheel, installed alone into an empty environment, does the work of the checkout."""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
import yaml

from ipt2np.cni.registry import CNIS

TOP = Path(__file__).resolve().parents[1]
SAMPLE = TOP / "samples" / "subnet-with-a-hole.v4"
FOLDERS = ("grammars", "templates")


def _run(*command: str | Path, cwd: Path) -> str:
    hidden = ("PYTHON", "VIRTUAL_ENV", "COV_", "COVERAGE")
    env = {key: value for key, value in os.environ.items() if not key.startswith(hidden)}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, f"{command} exited {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel made from the sdist, so that both must hold every file."""
    out = tmp_path_factory.mktemp("dist")
    _run(sys.executable, "-m", "build", "--outdir", out, TOP, cwd=out)
    (built,) = out.glob("ipt2np-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment that holds the wheel, its dependencies and nothing else."""
    home = tmp_path_factory.mktemp("installed")
    venv.create(home / "env", with_pip=True, symlinks=True)
    bin_folder = home / "env" / "bin"
    _run(bin_folder / "python", "-m", "pip", "install", "-q", "--no-input", wheel, cwd=home)
    return bin_folder


def test_wheel_holds_every_shipped_file(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    shipped = {
        f"ipt2np/{path.relative_to(TOP).as_posix()}"
        for folder in FOLDERS
        for path in (TOP / folder).rglob("*")
        if path.is_file()
    }
    assert {name.split("/")[1] for name in shipped} == set(FOLDERS)
    assert shipped | {"ipt2np/py.typed"} <= names


def test_installed_package_reads_its_own_files(installed: Path, tmp_path: Path) -> None:
    code = "from ipt2np import resources; print(resources.__file__); print(resources.template_root())"
    module, templates = _run(installed / "python", "-c", code, cwd=tmp_path).split()
    assert Path(module).is_relative_to(installed.parent)
    assert Path(templates) == Path(module).parent / "templates"


@pytest.mark.parametrize(
    ("cni", "api_version", "kind"),
    [
        ("kubernetes", "networking.k8s.io/v1", "NetworkPolicy"),
        ("calico", "projectcalico.org/v3", "NetworkPolicy"),
        ("cilium", "cilium.io/v2", "CiliumNetworkPolicy"),
        ("antrea", "crd.antrea.io/v1beta1", "NetworkPolicy"),
    ],
)
def test_installed_command_converts_a_sample(
    installed: Path, tmp_path: Path, cni: str, api_version: str, kind: str
) -> None:
    arguments = ("--name", "test-network-policy", "--pod-selector", "role=db", "--cni", cni)
    output = _run(installed / "ipt2np", "convert", SAMPLE, *arguments, cwd=tmp_path)
    (policy,) = yaml.safe_load_all(output)
    assert (policy["apiVersion"], policy["kind"]) == (api_version, kind)
    assert policy["metadata"]["name"] == "test-network-policy"


def test_every_target_has_its_template_in_the_wheel(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"ipt2np/templates/{cni.template}" for cni in CNIS.values()} <= names
