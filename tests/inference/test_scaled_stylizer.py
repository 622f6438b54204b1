"""One look at any size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import UserError
from pipeline.inference.scaled_stylizer import DEFAULT_WORKING_PX, KEY, MAX_ASPECT, ScaledStylizer, WorkingPx, working_size
from pipeline.media import arrays
from pipeline.metrics import pixels
from tests.conftest import scene
from tests.support.stylizers import Inker, Negative, hills, negative

SIZES_PX = (512, 1024, 2048, 4096)


def scaled(working_px: WorkingPx, max_megapixels: float = 200.0, stated: str | None = None) -> tuple[ScaledStylizer, Negative]:
    inner = Negative()
    inner.metadata = {} if stated is None else {KEY: stated}
    return ScaledStylizer(inner, working_px, max_megapixels), inner


def test_large_photos_go_through_the_network_at_the_working_size_and_come_back_at_their_own() -> None:
    stylizer, inner = scaled(100)
    drawings = stylizer.stylize_batch([scene(0, 400, 300), scene(1, 400, 300)])
    assert inner.batches == [(2, 75, 100)]
    assert [drawing.shape for drawing in drawings] == [(300, 400, 3)] * 2
    small = arrays.resize(scene(0, 400, 300), 100, 75)
    assert np.abs(arrays.resize(drawings[0], 100, 75).astype(int) - negative(small)).mean() < 4


@pytest.mark.parametrize(("width", "height"), [(100, 75), (99, 100), (13, 14)])
def test_photos_that_are_no_larger_are_drawn_as_they_are(width: int, height: int) -> None:
    stylizer, inner = scaled(100)
    photo = scene(0, width, height)
    np.testing.assert_array_equal(stylizer(photo), negative(photo))
    assert inner.batches == [(1, height, width)]


def test_the_model_s_file_states_the_working_size_unless_another_is_asked_for() -> None:
    assert scaled("auto", stated="640")[0].working_px == 640
    assert scaled("auto")[0].working_px == DEFAULT_WORKING_PX
    assert scaled(300, stated="640")[0].working_px == 300


def test_another_working_size_is_another_identity() -> None:
    assert scaled(300)[0].identity == scaled(300)[0].identity != scaled(301)[0].identity


def test_the_limit_is_that_of_the_photo() -> None:
    stylizer, inner = scaled(100, max_megapixels=0.1)
    inner.max_megapixels = 0.01
    stylizer(scene(0, 360, 270))
    with pytest.raises(UserError, match=r"over the limit of 0\.1"):
        stylizer(scene(0, 400, 300))


def test_preparation_and_workload_are_those_of_the_working_size() -> None:
    stylizer, inner = scaled(100)
    prepared: list[tuple[int, int]] = []
    inner.prepare = lambda height, width: prepared.append((height, width))  # type: ignore[method-assign]
    stylizer.prepare(300, 400)
    assert prepared == [(75, 100)]
    assert stylizer.network_megapixels(300, 400) == 0.0075 and inner.network_megapixels(300, 400) == 0.12


@given(st.integers(1, 20_000), st.integers(1, 20_000), st.integers(64, 2000))
def test_working_sizes_keep_the_shape_and_count_the_short_side_of_long_pictures(
    width: int, height: int, working_px: int
) -> None:
    small_width, small_height = working_size(width, height, working_px)
    if max(width, height) <= working_px:
        assert (small_width, small_height) == (width, height)
    elif max(width, height) <= MAX_ASPECT * min(width, height):
        assert max(small_width, small_height) == working_px
    else:
        assert abs(min(small_width, small_height) - min(width, height, working_px / MAX_ASPECT)) <= 0.51
    assert 1 <= small_width <= width and 1 <= small_height <= height
    assert abs(small_width / width - small_height / height) <= 0.5 / width + 0.5 / height + 1e-9


def line_strengths(stylizer: Negative | ScaledStylizer) -> list[float]:
    """Line strength of a photo brought to each size, redrawn, and brought to one size."""
    photo = hills(0)
    drawings = (stylizer(arrays.resize(photo, side, side * 3 // 4)) for side in SIZES_PX)
    return [pixels.line_strength(arrays.resize(drawing, 512, 384)) for drawing in drawings]


def test_lines_are_as_strong_at_4096_pixels_as_at_512() -> None:
    at_own_size = line_strengths(Inker())
    assert at_own_size[-1] < 0.5 * at_own_size[0], "without a working size the look fades"
    strengths = line_strengths(ScaledStylizer(Inker(), 525))
    assert strengths[0] > 20
    assert all(abs(strength / strengths[0] - 1) <= 0.15 for strength in strengths), strengths
