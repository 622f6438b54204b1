"""The pipeline killed again and again at random moments ends in the bytes of a run that was left alone."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.media import images
from tests.conftest import ROOT, scene, write_film
from tests.faults.conftest import SEEDS, leftovers, tree
from tests.support.clone import Project

pytestmark = [pytest.mark.slow, pytest.mark.faults]

KILLS = int(os.environ.get("GENGA_FAULTS_KILLS", "30"))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_pipeline_killed_at_random_moments_ends_in_the_same_bytes(seed: int, finished: Project, tmp_path: Path) -> None:
    """By SIGKILL to all processes, SIGTERM to all, SIGTERM to dvc alone (whose stage then ends by itself), and Ctrl-C."""
    project, rng = Project(tmp_path), random.Random(seed)
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
    assert tree(project.folder / "data") == tree(finished.folder / "data")
    for _ in range(100):  # a stage whose dvc was killed ends within a second
        if not leftovers(project.folder / "data"):
            break
        time.sleep(0.1)
    assert leftovers(project.folder / "data") == []


def test_stylize_goes_on_with_the_same_command_after_any_stop(tmp_path: Path) -> None:
    """Twenty stops by SIGKILL, SIGTERM and Ctrl-C at random moments; then the results are those of an undisturbed run."""
    (tmp_path / "in").mkdir()
    for index in range(12):
        images.write(tmp_path / f"in/photo{index:02}.png", scene(index, 480, 360))
    write_film(tmp_path / "in/film.mp4", (scene(1, 320, 240, shift=shift) for shift in range(200)))

    def start(out: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "pipeline.cli", "stylize", "in", "-o", out, "--exact", "--working-px", "96"]
        return subprocess.Popen(
            command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip

    whole = start("whole")
    assert whole.communicate()[1] is None and whole.returncode == 0
    rng, stops, rounds = random.Random(1), 0, 0
    while stops < 20:
        process, number = start(f"out{rounds}"), (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)[stops % 3]
        time.sleep(rng.uniform(3, 6))  # Python imports meanwhile, and then answers as it pleases
        if process.poll() is None:
            os.killpg(process.pid, number)
            stops += 1
        output = process.communicate()[0]
        assert "Traceback" not in output and "exists already" not in output, output
        leaving = process.returncode == -number and " redrawn into " in output  # all was done, and Python about to end
        if process.returncode == 0 or leaving:
            assert tree(tmp_path / f"out{rounds}").items() >= pictures_of(tmp_path / "whole").items()
            rounds += 1
        elif number != signal.SIGKILL:
            assert f"interrupted ({number.name})" in output, output
    last = start(f"out{rounds}")
    assert last.communicate()[1] is None and last.returncode == 0
    assert pictures_of(tmp_path / f"out{rounds}") == pictures_of(tmp_path / "whole")
    assert [path.name for path in (tmp_path / f"out{rounds}").rglob(".*")] == []


def pictures_of(folder: Path) -> dict[str, str]:
    return {name: digest for name, digest in tree(folder).items() if not name.endswith(".jsonl")}
