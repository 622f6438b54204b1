"""Two processes that train together give the losses and the weights of one, but for rounding; the first alone writes."""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from ruamel.yaml import YAML

from pipeline import checkpoints, launch, train, weights
from tests.training_world import contents, enter, go, make_data, settings

SPAWN = multiprocessing.get_context("forkserver")
SPAWN.set_forkserver_preload(["tests.training_world"])


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
    launch.main("train", train.run, lambda: checkpoints.sweep("train"))


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


def test_two_equal_one(tmp_path: Path) -> None:
    chosen = settings(train={"images": 12, "lr": 1e-4, "log_every_images": 4, "augment": ["color"]})
    data = make_data(tmp_path)
    with (tmp_path / "params.yaml").open("w") as file:
        YAML().dump(chosen.model_dump(), file)
    go("pretrain", chosen, data)
    alone = contents(go("train", chosen, data))
    before = weights.load_tensors(data / "train" / "generator.safetensors")[0]
    assert together(tmp_path, 2) == [0, 0]
    pair = contents(data / "train")
    assert pair.keys() == alone.keys()
    after = weights.load_tensors(data / "train" / "generator.safetensors")[0]
    for name, one in before.items():
        assert (one - after[name]).abs().mean() < 0.1 * 3 * chosen.train.lr, name
    files = [name for name in alone if "/train/" in name and "gradient" not in name and "right" not in name]
    assert len(files) > 8
    for name in files:
        ours, theirs = ([float(row.split("\t")[1]) for row in text[name].decode().splitlines()[1:]] for text in (alone, pair))
        assert ours == pytest.approx(theirs, rel=2e-3, abs=1e-4), name
    assert not list((tmp_path / "work").glob("train/*/*"))


def test_what_cannot_be_shared_is_refused_with_a_remedy(tmp_path: Path) -> None:
    chosen = settings(model={"discriminator_norm": "batch"})
    data = make_data(tmp_path)
    with (tmp_path / "params.yaml").open("w") as file:
        YAML().dump(chosen.model_dump(), file)
    go("pretrain", chosen, data)
    assert together(tmp_path, 2) == [2, 2]
    assert "model.discriminator_norm: torch cannot synchronise batch norm on processors: set it to" in said(tmp_path)
    assert together(tmp_path, 3) == [2, 2, 2]
    assert "train.batch (4) must be a multiple of the number of processes (3)" in said(tmp_path)
