"""Shots and their best frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.frames.cut_detectors import make_detector
from pipeline.frames.shot_detection import detect_shots
from pipeline.media import video
from pipeline.media.images import Picture
from pipeline.params.schema import Params
from tests.conftest import no_loss, scene, write_film
from tests.support import shot_films


def still(seed: int, count: int) -> Iterable[Picture]:
    return (scene(seed, shift=index // 3) for index in range(count))


def test_fades_through_black_end_shots(tmp_path: Path) -> None:
    def faded() -> Iterable[Picture]:
        for seed in (3, 4):
            for step in range(36):
                light = min(1.0, step / 12, (35 - step) / 12)
                yield (scene(seed, shift=step // 3) * light).astype(np.uint8)
            yield from [np.zeros((180, 320, 3), np.uint8)] * 6

    path = write_film(tmp_path / "faded.mp4", faded())
    found = list(detect_shots(video.frames(path, no_loss), make_detector("adaptive", None, 0.2)))
    bright = [shot for shot in found if max(scored.frame.luma().mean() for scored in shot.candidates) > 40]
    assert len(bright) == 2
    for shot in bright:
        for scored in shot.best(3, 0.2, 0.1):
            assert not scored.transition
            second = scored.frame.time_s % 3.5
            assert 11 / 12 <= second <= 25 / 12, "a frame inside a fade was taken"


def test_frames_in_dissolves_and_flashes_are_not_chosen(tmp_path: Path) -> None:
    def mixed() -> Iterable[Picture]:
        yield from still(5, 24)
        for step in range(1, 9):  # frames 24 to 31 dissolve
            share = step / 9
            yield (scene(5, shift=8) * (1 - share) + scene(6, shift=0) * share).astype(np.uint8)
        yield from still(6, 14)
        yield from [np.full((180, 320, 3), 250, np.uint8)] * 2  # frames 46 and 47 flash
        yield from still(6, 14)

    path = write_film(tmp_path / "mixed.mp4", mixed())
    found = list(detect_shots(video.frames(path, no_loss), make_detector("adaptive", None, 0.2)))
    taken = {scored.frame.index for shot in found for scored in shot.best(6, 0.08, 0.08) if not scored.transition}
    assert len(taken) >= 6
    assert not taken & {*range(25, 31), 46, 47}


def test_a_shot_of_four_frames_is_not_lost(tmp_path: Path) -> None:
    path = write_film(tmp_path / "short.mp4", [*still(7, 24), *still(8, 4), *still(9, 24)])
    found = list(detect_shots(video.frames(path, no_loss), make_detector("adaptive", None, 0.2)))
    assert [shot.frame_count for shot in found] == [24, 4, 24]
    assert all(shot.best(3, 0.4, 0.2) for shot in found)


def test_chosen_frames_are_sharp_and_apart(tmp_path: Path) -> None:
    sharp = {10, 40, 70}

    def frames() -> Iterable[Picture]:
        for index in range(84):
            picture = scene(11, shift=index // 4)
            yield picture if index in sharp else np.asarray(cv2.GaussianBlur(picture, (0, 0), 3), np.uint8)

    path = write_film(tmp_path / "blurred.mp4", frames())
    (shot,) = detect_shots(video.frames(path, no_loss), make_detector("adaptive", None, 0.2))
    assert {scored.frame.index for scored in shot.best(3, 0.4, 0.2)} == sharp


def test_memory_of_a_long_shot_is_bounded(tmp_path: Path) -> None:
    path = write_film(tmp_path / "long.mp4", (scene(1, 160, 90, shift=abs(index // 9 % 24 - 12)) for index in range(900)))
    (shot,) = detect_shots(video.frames(path, no_loss), make_detector("adaptive", None, 0.2))
    assert shot.frame_count == 900
    assert 12 <= len(shot.candidates) <= 25
    times = [scored.frame.time_s for scored in shot.best(3, 0.4, 0.2)]
    assert len(times) == 3 and max(times) - min(times) > 20


@pytest.mark.parametrize(
    ("kind", "fps"),
    [
        *((kind, 12) for kind in shot_films.KINDS),
        *((kind, 24) for kind in (shot_films.held, shot_films.held_grain, shot_films.dissolves, shot_films.wipes)),
        *((shot_films.repeats, 30), (shot_films.repeats, 60)),
    ],
)
def test_every_hard_cut_is_found_and_every_place_has_a_key_frame(
    kind: Callable[[shot_films.ShotFilm], None], fps: int, tmp_path: Path, committed: Params
) -> None:
    film = shot_films.draw(kind, fps)
    path = write_film(tmp_path / "film.mp4", film.pictures, fps, options={"crf": "20", "bf": "3"})
    params = committed.keyframes
    detector = make_detector(params.detector, params.threshold, params.min_shot_s)
    found = list(detect_shots(video.frames(path, no_loss, params.decode), detector))
    best = [shot.best(params.per_shot, params.min_gap_s, params.cut_margin_s) for shot in found]
    assert film.cuts_found(shot.start_s for shot in found[1:]) == len(film.cuts)
    assert film.places_represented(one.frame.time_s for chosen in best for one in chosen) == len(film.places) > 6


@pytest.mark.parametrize(("hold", "fps"), [(2, 24), (3, 24), (5, 60)])
def test_repeated_frames_make_no_cuts(hold: int, fps: int, tmp_path: Path) -> None:
    """A figure that leaps to and fro, in six places: as many shots as when each drawing is shown once."""
    film = shot_films.ShotFilm("", fps // hold)
    for seed in range(6):
        film.show(shot_films.Camera(seed, action=2.1, figure=40).shoot(film.frames(2.0), film.fps))
    shots = []
    for count in (1, hold):
        pictures = (picture for picture in film.pictures for _ in range(count))
        path = write_film(tmp_path / f"{count}.mp4", pictures, film.fps * count, options={"crf": "20"})
        shots.append(list(detect_shots(video.frames(path, no_loss), make_detector("adaptive", None, 0.2))))
    assert abs(len(shots[0]) - len(shots[1])) <= 1
    assert len(shots[1]) < 13
