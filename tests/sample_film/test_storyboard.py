"""The timeline: shots follow each other, spans cover them, and the film is the same story at any size and rate."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.sample import film_of
from pipeline.sample_film.storyboard import STORYBOARD


def test_shots_follow_each_other_without_gaps() -> None:
    film = film_of(320, 8, seed=1)
    shots = film.truth()["shots"]
    assert len(shots) == len(STORYBOARD) >= 16
    assert [shot["first_frame"] for shot in shots] == [0] + [shot["end_frame"] for shot in shots[:-1]]
    assert shots[-1]["end_frame"] == film.count == film.truth()["frames"]
    assert sum(shot["kind"] == "scene" for shot in shots) >= 14


@pytest.mark.parametrize(("width", "fps"), [(1280, 24), (320, 8), (480, 12), (1920, 30)])
def test_the_film_has_the_same_shots_at_any_size_and_rate(width: int, fps: int) -> None:
    film = film_of(width, fps, seed=1)
    x, y, w, h = film.active
    assert (x, w) == (0, width) and y % 2 == 0 and h % 2 == 0 and 2 * y + h == film.height
    assert h / w == pytest.approx(544 / 1280, abs=0.01)
    assert film.count / fps == pytest.approx(sum(shot.length for shot in STORYBOARD) / 24, rel=0.02)
    assert len(film.truth()["cuts_s"]) == 16
    assert (width, fps) != (1280, 24) or (film.active == (0, 88, 1280, 544) and 60 <= film.count / fps <= 75)


def test_spans_cover_every_frame_once_and_cross_no_shot_boundary() -> None:
    film = film_of(320, 24, seed=1)
    spans = film.spans(longest=10)
    assert [frame for span in spans for frame in range(*span)] == list(range(film.count))
    assert not [span for span in spans if any(span[0] < start < span[1] for start in film.starts)]
    assert max(end - first for first, end in spans) == 10


def test_the_seed_moves_the_clouds_and_bars_are_added_around_them() -> None:
    films = [film_of(320, 8, seed) for seed in (1, 2)]
    first = films[0].starts[2]
    frames = [film.draw((first, first + 1))[0] for film in films]
    assert np.abs(frames[0].astype(int) - frames[1]).mean() > 1
    _, bar, _, height = films[0].active
    framed = films[0].framed(frames[0])
    assert framed.shape == (films[0].height, 320, 3) and not framed[:bar].any() and not framed[bar + height :].any()
    assert np.array_equal(framed[bar : bar + height], frames[0])
