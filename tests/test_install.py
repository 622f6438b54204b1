"""How Genga is installed: in place, with the build of PyTorch that is asked for, and usable from any folder."""

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.media import images
from tests.conftest import ROOT, scene

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def pinned(package: str) -> str:
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "constraints.txt").read_text("utf-8"), re.M))
    return str(pins[package])


def write_wheel(index: Path, name: str, version: str) -> None:
    """Write an empty wheel into a package index of files."""
    info = f"{name}-{version}.dist-info"
    (index / name).mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(index / name / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    links = (f'<a href="{path.name}">{path.name}</a>' for path in (index / name).glob("*.whl"))
    (index / name / "index.html").write_text(f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>")


def test_make_can_ask_for_a_build_of_pytorch() -> None:
    plain, cpu = (
        subprocess.run(["make", "-nB", "setup", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for words in ([], ["TORCH=cpu"])
    )
    assert "--constraint constraints.txt" in plain and "index-url" not in plain
    assert "--extra-index-url https://download.pytorch.org/whl/cpu" in cpu


@pytest.mark.slow
def test_the_build_without_cuda_fits_the_pins_and_is_preferred(tmp_path: Path) -> None:
    for name in ("torch", "torchvision"):
        write_wheel(tmp_path / "pypi", name, pinned(name))
        write_wheel(tmp_path / "cpu", name, f"{pinned(name)}+cpu")
    indexes = ["--index-url", (tmp_path / "pypi").as_uri(), "--extra-index-url", (tmp_path / "cpu").as_uri()]
    command = [sys.executable, "-m", "pip", "--isolated", "install", "--dry-run", "--ignore-installed", "--no-deps", *indexes]
    done = subprocess.run(
        [*command, "--constraint", str(ROOT / "constraints.txt"), "torch", "torchvision"],
        capture_output=True, text=True, check=False, env={**os.environ, "PIP_CONFIG_FILE": os.devnull},
    )  # fmt: skip
    assert f"Would install torch-{pinned('torch')}+cpu torchvision-{pinned('torchvision')}+cpu" in done.stdout, done.stderr


def test_no_wheel_is_built() -> None:
    """A wheel would put packages `models` and `pipeline` beside a user's own."""
    pytest.importorskip("setuptools", minversion="64")
    for hook in ("build_wheel", "build_sdist"):
        done = subprocess.run(
            [sys.executable, "-c", f"import build_backend; build_backend.{hook}('out')"],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 1 and "make setup" in done.stderr and "Traceback" not in done.stderr
    assert PROJECT["name"] != "genga", "that is another project's name in the registry"


@pytest.mark.slow
def test_stylize_works_in_a_folder_with_packages_of_the_same_names(tmp_path: Path) -> None:
    for name in ("models", "pipeline", "torch"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('a package of the user')")
    images.write(tmp_path / "photo.png", scene(1, 64, 48))
    genga = Path(sys.executable).parent / "genga"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [genga, "stylize", "photo.png"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert images.read(tmp_path / "photo-genga.png").shape == images.read(tmp_path / "photo.png").shape


def test_the_workflow_runs_what_ci_runs_on_each_python() -> None:
    job = YAML(typ="safe").load(ROOT / ".github/workflows/ci.yml")["jobs"]["test"]
    lowest = PROJECT["requires-python"].removeprefix(">=")
    assert job["strategy"]["matrix"]["python"] == [lowest, "3.12", "3.13"]
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]


def test_containers_are_set_up_by_make_and_take_no_data_along() -> None:
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text("utf-8"))
    assert container["postCreateCommand"] == "make setup TORCH=cpu"
    assert "make setup TORCH=$TORCH" in (ROOT / "Dockerfile").read_text("utf-8")
    left_out = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    tracked = subprocess.run(["git", "ls-files", "data"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert "data/*" in left_out and tracked and {f"!{name}" for name in tracked} <= set(left_out)


def pins(path: Path) -> dict[str, str]:
    found = re.findall(r"^([\w.-]+)==([^\s;]+)", path.read_text(), re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def test_the_lock_pins_what_is_tested_by_digest_and_names_no_host() -> None:
    lock, tested = ROOT / "requirements.lock", pins(ROOT / "constraints.txt")
    assert len(tested) > 150
    # Packages for other systems are in the lock only.
    assert {name: version for name, version in pins(lock).items() if name in tested}.items() <= tested.items(), "make lock"
    declared = re.findall(r'^    "([\w.-]+)[<>=\[]', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert len(declared) > 30
    assert {re.sub(r"[-_.]+", "-", name).lower() for name in declared} - {"genga-anime"} <= pins(lock).keys(), "make lock"
    blocks = re.split(r"\n(?=\S)", lock.read_text().strip())
    assert all("--hash=sha256:" in block for block in blocks) and len(blocks) == len(pins(lock))
    assert "://" not in lock.read_text()
