"""Targets of training: recolored photos and teachers' outputs in the order of the crops; a student learns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from models.generators.table import build_generator
from pipeline.core.errors import UserError
from pipeline.dataset import crop_sets
from pipeline.inference.torch_stylizer import TorchStylizer
from pipeline.networks import weights
from pipeline.training import supervision
from pipeline.training.color_transfer import IDENTITY, apply_transform, fit_transform, measure_colors, mix_with_typical
from tests.support.training_world import contents, enter, go, make_data, settings, teach

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    yield from enter(tmp_path, monkeypatch)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_data(tmp_path)


def test_recolored_targets_are_the_photos_in_the_colors_of_the_films(data: Path) -> None:
    """One transform, fitted to the crops of the split train, for the photos of every split; 0 leaves them as they are."""
    _, crops = crop_sets.load_split(data, "photo", "train")
    _, anime = crop_sets.load_split(data, "anime", "train")
    photos, films = (measure_colors(of_kind.pixels.numpy()) for of_kind in (crops, anime))
    transform = supervision.fit_colors(data, "data/split", 0.8)
    assert transform == fit_transform(mix_with_typical(photos, len(crops)), films, 0.8) != IDENTITY
    assert supervision.fit_colors(data, "data/split", 0.0) == IDENTITY
    assert supervision.load_targets(data, crops, "photo", "nowhere", CPU) is crops
    targets = supervision.load_targets(data, crops, "recolored", "nowhere", CPU, transform)
    for crop, target in zip(crops.pixels.numpy(), targets.pixels.numpy(), strict=True):
        assert np.array_equal(target, apply_transform(crop, transform))
    assert targets.digest != crops.digest
    _, val = crop_sets.load_split(data, "photo", "val")
    found = supervision.load_targets(data, val, "recolored", "nowhere", CPU, transform).pixels[0].numpy()
    assert np.array_equal(found, apply_transform(val.pixels[0].numpy(), transform))
    unchanged = supervision.load_targets(data, val, "recolored", "nowhere", CPU)
    assert torch.equal(unchanged.pixels, val.pixels)


def test_a_teacher_s_targets_are_its_outputs_for_each_crop(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In memory and in a mapped file; and another teacher's are others, which a run's fingerprint has to tell."""
    monkeypatch.setattr(supervision, "_BATCH", 4)  # the last of six are two
    _, crops = crop_sets.load_split(data, "photo", "train")
    file = teach(data)
    targets = supervision.load_targets(data, crops, "teacher", "data/teacher", CPU)
    alone = TorchStylizer.from_file(file)
    for crop, target in zip(crops.pixels.numpy(), targets.pixels.numpy(), strict=True):
        assert np.abs(target.astype(int) - alone(crop)).max() <= 1
        assert np.abs(target.astype(int) - crop).mean() > 2
    monkeypatch.setattr(crop_sets, "HOST_SHARE", 0.0)
    for _ in range(2):  # made, then found
        mapped = supervision.load_targets(data, crops, "teacher", "data/teacher/full.safetensors", CPU)
        assert mapped.digest == targets.digest and torch.equal(mapped.pixels, targets.pixels)
    teach(data, seed=1)
    other = supervision.load_targets(data, crops, "teacher", "data/teacher", CPU)
    assert other.digest != targets.digest and not torch.equal(other.pixels, targets.pixels)


def test_a_student_learns_what_its_teacher_draws(data: Path) -> None:
    teach(data)
    chosen = settings(
        pretrain={"target": "teacher", "images": 64, "lr": 0.01},
        train={"images": 32, "sample_every_images": 16, "ema_decay": 0.0},
        loss={"target": "teacher", "adversarial_weight": 0.0, "style_weight": 0.0, "tv_weight": 0.0},
    )
    go("pretrain", chosen, data)
    metrics = json.loads((go("train", chosen, data) / "metrics.json").read_text())
    lines = contents(data / "pretrain")["dvclive/plots/metrics/train/pixel.tsv"].decode().splitlines()[1:]
    losses = [float(line.split("\t")[1]) for line in lines]
    assert len(losses) == 16 and sum(losses[-4:]) < 0.9 * sum(losses[:4])
    # On photos that neither was taught on.
    _, photos = crop_sets.load_split(data, "photo", "val", 2)
    taught = supervision.load_targets(data, photos, "teacher", "data/teacher", CPU).pixels.numpy().astype(int)
    drawn = TorchStylizer.from_file(data / "train/generator.safetensors").stylize_batch(list(photos.pixels.numpy()))
    away = [np.abs(np.asarray(pictures, int) - taught).mean() for pictures in (photos.pixels.numpy(), drawn)]
    assert away[1] < 0.7 * away[0]
    assert metrics["val_from_target"] == pytest.approx(away[1], abs=0.05)


def test_a_teacher_that_cannot_teach_is_named_with_a_remedy(data: Path) -> None:
    chosen = settings(pretrain={"target": "teacher"})

    def refused(words: str) -> None:
        with pytest.raises(UserError, match=words):
            go("pretrain", chosen, data)
        assert not (data / "pretrain").exists()

    refused(r"teacher: .*data/teacher does not exist: give a generator's \.safetensors file, or a folder")
    (data / "teacher").mkdir()
    (data / "teacher/.gitkeep").touch()
    refused(r"teacher: .*data/teacher holds no \.safetensors file, and a target is teacher: put one there")
    for seed in range(2):
        teach(data, f"full-{seed}", seed)
    refused(r"teacher: .*data/teacher holds 2 \.safetensors files: put one there, .* or name it")
    (data / "teacher/full-1.safetensors").unlink()
    (data / "teacher/full-0.safetensors").write_bytes(b"no weights")
    refused(r"full-0\.safetensors is no whole safetensors file")
    network = build_generator("tiny")
    with torch.no_grad():
        next(network.parameters()).fill_(float("nan"))
    weights.save_generator(data / "teacher/full-0.safetensors", network, weights.generator_metadata("tiny", None))
    refused(r"teacher: the output of .*full-0\.safetensors is not finite: .*give another file")
