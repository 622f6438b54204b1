"""A run that is killed ten times, asked to stop, or meets a full disk ends with the bytes of an undisturbed one."""

from __future__ import annotations

import logging
import multiprocessing
import os
import random
import resource
import signal
import time
from pathlib import Path

import pytest
import torch

from pipeline.core.program import run_as_program
from pipeline.params.schema import Params
from pipeline.training import loop
from pipeline.training.checkpoints import Checkpoint, Checkpoints
from tests.support.tiny_run import blank_batches, build_state, engine_params, fit_convolution
from tests.support.training_world import contents, go, make_data, settings, work

__all__ = ["work"]

pytestmark = pytest.mark.usefixtures("work")

# A server with everything imported starts a process in a moment; none of them is forked from one that has threads.
SPAWN = multiprocessing.get_context("forkserver")
SPAWN.set_forkserver_preload(["tests.support.training_world", "torch._dynamo"])  # an optimizer imports the latter


def train_in_process(chosen: Params, data: Path, folder: Path) -> None:
    """Train in a process of its own."""
    torch.set_num_threads(1)
    os.environ["GENGA_WORK"] = str(folder)
    run_as_program("train", lambda: go("train", chosen, data))


def begin(chosen: Params, data: Path, folder: Path) -> multiprocessing.process.BaseProcess:
    process = SPAWN.Process(target=train_in_process, args=(chosen, data, folder))
    process.start()
    return process


def checkpoints_of(folder: Path) -> set[str]:
    return {path.parent.name for path in folder.glob("train/*/*/state.json")}


def wait_for_progress(folder: Path, process: multiprocessing.process.BaseProcess) -> None:
    """Wait until the process has written another checkpoint."""
    before = checkpoints_of(folder)
    while process.is_alive() and checkpoints_of(folder) <= before:
        time.sleep(0.005)


def test_killed_ten_times_equals_never_stopped(tmp_path: Path, work: Path) -> None:
    # Each of ten runs goes on by two or three checkpoints of 8 images, however fast the machine is.
    chosen = settings(train={"images": 256, "checkpoint_every_images": 8, "sample_every_images": 64})
    data = make_data(tmp_path)
    go("pretrain", chosen, data)
    start = time.monotonic()
    whole = contents(go("train", chosen, data))
    between_checkpoints_s = (time.monotonic() - start) * 8 / 256
    ends = [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)]
    for index in range(10):
        process = begin(chosen, data, work)
        wait_for_progress(work, process)
        time.sleep(random.uniform(0, between_checkpoints_s))
        number, status = ends[index % len(ends)]
        assert process.pid is not None
        os.kill(process.pid, number)
        process.join()
        assert process.exitcode == status, "it ended before it could be killed: give it more images"
    process = begin(chosen, data, work)
    process.join()
    assert process.exitcode == 0
    assert contents(data / "train") == whole
    assert checkpoints_of(work) == set()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_run_that_is_asked_to_stop_saves_first(tmp_path: Path, work: Path, number: signal.Signals, status: int) -> None:
    # Time alone would give no checkpoint, and no run is this long.
    chosen = settings(train={"images": 400000, "checkpoint_every_s": 1e6, "sample_every_images": 400000})
    data = make_data(tmp_path)
    go("pretrain", chosen, data)
    process = begin(chosen, data, work)
    while not list((work / "live" / "train").glob("metrics.json")):
        assert process.is_alive()
        time.sleep(0.01)
    assert process.pid is not None
    os.kill(process.pid, number)
    process.join()
    assert process.exitcode == status
    assert len(checkpoints_of(work)) == 1
    assert not (data / "train").exists()


def test_a_disk_that_refuses_a_checkpoint_does_not_stop_the_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    state, network, optimizer = build_state()
    kept = Checkpoints("train", "mine", tmp_path)
    kept.save(Checkpoint(1, {"a": torch.zeros(1)}, {}))
    section = engine_params(log_every_images=100, checkpoint_every_images=4)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, before[1]))
    try:
        # With capsys messages go to memory; files beyond 200 bytes fail as on a full disk.
        loop.fit(state, section, blank_batches(section), lambda *_: fit_convolution(state, network, optimizer), kept)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    messages = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    warnings = [text for text in messages if "no checkpoint" in text]
    assert len(warnings) == 3 and sum("live/train is not up to date" in text for text in messages) == len(messages) - 3 > 0
    assert all("make room in" in text and "the last checkpoint is at images 1" in text for text in warnings)
    assert [path.name for path in kept.folder.iterdir()] == ["000000001"]
