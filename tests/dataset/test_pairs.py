"""Paired pictures: one for each crop, under its name, with a row that points back to it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np

from pipeline.core import files, manifest
from pipeline.dataset import pairs
from pipeline.media import images
from pipeline.media.images import Picture


def invert(picture: Picture) -> Picture:
    return 255 - picture


def test_each_crop_gets_a_transformed_picture_and_a_row(data: Path, tmp_path: Path) -> None:
    crops = manifest.kept(manifest.read(data / "split"), "photo")
    out = tmp_path / "out"
    (out / "pictures").mkdir(parents=True)
    with contextlib.chdir(tmp_path):
        assert pairs.write_pairs("pseudo_targets", "photos", crops, invert, out, Path("data"), workers=1) == 9
    rows = manifest.read(out)
    assert [row.parent for row in rows] == [row.id for row in crops] == [row.id for row in rows]
    for row, crop in zip(rows, crops, strict=True):
        assert row.file == f"data/pseudo_targets/pictures/photos/{row.id}.png"
        written = out / "pictures" / f"{row.id}.png"
        assert np.array_equal(images.read(written), 255 - images.read(tmp_path / str(crop.file)))
        assert row.digest == files.digest(written)
    assert images.read(out / "sheet.jpg").shape[1] > 160
