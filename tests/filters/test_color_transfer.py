"""The film's palette: where the grade leads, and what it leaves alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.filters import color_transfer
from pipeline.filters.color_transfer import ColorStatistics, ColorTransform
from pipeline.media import arrays
from pipeline.media.images import Picture
from tests.conftest import scene

SHARES = st.sampled_from([0.0, 0.3, 0.7, 1.0])
TINTS = st.tuples(st.floats(-20, 20), st.floats(-20, 20))
COLOURS = st.builds(ColorStatistics, st.floats(0, 100), st.floats(0, 60), TINTS)


def greys() -> Picture:
    return np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)


def noisy(seed: int, low: int, high: int) -> Picture:
    rng = np.random.default_rng(seed)
    return np.asarray(rng.integers(low, high, (48, 64, 3)), np.uint8)


@given(COLOURS, COLOURS, SHARES)
def test_whatever_the_palettes_black_stays_black_and_white_white(
    photos: ColorStatistics, film: ColorStatistics, share: float
) -> None:
    grade = color_transfer.color_transform_towards(photos, film, share)
    assert ColorTransform.model_validate_json(grade.model_dump_json()) == grade
    drawn = color_transfer.apply(greys(), grade).astype(int)
    assert drawn[0, 0].max() <= 1 and drawn[0, -1].min() >= 254
    luma = arrays.luma(drawn.astype(np.uint8)).astype(int)
    assert (np.diff(luma[0]) >= -1).all()


@given(COLOURS, SHARES)
def test_photos_like_the_film_stay_as_they_are(colours: ColorStatistics, share: float) -> None:
    grade = color_transfer.color_transform_towards(colours, colours, share)
    assert grade == ColorTransform() or colours.chroma < 1


def test_without_a_share_nothing_changes() -> None:
    grade = color_transfer.color_transform_towards(ColorStatistics(30, 10, (5, 5)), ColorStatistics(70, 30, (-9, 20)), 0.0)
    assert grade == ColorTransform() and np.array_equal(color_transfer.apply(scene(3), grade), scene(3))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 50))
def test_graded_photos_have_the_films_colours(seed: int) -> None:
    photos = [noisy(seed + index, 60, 160) for index in range(3)]
    film = [arrays.resize(noisy(seed + index, 90, 180), 16, 12) for index in range(3)]  # calmer colours, lighter
    film = [np.asarray(picture + np.array((12, 0, -12)), np.uint8) for picture in film]  # and warmer
    before, wanted = color_transfer.measure(photos), color_transfer.measure(film)
    after = color_transfer.measure(
        [color_transfer.apply(photo, color_transfer.color_transform_towards(before, wanted, 1.0)) for photo in photos]
    )
    assert abs(after.lightness - wanted.lightness) < 0.3 * abs(before.lightness - wanted.lightness)
    assert abs(after.chroma - wanted.chroma) < 0.3 * abs(before.chroma - wanted.chroma)
    tints = [np.hypot(*np.subtract(one.tint, wanted.tint)) for one in (before, after)]
    assert tints[1] < 0.5 * tints[0]  # which pixels are nearly grey is another question afterwards


def test_what_is_colourful_gives_no_tint() -> None:
    meadow = np.full((20, 20, 3), (40, 160, 50), np.uint8)
    meadow[:6] = 128
    assert color_transfer.measure([meadow]).tint == pytest.approx((0, 0), abs=0.1)
    assert color_transfer.measure([meadow[6:]]).tint == (0, 0) and color_transfer.measure([meadow]).chroma > 40


def test_a_film_without_colour_takes_it_away_and_half_the_way_is_half() -> None:
    photos = color_transfer.measure([scene(1), scene(2)])
    grey = color_transfer.measure([np.repeat(arrays.luma(scene(index))[..., None], 3, axis=2) for index in (3, 4)])
    drawn = color_transfer.apply(scene(1), color_transfer.color_transform_towards(photos, grey, 1.0)).astype(int)
    assert (drawn.max(2) - drawn.min(2)).max() <= 6
    half = color_transfer.color_transform_towards(photos, grey, 0.5)
    assert half.vividness == 0.5


def test_a_film_of_nights_does_not_paint_photos_black() -> None:
    grade = color_transfer.color_transform_towards(ColorStatistics(60, 10, (0, 0)), ColorStatistics(2, 10, (0, 0)), 1.0)
    assert grade.gamma == 1.35
    assert color_transfer.apply(np.full((4, 4, 3), 128, np.uint8), grade).min() > 60


def test_another_episode_seldom_moves_the_grade() -> None:
    photos = ColorStatistics(50.0, 12.0, (1.0, 2.0))
    first = color_transfer.color_transform_towards(photos, ColorStatistics(55.0, 15.4, (-4.0, 6.0)), 0.7)
    assert color_transfer.color_transform_towards(photos, ColorStatistics(55.2, 15.5, (-4.1, 6.1)), 0.7) == first


def test_size_of_pictures_counts_and_one_pixel_is_enough() -> None:
    red = np.zeros((1, 1, 3), np.uint8)
    red[..., 0] = 255
    assert color_transfer.measure([red]).lightness == pytest.approx(53.2, abs=0.2)
    large = np.full((80, 80, 3), 255, np.uint8)
    assert color_transfer.measure([red, large]).lightness > 99
