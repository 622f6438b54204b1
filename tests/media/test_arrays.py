"""Operations on pictures in memory."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.media import arrays
from pipeline.media.images import Picture


def noise(height: int, width: int, seed: int = 0) -> Picture:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 200))
@settings(max_examples=40)
def test_shrink_keeps_the_proportions(height: int, width: int, side: int) -> None:
    small = arrays.shrink(np.zeros((height, width, 3), np.uint8), side)
    assert max(small.shape[:2]) == min(side, max(height, width))
    scale = min(1.0, side / max(height, width))
    assert small.shape[0] == max(1, round(height * scale)) and small.shape[1] == max(1, round(width * scale))


def test_resize_averages_when_shrinking() -> None:
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, 2)
    assert np.abs(arrays.resize(board, 8, 8).astype(int) - 127.5).max() < 2
    flat = np.full((5, 7, 3), 99, np.uint8)
    assert (arrays.resize(flat, 31, 17) == 99).all()


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 99))
@settings(max_examples=25)
def test_transparent_pixels_take_colors_of_visible_ones(height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    picture = rng.integers(100, 120, (height, width, 3), dtype=np.uint8)
    alpha = (rng.random((height, width)) > 0.5).astype(np.uint8) * 200
    alpha[0, 0] = 1
    hidden = picture.copy()
    hidden[alpha == 0] = 0
    spread = arrays.fill_transparent(hidden, alpha)
    np.testing.assert_array_equal(spread[alpha > 0], picture[alpha > 0])
    assert spread.min() >= 99 and spread.max() <= 120


def luma_709(picture: Picture) -> NDArray[np.float64]:
    return np.asarray(picture @ np.array([0.2126, 0.7152, 0.0722]))


def test_blend_is_exact_at_both_ends_and_linear_between() -> None:
    photo, drawn = noise(9, 11, 1), noise(9, 11, 2)
    np.testing.assert_array_equal(arrays.blend(photo, drawn, 0), photo)
    np.testing.assert_array_equal(arrays.blend(photo, drawn, 1), drawn)
    assert np.abs(arrays.blend(photo, drawn, 0.3) - (photo + 0.3 * (drawn.astype(float) - photo))).max() <= 0.51


def test_keep_color_has_luma_of_the_drawing_and_hue_of_the_photo() -> None:
    photo, drawn = noise(50, 60, 1), noise(50, 60, 2)
    kept = arrays.keep_color(photo, drawn)
    assert np.abs(luma_709(kept) - luma_709(drawn)).max() < 1
    chroma, of_photo = (one - luma_709(one)[..., None] for one in (kept, photo))
    share = (chroma * of_photo).sum(2) / (of_photo**2).sum(2).clip(1)
    assert share.min() > -0.05 and share.max() < 1.05
    assert np.abs(chroma - share[..., None] * of_photo).max() < 1.6  # same hue but for rounding
    np.testing.assert_array_equal(arrays.keep_color(photo, photo), photo)
    black = np.zeros_like(photo)
    np.testing.assert_array_equal(arrays.keep_color(photo, black), black)  # ink stays black on any color
