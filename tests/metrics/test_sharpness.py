"""Edge blur: known blurs are measured, and pictures are brought to a common one."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.media.images import Picture
from pipeline.metrics import sharpness
from tests.conftest import scene


def areas(blur_px: float, turn: int = 0, low: int = 60, high: int = 190) -> Picture:
    """Draw large areas with edges of a given blur, at four times the size so that no stair steps remain."""
    large = np.full((128 * 4, 128 * 4, 3), low, np.uint8)
    cv2.circle(large, (250 + turn, 210), 150, (high,) * 3, -1)
    cv2.rectangle(large, (300, 350), (470, 480 + turn), (high,) * 3, -1)
    picture = cv2.resize(cv2.GaussianBlur(large, (0, 0), 4 * blur_px), (128, 128), interpolation=cv2.INTER_AREA)
    return np.asarray(picture, np.uint8)


@settings(max_examples=12, deadline=None)
@given(st.floats(0.6, 2.8), st.integers(0, 30), st.integers(20, 90), st.integers(150, 240))
def test_a_known_blur_is_measured(blur_px: float, turn: int, low: int, high: int) -> None:
    measured = sharpness.edge_blur_px(areas(blur_px, turn, low, high))
    # A pixel is a blur of its own: a box of side 1 has a standard deviation of 0.29.
    assert measured == pytest.approx(np.hypot(blur_px, 0.29), rel=0.08)


@settings(max_examples=10, deadline=None)
@given(st.floats(0.5, 1.5), st.floats(1.2, 2.5))
def test_pictures_are_softened_to_a_given_blur_and_never_sharpened(blur_px: float, to_px: float) -> None:
    picture = areas(blur_px)
    before, after = sharpness.edge_blur_px(picture), sharpness.edge_blur_px(sharpness.soften(picture, to_px))
    assert before is not None
    assert after == pytest.approx(max(before, to_px), rel=0.08)
    if before > to_px:
        assert np.array_equal(sharpness.soften(picture, to_px), picture)


def test_a_picture_without_edges_has_no_blur_and_is_not_changed() -> None:
    flat = np.full((64, 64, 3), 90, np.uint8)
    assert sharpness.edge_blur_px(flat) is None and sharpness.typical_px([flat]) is None
    assert np.array_equal(sharpness.soften(flat, 3.0), flat)
    assert sharpness.common_px([flat], [flat]) == 0
    assert sharpness.common_px([flat], [areas(1.0)]) == pytest.approx(1.04, rel=0.1)


def test_the_softer_side_is_the_common_one() -> None:
    sharp, soft = [areas(0.6), areas(0.7)], [areas(1.6), areas(1.7), areas(1.8)]
    assert sharpness.common_px(sharp, soft) == sharpness.common_px(soft, sharp) == sharpness.typical_px(soft)


@pytest.mark.parametrize("seed", range(4))
def test_more_blur_of_a_textured_picture_measures_as_more(seed: int) -> None:
    picture = scene(seed, 256, 256)
    measured = [
        sharpness.edge_blur_px(np.asarray(cv2.GaussianBlur(picture, (0, 0), blur), np.uint8)) for blur in (0.5, 1.0, 2.0)
    ]
    assert None not in measured and measured == sorted(measured)  # type: ignore[type-var]
