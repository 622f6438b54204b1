"""Data-parallel training by two processes: same losses and weights as one process but for rounding; rank 0 writes."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from ruamel.yaml import YAML

from pipeline import train
from pipeline.networks import weights
from pipeline.params.schema import Params
from pipeline.training import checkpoints, launcher
from tests.conftest import ROOT
from tests.support.training_world import contents, go, make_data, settings, work

__all__ = ["work"]

pytestmark = pytest.mark.usefixtures("work")

SPAWN = multiprocessing.get_context("forkserver")
SPAWN.set_forkserver_preload(["tests.support.training_world"])


def run_rank(folder: Path, rank: int, size: int, port: int) -> None:
    """Train as one process of a group, as torchrun starts it."""
    os.chdir(folder)
    sys.stderr = (folder / f"stderr-{rank}.txt").open("w")
    torch.set_num_threads(1)
    environment = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({key: str(value) for key, value in environment.items()} | {"GENGA_WORK": str(folder / "work")})
    if sys.platform == "linux":
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"  # independent of this machine's name and networks
    launcher.main("train", train.run, lambda: checkpoints.remove_finished("train"))


def run_group(folder: Path, size: int) -> list[int | None]:
    """Train by a group of processes; return their exit statuses."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [SPAWN.Process(target=run_rank, args=(folder, rank, size, port)) for rank in range(size)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


def stderr_of_rank_0(folder: Path) -> str:
    return (folder / "stderr-0.txt").read_text()


def values(curve: bytes) -> list[float]:
    return [float(row.split("\t")[1]) for row in curve.decode().splitlines()[1:]]


def assert_same_but_for_rounding(alone: dict[str, bytes], group: dict[str, bytes], lines: int) -> None:
    """Compare the first lines of all curves; in later ones, differences of rounding have grown from step to step."""
    assert alone.keys() == group.keys()
    files = [name for name in alone if "/train/" in name and "gradient" not in name and "accuracy" not in name]
    assert len(files) > 8
    for name in files:
        one, other = values(alone[name])[:lines], values(group[name])[:lines]
        assert len(one) == lines and one == pytest.approx(other, rel=2e-3, abs=1e-4), name


def start(folder: Path, *command: str) -> subprocess.Popen[str]:
    """Start a program in the project of `folder`."""
    environment = {
        "PYTHONPATH": str(ROOT),
        "GENGA_WORK": str(folder / "work"),
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
    }
    if sys.platform != "linux":
        del environment["GLOO_SOCKET_IFNAME"]
    return subprocess.Popen(command, cwd=folder, env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True)


def wait_for(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for a program; return its exit status and standard error."""
    stderr = process.communicate()[1]
    return process.returncode, stderr


def write(chosen: Params, folder: Path) -> None:
    with (folder / "params.yaml").open("w") as file:
        YAML().dump(chosen.model_dump(), file)


@pytest.mark.slow
def test_two_processes_train_like_one_with_or_without_a_stop(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Started by torchrun and by train.processes; the latter is stopped and resumed, by two processes and by one."""
    changes: dict[str, Any] = {"images": 96, "lr": 1e-4, "log_every_images": 4, "sample_every_images": 48}
    chosen = settings(
        model={"discriminator": "frozen-tiny"},
        train=changes | {"augment": ["color"], "processes": 2, "checkpoint_every_s": 1e6, "max_gradient_norm": 1.0},
    )
    data, module = make_data(tmp_path), ["-m", "pipeline.train"]
    write(chosen, tmp_path)
    go("pretrain", chosen, data)
    alone = contents(go("train", chosen, data))
    before = weights.load_tensors(data / "train" / "generator.safetensors")[0]

    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    assert wait_for(start(tmp_path, *torchrun, *module))[0] == 0
    whole = contents(data / "train")
    assert_same_but_for_rounding(alone, whole, 6)
    after = weights.load_tensors(data / "train" / "generator.safetensors")[0]
    for name, one in before.items():
        assert (one - after[name]).abs().mean() < 0.1 * 24 * chosen.train.lr, name
    assert not list((tmp_path / "work").glob("train/*/*"))

    shutil.rmtree(data / "train")
    shutil.rmtree(tmp_path / "work")
    stopped = start(tmp_path, sys.executable, *module)
    while not (tmp_path / "work/live/train/metrics.json").exists():
        assert stopped.poll() is None
        time.sleep(0.01)
    stopped.send_signal(signal.SIGTERM)
    status, stderr = wait_for(stopped)
    assert status == 143 and "asked to leave" in stderr and "Traceback" not in stderr
    assert not (data / "train").exists()
    (saved,) = (tmp_path / "work").glob("train/*/*/state.json")
    line = int(saved.parent.name) // 4
    assert 0 < line < 24
    shutil.copytree(tmp_path / "work", tmp_path / "copy")

    status, stderr = wait_for(start(tmp_path, sys.executable, *module))
    assert status == 0 and stderr.count("resuming at images") == 1, "only the first process writes to standard error"
    assert contents(data / "train") == whole

    shutil.rmtree(tmp_path / "work")
    shutil.move(tmp_path / "copy", tmp_path / "work")
    mixed = contents(go("train", chosen, data))
    assert_same_but_for_rounding(mixed, whole, min(line + 6, 24))
    assert "written by 2 process(es) and now there are 1" in caplog.text


def test_settings_that_do_not_work_with_several_processes_are_refused(tmp_path: Path) -> None:
    chosen = settings(model={"discriminator_norm": "batch"})
    data = make_data(tmp_path)
    write(chosen, tmp_path)
    go("pretrain", chosen, data)
    assert run_group(tmp_path, 2) == [2, 2]
    assert "model.discriminator_norm: torch cannot synchronize batch norm on CPUs: set it to" in stderr_of_rank_0(tmp_path)
    assert run_group(tmp_path, 3) == [2, 2, 2]
    assert "train.batch (4) must be a multiple of the number of processes (3)" in stderr_of_rank_0(tmp_path)
