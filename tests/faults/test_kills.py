"""The pipeline killed again and again at random moments ends in the bytes of a run that was left alone."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.faults.conftest import leftovers, tree
from tests.support.clone import Project

pytestmark = [pytest.mark.slow, pytest.mark.faults]

# What a stage measures by the clock, and what tells of it.
MEASURED_IN_SECONDS = set[str]()
KILLS = int(os.environ.get("GENGA_FAULTS_KILLS", "30"))


def test_a_pipeline_killed_at_random_moments_ends_in_the_same_bytes(finished: Project, tmp_path: Path) -> None:
    """By SIGKILL to all processes, SIGTERM to all, SIGTERM to dvc alone (whose stage then ends by itself), and Ctrl-C."""
    project, rng = Project(tmp_path), random.Random(1)
    ways = [
        (os.killpg, signal.SIGKILL), (os.killpg, signal.SIGTERM), (os.kill, signal.SIGTERM), (os.kill, signal.SIGKILL),
        (os.killpg, signal.SIGINT),
    ]  # fmt: skip
    kills = 0
    while kills < KILLS:
        send, number = ways[kills % len(ways)]
        process = project.start("dvc", "repro")
        time.sleep(rng.uniform(2, 16))
        if process.poll() is not None:  # it came to its end: all over again
            assert process.returncode == 0, project.run("dvc", "repro")
            (project.folder / "dvc.lock").unlink()
            shutil.rmtree(project.folder / ".dvc/cache/runs")
            continue
        send(process.pid, number)
        process.wait()
        kills += 1
    project.repro()
    expected, came_out = tree(finished.folder / "data"), tree(project.folder / "data")
    assert came_out.keys() == expected.keys()
    differing = {name for name in expected if expected[name] != came_out[name]}
    assert not differing - MEASURED_IN_SECONDS
    for _ in range(100):  # a stage whose dvc was killed ends within a second
        if not leftovers(project.folder / "data"):
            break
        time.sleep(0.1)
    assert leftovers(project.folder / "data") == []
