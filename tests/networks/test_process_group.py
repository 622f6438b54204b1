"""Two processes that train together give the losses and the weights of one, but for rounding; the first alone writes."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
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
from tests.support.training_world import contents, enter, go, make_data, settings

SPAWN = multiprocessing.get_context("forkserver")
SPAWN.set_forkserver_preload(["tests.support.training_world"])


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    yield from enter(tmp_path, monkeypatch)


def member(folder: Path, rank: int, size: int, port: int) -> None:
    """A process as torchrun starts it."""
    os.chdir(folder)
    sys.stderr = (folder / f"said-{rank}.txt").open("w")
    torch.set_num_threads(1)
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({key: str(value) for key, value in place.items()} | {"GENGA_WORK": str(folder / "work")})
    if sys.platform == "linux":
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"  # whatever this machine's name resolves to, and whichever networks it has
    launcher.main("train", train.run, lambda: checkpoints.remove_finished("train"))


def together(folder: Path, size: int) -> list[int | None]:
    """Exit statuses of a run by so many processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [SPAWN.Process(target=member, args=(folder, rank, size, port)) for rank in range(size)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


def said(folder: Path) -> str:
    return (folder / "said-0.txt").read_text()


def numbers(told: bytes) -> list[float]:
    return [float(row.split("\t")[1]) for row in told.decode().splitlines()[1:]]


def assert_same_but_for_rounding(alone: dict[str, bytes], team: dict[str, bytes], lines: int) -> None:
    """On the first lines: later ones are further and further apart, as rounding grows from step to step."""
    assert alone.keys() == team.keys()
    files = [name for name in alone if "/train/" in name and "gradient" not in name and "right" not in name]
    assert len(files) > 8
    for name in files:
        one, other = numbers(alone[name])[:lines], numbers(team[name])[:lines]
        assert len(one) == lines and one == pytest.approx(other, rel=2e-3, abs=1e-4), name


def begin(folder: Path, *command: str) -> subprocess.Popen[str]:
    """A program in the project of `folder`."""
    place = {"PYTHONPATH": str(ROOT), "GENGA_WORK": str(folder / "work"), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    if sys.platform != "linux":
        del place["GLOO_SOCKET_IFNAME"]
    return subprocess.Popen(command, cwd=folder, env={**os.environ, **place}, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    told = process.communicate()[1]
    return process.returncode, told


def write(chosen: Params, folder: Path) -> None:
    with (folder / "params.yaml").open("w") as file:
        YAML().dump(chosen.model_dump(), file)


@pytest.mark.slow
@pytest.mark.parametrize("discriminator", ["tiny", "frozen-tiny"])
def test_a_team_gives_what_one_gives_stopped_or_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, discriminator: str
) -> None:
    """By torchrun, and by train.processes, the latter stopped and resumed: by the team, by one alone, and the reverse."""
    changes: dict[str, Any] = {"images": 96, "lr": 1e-4, "log_every_images": 4, "sample_every_images": 48}
    chosen = settings(
        model={"discriminator": discriminator},
        train=changes | {"augment": ["color"], "processes": 2, "checkpoint_every_s": 1e6, "max_gradient_norm": 1.0},
    )
    data, module = make_data(tmp_path), ["-m", "pipeline.train"]
    write(chosen, tmp_path)
    go("pretrain", chosen, data)
    alone = contents(go("train", chosen, data))
    before = weights.load_tensors(data / "train" / "generator.safetensors")[0]

    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    assert ended(begin(tmp_path, *torchrun, *module))[0] == 0
    whole = contents(data / "train")
    assert_same_but_for_rounding(alone, whole, 6)
    after = weights.load_tensors(data / "train" / "generator.safetensors")[0]
    for name, one in before.items():
        assert (one - after[name]).abs().mean() < 0.1 * 24 * chosen.train.lr, name
    assert not list((tmp_path / "work").glob("train/*/*"))

    shutil.rmtree(data / "train")
    shutil.rmtree(tmp_path / "work")
    stopped = begin(tmp_path, sys.executable, *module)
    while not (tmp_path / "work/live/train/metrics.json").exists():
        assert stopped.poll() is None
        time.sleep(0.01)
    stopped.send_signal(signal.SIGTERM)
    status, told = ended(stopped)
    assert status == 143 and "asked to leave" in told and "Traceback" not in told
    assert not (data / "train").exists()
    (saved,) = (tmp_path / "work").glob("train/*/*/state.json")
    line = int(saved.parent.name) // 4
    assert 0 < line < 24
    shutil.copytree(tmp_path / "work", tmp_path / "copy")

    status, told = ended(begin(tmp_path, sys.executable, *module))
    assert status == 0 and told.count("resuming at images") == 1, "only the first process writes to standard error"
    assert contents(data / "train") == whole

    shutil.rmtree(tmp_path / "work")
    shutil.move(tmp_path / "copy", tmp_path / "work")
    mixed = contents(go("train", chosen, data))
    assert_same_but_for_rounding(mixed, whole, min(line + 6, 24))
    assert "written by 2 process(es) and now there are 1" in caplog.text


def test_what_cannot_be_shared_is_refused_with_a_remedy(tmp_path: Path) -> None:
    chosen = settings(model={"discriminator_norm": "batch"})
    data = make_data(tmp_path)
    write(chosen, tmp_path)
    go("pretrain", chosen, data)
    assert together(tmp_path, 2) == [2, 2]
    assert "model.discriminator_norm: torch cannot synchronize batch norm on CPUs: set it to" in said(tmp_path)
    assert together(tmp_path, 3) == [2, 2, 2]
    assert "train.batch (4) must be a multiple of the number of processes (3)" in said(tmp_path)
