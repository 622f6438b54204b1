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
    assert (measured.luma_p95, measured.luma_std, measured.luma_p5) == (200, 80, 40)
    assert (measured.chroma, measured.aspect) == (0, 1.78)
    assert quality.measure(np.full((90, 270, 3), (250, 40, 40), np.uint8)).chroma == 210
    assert quality.measure(np.zeros((90, 270, 3), np.uint8)).aspect == 3
    assert quality.measure(np.full((270, 480, 3), 90, np.uint8)).scores == {
        "luma_p95": 90,
        "luma_std": 0,
        "sharpness": 0,
        "lettering": 0,
        "luma_p5": 90,
        "chroma": 0,
        "aspect": 1.78,
        "straight_lines": 0,
    }


def test_straight_lines_count_where_both_axes_have_them() -> None:
    window = np.full((270, 480), 240, np.uint8)
    for y in range(20, 260, 40):
        window[y : y + 2, 200:] = 120
    assert quality.straight_lines(window) == 0
    window[:, 100:103] = 120
    assert quality.straight_lines(window) == 2, "the edges of one line, down"
    assert quality.straight_lines(arrays.luma(scene(4, 480, 270) // 40 + 100)) == 0


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
