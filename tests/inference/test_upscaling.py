"""Drawings brought to the size of their photos: contours crisp, fine features back, nothing else invented."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as numpy_arrays

from pipeline.inference import upscaling
from pipeline.inference.upscaling import add_detail, back_project, enlarge, upscale_drawing
from pipeline.media import arrays
from pipeline.media.images import Picture
from tests.conftest import scene

drawings = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(lambda size: numpy_arrays(np.uint8, (*size, 3)))


def test_a_drawing_of_the_photo_s_size_is_returned_as_it_is() -> None:
    drawing = scene(0, 30, 20)
    np.testing.assert_array_equal(upscale_drawing(drawing, scene(1, 30, 20)), drawing)


@given(drawings, st.integers(0, 40), st.integers(0, 40))
@settings(max_examples=100, deadline=None)
def test_values_stay_within_the_range_of_the_drawing_and_a_mirrored_drawing_is_enlarged_mirrored(
    drawing: Picture, wider: int, higher: int
) -> None:
    height, width = drawing.shape[0] + higher, drawing.shape[1] + wider
    result = enlarge(drawing, width, height)
    assert result.shape == (height, width, 3)
    assert (result >= drawing.min((0, 1))).all() and (result <= drawing.max((0, 1))).all()
    mirrored = enlarge(np.ascontiguousarray(drawing[:, ::-1]), width, height)[:, ::-1]
    assert np.abs(mirrored.astype(int) - result).max() <= 1


@given(st.tuples(*[st.integers(0, 255)] * 3), st.integers(1, 50), st.integers(1, 50))
@settings(max_examples=50, deadline=None)
def test_one_color_stays_that_color(color: tuple[int, int, int], width: int, height: int) -> None:
    result = enlarge(np.full((7, 5, 3), color, np.uint8), 5 + width, 7 + height)
    assert (result == color).all()


def test_values_stay_within_the_range_of_their_neighborhood() -> None:
    drawing, factor = scene(3, 40, 30), 4
    result = enlarge(drawing, 40 * factor, 30 * factor)
    # Smoothing looks at 3 pixels, the range at one more, and interpolation of the bounds at one more.
    around = np.ones((11, 11), np.uint8)
    low, high = (np.kron(bound(drawing, around), np.ones((factor, factor, 1), np.uint8)) for bound in (cv2.erode, cv2.dilate))
    assert (result >= low).all() and (result <= high).all()


@pytest.mark.parametrize("factor", [2, 4, 6])
def test_a_step_stays_a_step(factor: int) -> None:
    """From a tenth to nine tenths of its height in about a pixel of the drawing at most; cubic interpolation takes longer."""
    drawing = np.full((20, 20, 3), 40, np.uint8)
    drawing[:, 10:] = 220
    row = enlarge(drawing, 20 * factor, 20 * factor)[10 * factor, :, 0].astype(int)
    assert (np.diff(row) >= 0).all() and row[0] == 40 and row[-1] == 220
    soft = (row > 58) & (row < 202)
    assert soft.sum() <= 0.6 * factor
    assert abs(int(np.argmax(row > 130)) - 10 * factor) <= 1, "the contour stays where it was"


def test_a_thin_line_keeps_its_darkness_and_width() -> None:
    drawing = np.full((21, 21, 3), 230, np.uint8)
    drawing[:, 9:12] = 20
    row = enlarge(drawing, 84, 84)[40, :, 0].astype(int)
    assert row.min() <= 30
    assert abs(int((row < 125).sum()) - 12) <= 1


def test_bands_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    drawing = scene(1, 60, 45)
    whole = enlarge(drawing, 233, 177)
    monkeypatch.setattr(upscaling, "_BAND_PIXELS", 7 * 233)
    assert np.abs(enlarge(drawing, 233, 177).astype(int) - whole).max() <= 1  # resizing sums in another order


def test_rows_are_interpolated_as_by_opencv() -> None:
    values = scene(2, 20, 31).astype(np.float32)
    for cubic, kind in ((True, cv2.INTER_CUBIC), (False, cv2.INTER_LINEAR)):
        expected = cv2.resize(values, (20, 83), interpolation=kind)[30:50]
        np.testing.assert_allclose(upscaling._rows(values, np.arange(30, 50), 83, cubic=cubic), expected, atol=1e-2)


def eyes(width: int, height: int) -> Picture:
    """A photo with dark eyes of 10 pixels on a face that has texture."""
    photo = np.full((height, width, 3), 190, np.uint8)
    for x in range(40, width - 20, 60):
        cv2.circle(photo, (x, height // 2), 5, (30, 30, 30), -1)
    grain = np.random.default_rng(0).integers(-3, 4, photo.shape)
    return np.asarray(photo + grain, np.uint8)


def test_fine_features_come_from_the_photo_and_texture_does_not() -> None:
    photo = eyes(480, 320)
    small = arrays.resize(photo, 60, 40)
    soft = np.asarray(190 + (small.astype(int) - 190) * 0.8, np.uint8)  # a drawing that follows the photo
    for drawing, darker in ((soft, True), (np.full_like(small, 190), False), (255 - small, False)):
        result = upscale_drawing(drawing, photo).astype(int)
        assert result.shape == photo.shape
        plain = enlarge(drawing, 480, 320).astype(int)
        centers = [result[160, x].mean() - plain[160, x].mean() for x in range(40, 460, 60)]
        assert max(centers) < -15 if darker else min(centers) > -5
        no_eyes = [slice(0, 120), slice(200, 320)]
        assert max(np.abs(result[rows] - plain[rows]).max() for rows in no_eyes) <= 2, "grain stays out"


@given(st.integers(0, 5), st.integers(61, 130), st.integers(41, 90))
@settings(max_examples=20, deadline=None)
def test_detail_changes_nothing_at_the_size_of_the_drawing(seed: int, width: int, height: int) -> None:
    photo, drawing = scene(seed, width, height), scene(seed + 1, 60, 40)
    enlarged = enlarge(drawing, width, height)
    change = add_detail(enlarged, photo, drawing).astype(np.float32) - enlarged
    assert abs(cv2.resize(change, (60, 40), interpolation=cv2.INTER_AREA).mean()) < 2


def test_photos_up_to_twice_the_working_size_take_all_detail(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[tuple[int, ...]] = []
    real = upscaling.add_detail

    def watched(enlarged: Picture, photo: Picture, drawing: Picture) -> Picture:
        sizes.append(photo.shape[:2])
        return real(enlarged, photo, drawing)

    monkeypatch.setattr(upscaling, "add_detail", watched)
    for width, height in ((90, 60), (120, 80), (600, 400)):
        assert upscale_drawing(scene(0, 60, 40), scene(0, width, height)).shape == (height, width, 3)
    assert sizes == [(60, 90), (80, 120), (80, 120)]


@given(st.integers(0, 5), st.integers(90, 120), st.integers(60, 80))
@settings(max_examples=20, deadline=None)
def test_back_projection_brings_the_shrunk_drawing_nearer_to_the_drawing(seed: int, width: int, height: int) -> None:
    drawing = scene(seed, 60, 40)
    enlarged = enlarge(drawing, width, height)
    before, after = (
        np.abs(arrays.resize(picture, 60, 40).astype(int) - drawing).mean()
        for picture in (enlarged, back_project(enlarged, drawing))
    )
    assert after < 0.8 * before
