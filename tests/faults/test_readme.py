"""README's block on experiments, to the letter: what the table of experiments then says of the baseline."""

from __future__ import annotations

import copy
import json
import re
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.support.clone import Project

pytestmark = [pytest.mark.slow, pytest.mark.faults]

NOT_RUN = {"genga compare": "tests/commands/test_compare.py"}


def commands(heading: str) -> list[str]:
    """The commands of the first block under a heading of README.md."""
    part = (ROOT / "README.md").read_text("utf-8").split(f"\n## {heading}\n")[1]
    lines = part.split("```sh\n")[1].split("```")[0].splitlines()
    return [re.sub(r"\s+#.*", "", line) for line in lines if not line.startswith("#")]


def described(state: Any) -> tuple[float, float, dict[str, float]]:
    """The two weights that the block varies, and the scores, of a revision."""
    loss = state["data"]["params"]["params.yaml"]["data"]["loss"]
    return loss["content_weight"], loss["adversarial_weight"], state["data"]["metrics"]["data/evaluate/scores.json"]["data"]


def test_experiments_do_not_change_the_baseline(finished: Project, tmp_path: Path) -> None:
    project = copy.copy(finished)
    project.folder = tmp_path / "project"
    shutil.copytree(finished.folder, project.folder, symlinks=True)
    loss, scores = project.run("cat", "params.yaml"), project.json("data/evaluate/scores.json")
    weight = {name: float(re.findall(rf"  {name}_weight: ([\d.]+)", loss)[0]) for name in ("content", "adversarial")}
    given = commands("Change a number and compare")
    assert len(given) >= 5
    for command in given:
        if not command.startswith(tuple(NOT_RUN)):
            project.run("bash", "-c", f"({command}) > printed.txt 2>&1")  # a pipe would stay open in the queue's worker
        while command == "dvc queue start" and re.search("Queued|Running", project.run("dvc", "queue", "status")):
            time.sleep(1)
    (_, baseline) = json.loads(project.run("dvc", "exp", "show", "--json"))
    assert described(baseline) == (weight["content"], weight["adversarial"], scores), "the commit keeps its own numbers"
    varied = [described(one["revs"][0]) for one in baseline["experiments"]]
    assert {(content, adversarial) for content, adversarial, _ in varied} == {
        *((3, weight["adversarial"]), (3, 0.5), (3, 1), (3, 3))
    }
    assert all(own != scores for _, _, own in varied)
    assert (project.folder / "sweep.html").is_file()
    printed = (project.folder / "printed.txt").read_text().splitlines()  # of genga sweep
    table = printed[next(n for n, line in enumerate(printed) if line.startswith("experiment  loss.adversarial_weight")) :]
    assert len(table) >= 5 and max(map(len, table)) <= 120
