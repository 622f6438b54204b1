"""Flicker falls, and nothing of an earlier frame shows where it does not belong."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.film.deflicker import deflicker, frame_agreement
from pipeline.media.images import Picture
from tests.conftest import scene


def noisy(picture: Picture, seed: int, sd: float) -> Picture:
    noise = np.random.default_rng(seed).normal(0, sd, picture.shape)
    return np.asarray(np.clip(np.rint(picture + noise), 0, 255), np.uint8)


def run(film: list[Picture], drawn: list[Picture], amount: float) -> list[Picture]:
    made = [drawn[0]]
    for index in range(1, len(film)):
        made.append(deflicker(film[index - 1], made[-1], film[index], drawn[index], amount))
    return made


def flicker(pictures: list[Picture]) -> float:
    return float(np.mean([np.abs(a.astype(int) - b).mean() for a, b in zip(pictures[2:], pictures[1:], strict=False)]))


@pytest.mark.parametrize("sd", [2.0, 6.0, 12.0])
def test_flicker_of_a_still_noisy_clip_falls_by_more_than_half(sd: float) -> None:
    still = scene(3, 160, 96)
    film = [noisy(still, seed, sd) for seed in range(12)]
    drawn = [noisy(255 - still, 100 + seed, 8) for seed in range(12)]
    before = flicker(drawn)
    assert flicker(run(film, drawn, 1.0)) < 0.4 * before
    assert flicker(run(film, drawn, 0.6)) < 0.5 * before + 0.3
    assert run(film, drawn, 0.0)[5] is drawn[5]


@pytest.mark.parametrize("step", [1, 3, 8, 20])
@pytest.mark.parametrize("sd", [0.0, 4.0])
def test_moving_things_leave_no_ghost(step: int, sd: float) -> None:
    ground = scene(5, 200, 120)
    film, drawn = [], []
    for index in range(9):
        picture = ground.copy()
        picture[40:80, 10 + step * index : 50 + step * index] = (220, 40, 30)
        film.append(noisy(picture, index, sd))
        drawn.append(255 - picture)
    made = run(film, drawn, 1.0)
    worst = max(np.abs(a.astype(int) - b).max(axis=2)[32:88, :].mean() for a, b in zip(made, drawn, strict=True))
    trail = [
        np.abs(a.astype(int) - b)[42:78, max(0, 10 + step * (i - 1)) : 10 + step * i].max()
        for i, (a, b) in enumerate(zip(made, drawn, strict=True))
        if i
    ]
    assert worst < 2.0
    assert max(trail) < 10


def test_moving_things_are_deflickered_too() -> None:
    wide = scene(7, 300, 120)
    film = [np.ascontiguousarray(wide[:, 3 * index : 3 * index + 200]) for index in range(12)]
    drawn = [noisy(255 - picture, index, 8) for index, picture in enumerate(film)]
    made = run(film, drawn, 1.0)
    errors = [np.abs((255 - film[-1]).astype(int) - last[-1])[8:-8, 8:-8].mean() for last in (drawn, made)]
    assert errors[1] < 0.6 * errors[0]


@pytest.mark.parametrize("seeds", [(1, 2), (3, 9), (4, 5)])
def test_nothing_of_the_previous_shot_shows_after_a_cut(seeds: tuple[int, int]) -> None:
    one, other = (scene(seed, 200, 120) for seed in seeds)
    made = deflicker(noisy(one, 1, 3), 255 - one, noisy(other, 2, 3), other, 1.0)
    assert (made == other).all()


def test_a_fade_is_not_held_back() -> None:
    still = scene(3, 160, 96).astype(float)
    film = [np.asarray(still * (1 - index / 12), np.uint8) for index in range(12)]
    made = run(film, film, 1.0)
    assert max(np.abs(a.astype(int) - b).mean() for a, b in zip(made, film, strict=True)) < 3


def test_frames_agree_despite_noise_but_not_where_something_changed() -> None:
    still = scene(3, 160, 96)
    assert frame_agreement(noisy(still, 1, 8), noisy(still, 2, 8)).mean() > 0.7
    moved = still.copy()
    moved[30:60, 30:60] = 255 - moved[30:60, 30:60]
    assert frame_agreement(moved, still)[32:58, 32:58].mean() < 0.1
    assert frame_agreement(moved, still)[70:, 70:].min() == 1


@pytest.mark.parametrize("size", [(1, 1), (8, 40), (33, 31)])
def test_any_size(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    assert (deflicker(picture, picture, picture, picture, 1.0) == picture).all()
