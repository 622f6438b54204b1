"""Stage pseudo_targets: one filtered picture for each photo crop, under its name."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

import numpy as np

from pipeline.core import manifest
from pipeline.filters.l0 import l0_smooth
from pipeline.media import images
from tests.conftest import run_stage
from tests.support.training_world import make_data
from tests.support.training_world import settings as world


def test_each_photo_crop_gets_a_pseudo_target_and_none_without_a_filter(tmp_path: Path) -> None:
    data = make_data(tmp_path)
    (data / "crop/about/photo/photos").mkdir(parents=True)
    shutil.copy(data / "split" / "photo" / "manifest.jsonl", data / "crop/about/photo/photos")
    for filter, count in (("l0", 9), ("none", 0)):
        chosen = world(pseudo_targets={"filter": filter, "strength": 0.05, "color_transform": 0, "line_strength": 0})
        with contextlib.chdir(tmp_path):
            run_stage("style_profile", chosen)
            out = run_stage("pseudo_targets", chosen, "photos")
        rows = manifest.read(data / "pseudo_targets/about/photos")
        assert len(rows) == count == len(list((data / "pseudo_targets/pictures/photos").iterdir()))
        assert json.loads((tmp_path / out / "metrics.json").read_text()) == {"pictures": count}
        for row in rows:
            crop = images.read(data / "crop/pictures/photo" / f"{row.id}.png")
            assert np.array_equal(images.read(manifest.file_of(row, tmp_path)), l0_smooth(crop, 0.05))
