"""What travels to a machine with a GPU, and a training there that is stopped and brings its generator back all the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import gpu_pack, gpu_train
from benchmarks.recipe_params import params_of
from pipeline.dataset import crop_sets
from pipeline.media import images
from pipeline.networks.weights import load_generator
from pipeline.params import schema
from tests.conftest import ROOT
from tests.support.training_world import SIDE, make_data, rough


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    data = make_data(tmp_path / "project")
    (tmp_path / "photos").mkdir()
    for index in range(2):
        images.write(tmp_path / "photos" / f"{index}.png", rough(20 + index))
    gpu_pack.pack(data, ["anime"], {"anime": 4, "photo": 100}, tmp_path / "photos", tmp_path / "packed")
    return tmp_path / "packed"


def test_a_pack_becomes_the_data_that_training_reads(packed: Path, tmp_path: Path) -> None:
    """As many crops as asked for of each split, the pictures as near as JPEG keeps them, edge-smoothed copies beside."""
    gpu_pack.unpack(packed, "anime", schema.load(ROOT / "params.yaml").edge_smooth, tmp_path / "there")
    here, there = tmp_path / "project" / "data", tmp_path / "there" / "data"
    rows, anime = crop_sets.load_split(there, "anime", "train")
    assert [row.id for row in rows] == [f"anime-{index}" for index in (0, 1, 3, 4)]
    _, photos = crop_sets.load_split(there, "photo", "train")
    _, originals = crop_sets.load_split(here, "photo", "train")
    assert photos.pixels.shape == originals.pixels.shape
    assert (photos.pixels.float() - originals.pixels.float()).abs().mean() < 6
    assert len(crop_sets.load_split(there, "photo", "val")[1]) == 3
    smoothed = crop_sets.load_edge_smoothed(there, rows)
    assert smoothed.pixels.shape == anime.pixels.shape and not np.array_equal(smoothed.pixels, anime.pixels)


@pytest.mark.slow
def test_the_jobs_to_run_next_have_valid_params() -> None:
    jobs = json.loads((ROOT / "benchmarks/gpu_jobs.json").read_text())
    assert len({job["name"] for job in jobs}) == len(jobs) > 20
    for job in jobs:
        params_of(job["recipe"], job["changes"])


def job(name: str, images_shown: int) -> dict[str, Any]:
    changes = {
        **{"crop.size_px": SIDE, "model.generator": "tiny", "model.discriminator": "frozen-tiny", "train.batch": 2},
        **{"train.crop_px": 32, "pretrain.crop_px": 32, "train.sample_every_images": 1000, "train.probe_photos": 0},
    }
    return {"name": name, "film": "anime", "recipe": "genga", "changes": {**changes, "train.images": images_shown}}


def check_results(folder: Path) -> None:
    _, metadata = load_generator(folder / "generator.safetensors")
    assert metadata["generator"] == "tiny" and int(metadata["working_px"]) > 0
    assert images.read(folder / "0.jpg").shape[1] == gpu_train.REDRAW_PX
    assert (folder / "sheet.jpg").exists() and (folder / "dvclive" / "metrics.json").exists()


@pytest.mark.slow
def test_trainings_bring_their_results_back_and_none_starts_too_late(packed: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    gpu_train.train_all(
        packed, "pastiche", [job("short", 4), job("late", 4) | {"seconds": 10**9}], out, beside=2, seconds=10**6
    )
    for tar in out.glob("results-*.tar"):
        with tarfile.open(tar) as opened:
            opened.extractall(tmp_path / "found", filter="data")
    assert {path.name for path in (tmp_path / "found").iterdir()} == {"short", "short.log"}
    check_results(tmp_path / "found" / "short")
    assert json.loads((tmp_path / "found" / "short" / "job.json").read_text())["images_seen"] == 4


@pytest.mark.slow
def test_a_training_that_is_stopped_brings_its_generator_back(packed: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    arguments = [str(packed), "--jobs", json.dumps(job("long", 10**8)), "--out", str(tmp_path / "out")]
    command = [sys.executable, "-m", "benchmarks.on_gpu", "job", *arguments]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, "GENGA_WORK": str(work)}) as process:
        while not list(work.glob("train/*/samples/*.jpg")):  # training has begun
            assert process.poll() is None
            time.sleep(0.1)
        process.terminate()
    assert process.returncode == 0
    check_results(tmp_path / "out" / "long")
    assert 0 < json.loads((tmp_path / "out" / "long" / "job.json").read_text())["images_seen"] < 10**8
