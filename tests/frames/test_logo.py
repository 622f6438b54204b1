"""Logos in corners of films."""

from __future__ import annotations

import pytest

from pipeline.frames import logo
from tests.conftest import scene
from tests.support.frames import HEIGHT, LOGO_PLACES, WIDTH, inside, video_luma, with_logo


@pytest.mark.parametrize("place", LOGO_PLACES)
def test_a_logo_is_found_in_any_corner(place: tuple[int, int]) -> None:
    lumas = [video_luma(with_logo(scene(seed, WIDTH, HEIGHT), place)) for seed in range(24)]
    found = logo.detect(lumas)
    assert inside((place[0] - 12, place[1] - 12, 25, 25), found)
    assert found is not None and found[2] * found[3] < 50 * 50


def test_films_without_a_logo_or_without_motion_have_none() -> None:
    assert logo.detect([video_luma(scene(seed, WIDTH, HEIGHT)) for seed in range(24)]) is None
    assert logo.detect([video_luma(with_logo(scene(5, WIDTH, HEIGHT), LOGO_PLACES[0]))] * 24) is None
    assert logo.detect([video_luma(with_logo(scene(seed, WIDTH, HEIGHT), LOGO_PLACES[0])) for seed in range(4)]) is None
    assert logo.detect([]) is None
