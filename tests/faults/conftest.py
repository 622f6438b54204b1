"""A project whose whole pipeline has run, and helpers that run its stages as users and DVC do."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.clone import Project

SEEDS = [int(seed) for seed in os.environ.get("GENGA_FAULTS_SEEDS", "1").split(",")]
STAGES = {
    "sample": "sample",
    "sources": "sources",
    "keyframes": "keyframes sample",
    "photo_index": "photo_index",
    "dedup": "dedup",
    "crop": "crop anime/sample",
    "crop_photos": "crop photo/photos",
    "edge_smooth": "edge_smooth sample",
    "split": "split",
    "report": "report",
    "pretrain": "pretrain",
    "train": "train",
    "evaluate": "evaluate",
    "predict": "predict",
    "export": "export",
}
"""Arguments of `python -m pipeline.` by the name of a stage's section or a variant of it."""


def command_of(stage: str) -> list[str]:
    module, *arguments = STAGES[stage].split()
    return ["python", "-m", f"pipeline.{module}", *arguments]


def tree(folder: Path) -> dict[str, str]:
    """Digests of all files under a folder, by path, except of unfinished work."""
    files = (path for path in folder.rglob("*") if path.is_file() and ".partial" not in path.parts)
    return {path.relative_to(folder).as_posix(): hashlib.md5(path.read_bytes()).hexdigest() for path in files}


def leftovers(folder: Path) -> list[str]:
    """Unfinished files and folders of a data folder: all in .partial, and hidden names elsewhere."""
    found = [path for path in folder.rglob("*") if path.is_file() and ".partial" in path.parts]
    hidden = [path for path in folder.rglob(".*") if path.name not in (".partial", ".gitkeep", ".gitignore")]
    return [path.relative_to(folder).as_posix() for path in found + hidden]


def complaints(output: str, name: str) -> list[str]:
    """The lines of a stage's output that say why it ended."""
    return [line for line in output.splitlines() if re.match(rf"{name}(/[\w/-]+)?: (error|interrupted)", line)]


def can_mount() -> bool:
    """Whether a file system may be mounted here, in a name space of its own."""
    command = ["unshare", "-rm", "sh", "-c", "mount -t tmpfs none /mnt"]
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    kept = os.environ.get("GENGA_FAULTS_PROJECT")  # of an earlier call, whose data is taken as it is: it takes minutes to make
    project = Project(Path(kept) if kept else tmp_path_factory.mktemp("finished"))
    if not (project.folder / "data/export").is_dir():
        project.repro()
    return project
