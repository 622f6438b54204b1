"""Where subtitles are and what they cover."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from pipeline.frames import lettering, subtitles
from pipeline.frames.letterbox import Box
from pipeline.media.images import Picture
from pipeline.sample import film_of
from tests.conftest import scene
from tests.support.frames import HEIGHT, WIDTH, inside, video_luma
from tests.support.subtitles import STYLES, TEXTS, Style, burn


def hints(shot: Sequence[lettering.Lettering]) -> list[subtitles.BaseLine]:
    return [hint for one in shot for hint in subtitles.base_lines(one)]


def covered_in(shot: Sequence[Picture], film: Sequence[subtitles.BaseLine] = ()) -> list[Box]:
    """What a film keeps free in a shot that is all it has of subtitles."""
    shown = [lettering.detect(video_luma(picture)) for picture in shot]
    return [box for box, _ in subtitles.covered_in_shot(shown, [*film, *hints(shown)])]


@pytest.mark.parametrize("style", STYLES, ids=lambda style: f"{style.font}-{style.size}")
def test_subtitles_of_a_single_shot_are_covered(style: Style) -> None:
    """The only shot of a film with a subtitle, over things that move: all of the subtitle is kept free, and little more."""
    heights = []
    for seed, text in enumerate(TEXTS):
        made = [burn(scene(seed + 60, WIDTH, HEIGHT, shift=9 * step), text, style) for step in range(3)]
        (found,) = covered_in([picture for picture, _ in made])
        assert all(inside(box, found) for _, box in made), text
        assert (found[1] == 0) == style.top
        heights.append(found[3] / HEIGHT)
    assert np.mean(heights) <= 0.25


@pytest.mark.parametrize("text", ["No!", "I see."])
def test_short_subtitles_are_covered_where_the_film_has_others(text: str) -> None:
    """Of themselves two to five letters say nothing, as drawn lines form such rows."""
    longer = [lettering.detect(video_luma(burn(scene(seed, WIDTH, HEIGHT), TEXTS[0])[0])) for seed in range(3)]
    film = subtitles.film_base_lines([hints([one]) for one in longer])
    covered = 0
    for seed in range(100, 120):
        picture, box = burn(scene(seed, WIDTH, HEIGHT), text)
        assert covered_in([picture]) == []
        found = covered_in([picture], film)
        covered += any(inside(box, one) for one in found)
        assert covered_in([scene(seed, WIDTH, HEIGHT)], film) == []
    assert covered >= 19


def test_base_lines_of_a_film_need_several_frames_and_shots() -> None:
    shots = [[lettering.detect(video_luma(burn(scene(seed, WIDTH, HEIGHT), TEXTS[seed])[0]))] * 2 for seed in range(3)]
    (band,) = subtitles.film_base_lines([hints(shot) for shot in shots])
    assert 0.9 < band.base < 0.96 and 0.02 < band.capital < 0.08
    assert subtitles.film_base_lines([[band] * 9]) == [], "one shot alone is no habit"
    assert subtitles.film_base_lines([[band], [band]]) == [], "too few"
    assert subtitles.film_base_lines([[band, band], [band]]) == [band]
    assert subtitles.film_base_lines([[subtitles.BaseLine(0.7 + 0.04 * index, band.capital)] for index in range(6)]) == []


def test_subtitles_of_the_sample_film_are_covered() -> None:
    film = film_of(WIDTH, 24, seed=1)
    spans = film.truth()["subtitle"]
    assert len(spans) == 2
    shots: list[list[tuple[int, lettering.Lettering]]] = []
    for name in ("sea_wall", "her_face", "rain_window", "sunset"):
        shot = next(shot for shot in film.truth()["shots"] if shot["name"] == name)
        times = range(shot["first_frame"] + 6, shot["end_frame"], 20)
        shots.append([(at, lettering.detect(video_luma(film.framed(film.draw((at, at + 1))[0])))) for at in times])
    bands = subtitles.film_base_lines([hints([one for _, one in shot]) for shot in shots])
    marked = 0
    for shot in shots:
        letterings = [one for _, one in shot]
        found = [box for box, _ in subtitles.covered_in_shot(letterings, [*bands, *hints(letterings)])]
        truth = [span["box"] for span in spans for at, _ in shot if span["first_frame"] <= at < span["end_frame"]]
        marked += len(truth)
        for x, y, width, height in truth:  # the box of the line with its ascenders' and descenders' room; strokes lie within
            assert any(inside((x + 4, y + 6, width - 8, height - 12), box) for box in found)
        assert truth or not found
    assert marked >= 6
