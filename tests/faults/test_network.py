"""Everything works in a name space without a network, and no socket is opened but on this machine."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pipeline.media import images
from tests.conftest import scene
from tests.support.clone import Project


def has_namespaces() -> bool:
    try:
        return subprocess.run(["unshare", "-rn", "true"], check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


pytestmark = [
    pytest.mark.slow,
    pytest.mark.faults,
    pytest.mark.skipif(not has_namespaces(), reason="no name space without a network can be made here (unshare -rn)"),
]


def test_pipeline_and_verbs_work_without_a_network(tmp_path: Path) -> None:
    project = Project(tmp_path)
    images.write(project.folder / "photo.png", scene(1, 320, 240))

    def run(*command: str) -> str:
        return project.run("unshare", "-rn", *command)

    assert "Running stage 'export'" in run("dvc", "repro")
    run("genga", "stylize", "photo.png", "-o", "redrawn")
    assert (project.folder / "redrawn/photo.png").is_file()
    for command in (
        ("genga", "--version"), ("genga", "use"), ("genga", "doctor"), ("genga", "watch", "--once"),
        ("genga", "pack", "shards"), ("genga", "evaluate", "data/train/generator.safetensors", "-o", "evaluation"),
        ("genga", "export", "data/train/generator.safetensors", "-o", "exported"),
    ):  # fmt: skip
        run(*command)
