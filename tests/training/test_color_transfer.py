"""Color transfer: the direction of the fitted transform, and what it does not change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.media import arrays
from pipeline.media.images import Picture
from pipeline.training.color_transfer import (
    TYPICAL_PHOTOGRAPHS,
    ColorStatistics,
    ColorTransform,
    apply_transform,
    fit_transform,
    measure_colors,
    mix_with_typical,
)
from tests.conftest import scene

AMOUNTS = st.sampled_from([0.0, 0.3, 0.7, 1.0])
TINTS = st.tuples(st.floats(-20, 20), st.floats(-20, 20))
STATISTICS = st.builds(ColorStatistics, st.floats(0, 100), st.floats(0, 60), TINTS)


def grays() -> Picture:
    return np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)


def noisy(seed: int, low: int, high: int) -> Picture:
    rng = np.random.default_rng(seed)
    return np.asarray(rng.integers(low, high, (48, 64, 3)), np.uint8)


@given(STATISTICS, STATISTICS, AMOUNTS)
def test_black_stays_black_and_white_white_whatever_the_statistics(
    photos: ColorStatistics, film: ColorStatistics, amount: float
) -> None:
    transform = fit_transform(photos, film, amount)
    assert ColorTransform.model_validate_json(transform.model_dump_json()) == transform
    result = apply_transform(grays(), transform).astype(int)
    assert result[0, 0].max() <= 1 and result[0, -1].min() >= 254
    luma = arrays.luma(result.astype(np.uint8)).astype(int)
    assert (np.diff(luma[0]) >= -1).all()


@given(STATISTICS, AMOUNTS)
def test_photos_with_the_films_statistics_stay_as_they_are(statistics: ColorStatistics, amount: float) -> None:
    assert fit_transform(statistics, statistics, amount) == ColorTransform() or statistics.chroma < 1


def test_an_amount_of_zero_changes_nothing() -> None:
    transform = fit_transform(ColorStatistics(30, 10, (5, 5)), ColorStatistics(70, 30, (-9, 20)), 0.0)
    assert transform == ColorTransform() and np.array_equal(apply_transform(scene(3), transform), scene(3))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 50))
def test_transformed_photos_have_the_films_statistics(seed: int) -> None:
    photos = [noisy(seed + index, 60, 160) for index in range(3)]
    film = [arrays.resize(noisy(seed + index, 90, 180), 16, 12) for index in range(3)]  # less colorful, lighter
    film = [np.asarray(picture + np.array((12, 0, -12)), np.uint8) for picture in film]  # and warmer
    before, wanted = measure_colors(photos), measure_colors(film)
    transform = fit_transform(before, wanted, 1.0)
    after = measure_colors([apply_transform(photo, transform) for photo in photos])
    assert abs(after.lightness - wanted.lightness) < 0.3 * abs(before.lightness - wanted.lightness)
    assert abs(after.chroma - wanted.chroma) < 0.3 * abs(before.chroma - wanted.chroma)
    tints = [np.hypot(*np.subtract(one.tint, wanted.tint)) for one in (before, after)]
    assert tints[1] < 0.5 * tints[0]  # other pixels are nearly gray afterwards


def test_few_photos_count_little_and_many_for_themselves() -> None:
    dark = ColorStatistics(20.0, 40.0, (9.0, -9.0))
    assert mix_with_typical(dark, 0) == TYPICAL_PHOTOGRAPHS
    few, many = mix_with_typical(dark, 10), mix_with_typical(dark, 10_000)
    assert dark.lightness < many.lightness < 20.3 < 40 < few.lightness < TYPICAL_PHOTOGRAPHS.lightness
    assert dark.chroma > many.chroma > few.chroma > TYPICAL_PHOTOGRAPHS.chroma
    assert many.tint == pytest.approx(dark.tint, abs=0.1) and few.tint[0] == pytest.approx(1 / 6 * 9 + 5 / 6 * 0.3)


def test_colorful_pixels_do_not_count_towards_the_tint() -> None:
    meadow = np.full((20, 20, 3), (40, 160, 50), np.uint8)
    meadow[:6] = 128
    assert measure_colors([meadow]).tint == pytest.approx((0, 0), abs=0.1)
    assert measure_colors([meadow[6:]]).tint == (0, 0) and measure_colors([meadow]).chroma > 40


def test_a_grey_film_removes_color_and_half_the_amount_removes_half() -> None:
    photos = measure_colors([scene(1), scene(2)])
    gray = measure_colors([np.repeat(arrays.luma(scene(index))[..., None], 3, axis=2) for index in (3, 4)])
    result = apply_transform(scene(1), fit_transform(photos, gray, 1.0)).astype(int)
    assert (result.max(2) - result.min(2)).max() <= 6
    assert fit_transform(photos, gray, 0.5).chroma_scale == 0.5


def test_a_film_of_nights_does_not_make_photos_black() -> None:
    transform = fit_transform(ColorStatistics(60, 10, (0, 0)), ColorStatistics(2, 10, (0, 0)), 1.0)
    assert transform.gamma == 1.35
    assert apply_transform(np.full((4, 4, 3), 128, np.uint8), transform).min() > 60


def test_small_changes_of_the_film_do_not_change_the_transform() -> None:
    photos = ColorStatistics(50.0, 12.0, (1.0, 2.0))
    first = fit_transform(photos, ColorStatistics(55.0, 15.4, (-4.0, 6.0)), 0.7)
    assert fit_transform(photos, ColorStatistics(55.2, 15.5, (-4.1, 6.1)), 0.7) == first


def test_pictures_count_by_their_size_and_one_pixel_is_enough() -> None:
    red = np.zeros((1, 1, 3), np.uint8)
    red[..., 0] = 255
    assert measure_colors([red]).lightness == pytest.approx(53.2, abs=0.2)
    large = np.full((80, 80, 3), 255, np.uint8)
    assert measure_colors([red, large]).lightness > 99
