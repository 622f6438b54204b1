"""Quality measures of pictures."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.core.manifest import Row
from pipeline.frames import quality
from pipeline.media import arrays
from tests.conftest import scene


def test_luma_measures_are_those_of_the_picture() -> None:
    halves = np.full((270, 480, 3), 40, np.uint8)
    halves[:, 240:] = 200
    measured = quality.measure(halves)
    assert (measured.luma_p95, measured.luma_std) == (200, 80)
    assert quality.measure(np.full((270, 480, 3), 90, np.uint8)).scores == {
        "luma_p95": 90,
        "luma_std": 0,
        "sharpness": 0,
        "lettering": 0,
    }


def test_sharpness_falls_with_blur_and_hardly_depends_on_size() -> None:
    picture = scene(1, 960, 540)
    sharp = quality.measure(picture).sharpness
    blurred = quality.measure(np.asarray(cv2.GaussianBlur(picture, (0, 0), 4), np.uint8)).sharpness
    assert sharp > 5 * blurred > 0
    twice = cv2.resize(picture, (1920, 1080), interpolation=cv2.INTER_NEAREST)
    assert quality.measure(np.asarray(twice, np.uint8)).sharpness == pytest.approx(sharp, rel=0.01)


def test_lettering_share_tells_credits_from_pictures() -> None:
    card = np.zeros((270, 480), np.uint8)
    for line in range(8):
        cv2.putText(card, f"Somebody {line} as herself", (90, 30 + 30 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 240, 1)
    assert quality.lettering_share(card) > 0.97
    for seed in range(8):
        assert quality.lettering_share(arrays.luma(scene(seed, 480, 270))) < 0.9


def test_measures_come_back_from_a_row() -> None:
    measured = quality.measure(scene(3, 640, 360))
    row = Row(id="a", domain="photo", source="photos", width_px=640, height_px=360)
    full = row.model_copy(update={"scores": measured.scores, "hashes": measured.hashes})
    assert quality.from_row(full) == measured
    titled = full.model_copy(update={"scores": {**measured.scores, "title_lines": 2.0}})
    assert quality.from_row(titled).title_lines == 2
    for lacking in (row, full.model_copy(update={"hashes": None}), full.model_copy(update={"scores": {}})):
        with pytest.raises(UserError, match=r"^a was not measured: delete data/keyframes"):
            quality.from_row(lacking)
