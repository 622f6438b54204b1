"""A small repository with DVC experiments."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.commands import experiments

HOSTILE = "a\"<b>&'x"
"""The name of an experiment, with special characters of HTML and of the shell."""

# Stage evaluate writes metrics and pictures that follow from the weight.
STAGES = {
    "train": (
        "data/train",
        "open('data/train/generator.safetensors', 'w').write(json.dumps(params['loss']))",
    ),
    "evaluate": (
        "data/evaluate",
        "w = json.load(open('data/train/generator.safetensors'))['style_weight']\n"
        "numbers = {'score': 1 / (1 + abs(w - 5)), 'content_similarity': 0.5, 'photos': 2}\n"
        "json.dump({'score': numbers['score']}, open('data/evaluate/scores.json', 'w'))\n"
        "json.dump(numbers, open('data/evaluate/metrics.json', 'w'))\n"
        "open('data/evaluate/pictures.csv', 'w').write('id,photo,result\\ncat,pictures/p.jpg,pictures/r.jpg\\n')\n"
        "os.mkdir('data/evaluate/pictures')\n"
        "open('data/evaluate/pictures/p.jpg', 'w').write('the photo')\n"
        "open('data/evaluate/pictures/r.jpg', 'w').write(f'drawn by {w}')",
    ),
}


class Project:
    """A git and DVC repository with stages train and evaluate, a few lines each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run("git", "init", "-q")
        self.run("git", "config", "user.email", "test@example.org")
        self.run("git", "config", "user.name", "test")
        self.dvc("init -q", "config core.analytics false")
        stages: dict[str, Any] = {}
        for name, (out, code) in STAGES.items():
            (folder / f"{name}.py").write_text(
                "import json, os\nfrom ruamel.yaml import YAML\n"
                "params = YAML(typ='safe', pure=True).load(open('params.yaml'))\n"
                f"os.makedirs('{out}')\n{code}\n"
            )
            dep = [] if name == "train" else ["data/train/generator.safetensors"]
            stages[name] = {"cmd": f"{sys.executable} {name}.py", "deps": [f"{name}.py", *dep], "outs": [out]}
        stages["train"]["params"] = ["loss"]
        with (folder / "dvc.yaml").open("w") as file:
            YAML(typ="safe", pure=True).dump({"stages": stages, "metrics": [experiments.SCORES]}, file)
        self.set(style_weight=3)
        (folder / ".gitignore").write_text("/data\n")
        self.run("git", "add", "-A")
        self.run("git", "commit", "-q", "-m", "start")

    def set(self, **loss: Any) -> None:
        # JSON is YAML too.
        (self.folder / "params.yaml").write_text(json.dumps({"loss": {"style_weight": 3, "form": "hinge"} | loss, "seed": 1}))

    def dvc(self, *commands: str) -> None:
        """Run several commands of dvc in one process, as each start takes a second."""
        code = (
            "import sys\nfrom dvc.cli import main\nfor command in sys.argv[1:]:\n    assert main(command.split()) == 0, command"
        )
        self.run(sys.executable, "-c", code, *commands)

    def run(self, *command: str) -> None:
        environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(self.folder / ".dvc" / "site"),
        }
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Three evaluated experiments, one that was only trained, one that is queued, and a workspace that differs."""
    project = Project(tmp_path_factory.mktemp("swept"))
    project.dvc(
        "exp run -q --name last -S loss.style_weight=25",
        "exp run -q --name first -S loss.style_weight=1",
        f"exp run -q --name {HOSTILE} -S loss.style_weight=5",
        "exp run -q --name half -S loss.style_weight=7 train",
        "exp run -q --queue --name queued -S loss.style_weight=9",
    )
    project.set(style_weight=3, form="bce")
    project.dvc("repro -q")
    return project
