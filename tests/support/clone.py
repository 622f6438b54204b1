"""A clone of this project as a new user has it, with parameters so small that every stage takes seconds."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.core import manifest
from tests.conftest import ROOT

# Small enough that every stage takes seconds; no stage is replaced.
SMALL: dict[str, Any] = {
    "workers": 2,
    "sample.width_px": 320,
    "sample.fps": 8,
    "crop.size_px": 64,
    "crop.per_frame": 2,
    "crop.per_photo": 4,
    "model.generator": "tiny",
    "model.discriminator": "tiny",
    "pretrain.images": 8,
    "pretrain.init_from": None,
    "pretrain.crop_px": 32,
    "pretrain.content_layer": "relu1_2",
    "train.images": 16,
    "train.crop_px": 32,
    "train.log_every_images": 4,
    "train.sample_every_images": 8,
    "loss.content_layer": "relu1_2",
    "loss.style_layers": ["relu1_1"],
    "evaluate.max_photos": 4,
    "evaluate.max_film": 4,
    "evaluate.baselines": False,
    "evaluate.flicker_frames": 2,
    "evaluate.size_photos": 1,
    "export.files": [],  # which takes a minute, and has tests of its own
}


class Project:
    """A clone of this project as a new user has it, with parameters for a small run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listing = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        files = listing.stdout.splitlines()
        assert len(files) > 40
        for name in files:
            if (ROOT / name).is_file() and not name.startswith("tests/") and name != "dvc.lock":  # a run's, not committed
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, folder / name)
        self.set(SMALL)
        self.run("git", "init", "-q")
        self.run("git", "config", "user.email", "test@example.org")
        self.run("git", "config", "user.name", "test")
        self.run("git", "add", "-A")
        self.run("git", "commit", "-q", "--allow-empty", "-m", "start")

    def set(self, changes: dict[str, Any]) -> None:
        yaml = YAML()
        path = self.folder / "params.yaml"
        tree = yaml.load(path)
        for key, value in changes.items():
            *sections, last = key.split(".")
            place = tree
            for section in sections:
                place = place[section]
            place[last] = value
        yaml.dump(tree, path)

    def environment(self) -> dict[str, str]:
        """The environment variables of a new user's shell, with the Python of the tests first."""
        environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(self.folder / ".dvc" / "site"),
            "OMP_NUM_THREADS": "2",
        }
        environment.pop("GENGA_WORK", None)
        return environment

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a command in a process group of its own."""
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # not as inherited
        )

    def run(self, *command: str, status: int = 0) -> str:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == status or (status and done.returncode), done.stdout[-4000:]
        return done.stdout

    def repro(self) -> list[str]:
        """Run `dvc repro`; returns the names of the stages that ran."""
        return ran(self.run("dvc", "repro"))

    def contents(self, *places: str) -> dict[str, tuple[bytes, int]]:
        """Bytes and modification times of all files under some folders of data/."""
        files = (path for place in places for path in (self.folder / "data" / place).rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}

    def json(self, name: str) -> Any:
        return json.loads((self.folder / name).read_text("utf-8"))

    def rows(self, stage: str) -> list[manifest.Row]:
        return manifest.read(self.folder / "data" / stage)


def ran(output: str) -> list[str]:
    return re.findall(r"Running stage '([^']+)'", output)
