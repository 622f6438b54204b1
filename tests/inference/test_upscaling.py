"""Enlarged drawings: nothing invented, contours crisp."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as numpy_arrays

from pipeline.inference import upscaling
from pipeline.inference.upscaling import upscale_drawing
from pipeline.media.images import Picture
from tests.conftest import scene

drawings = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(lambda size: numpy_arrays(np.uint8, (*size, 3)))


def test_a_drawing_of_the_wanted_size_is_returned_as_it_is() -> None:
    drawing = scene(0, 30, 20)
    np.testing.assert_array_equal(upscale_drawing(drawing, 30, 20), drawing)


@given(drawings, st.integers(0, 40), st.integers(0, 40))
@settings(max_examples=100, deadline=None)
def test_values_stay_within_the_range_of_the_drawing_and_a_mirrored_drawing_is_enlarged_mirrored(
    drawing: Picture, wider: int, higher: int
) -> None:
    height, width = drawing.shape[0] + higher, drawing.shape[1] + wider
    result = upscale_drawing(drawing, width, height)
    assert result.shape == (height, width, 3)
    assert (result >= drawing.min((0, 1))).all() and (result <= drawing.max((0, 1))).all()
    mirrored = upscale_drawing(np.ascontiguousarray(drawing[:, ::-1]), width, height)[:, ::-1]
    assert np.abs(mirrored.astype(int) - result).max() <= 1


@given(st.tuples(*[st.integers(0, 255)] * 3), st.integers(1, 50), st.integers(1, 50))
@settings(max_examples=50, deadline=None)
def test_one_color_stays_that_color(color: tuple[int, int, int], width: int, height: int) -> None:
    result = upscale_drawing(np.full((7, 5, 3), color, np.uint8), 5 + width, 7 + height)
    assert (result == color).all()


def test_values_stay_within_the_range_of_their_neighborhood() -> None:
    drawing, factor = scene(3, 40, 30), 4
    result = upscale_drawing(drawing, 40 * factor, 30 * factor)
    # Smoothing looks at 3 pixels, the range at one more, and interpolation of the bounds at one more.
    around = np.ones((11, 11), np.uint8)
    low, high = (np.kron(bound(drawing, around), np.ones((factor, factor, 1), np.uint8)) for bound in (cv2.erode, cv2.dilate))
    assert (result >= low).all() and (result <= high).all()


@pytest.mark.parametrize("factor", [2, 4, 6])
def test_a_step_stays_a_step(factor: int) -> None:
    """From a tenth to nine tenths of its height in about a pixel of the drawing at most; cubic interpolation takes longer."""
    drawing = np.full((20, 20, 3), 40, np.uint8)
    drawing[:, 10:] = 220
    row = upscale_drawing(drawing, 20 * factor, 20 * factor)[10 * factor, :, 0].astype(int)
    assert (np.diff(row) >= 0).all() and row[0] == 40 and row[-1] == 220
    soft = (row > 58) & (row < 202)
    assert soft.sum() <= 0.6 * factor
    assert abs(int(np.argmax(row > 130)) - 10 * factor) <= 1, "the contour stays where it was"


def test_a_thin_line_keeps_its_darkness_and_width() -> None:
    drawing = np.full((21, 21, 3), 230, np.uint8)
    drawing[:, 9:12] = 20
    row = upscale_drawing(drawing, 84, 84)[40, :, 0].astype(int)
    assert row.min() <= 30
    assert abs(int((row < 125).sum()) - 12) <= 1


def test_strips_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    drawing = scene(1, 60, 45)
    whole = upscale_drawing(drawing, 233, 177)
    monkeypatch.setattr(upscaling, "_STRIP_PIXELS", 7 * 233)
    np.testing.assert_array_equal(upscale_drawing(drawing, 233, 177), whole)
