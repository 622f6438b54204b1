"""Black bars: detected exactly, stable in dark scenes, different in shots that show so."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core import manifest
from pipeline.frames import letterbox
from pipeline.media import images, video
from pipeline.media.images import Picture
from pipeline.params.schema import Params
from tests.conftest import no_loss, scene, vary, write_film
from tests.test_keyframes import run

Luma = np.ndarray
WHOLE = (0, 0, 320, 180)


def plane(top: int, bottom: int, left: int = 0, right: int = 0, seed: int = 0) -> Luma:
    luma = np.random.default_rng(seed).integers(60, 200, (180, 320)).astype(np.uint8)
    luma[:top] = luma[180 - bottom :] = 16
    luma[:, :left] = luma[:, 320 - right :] = 16
    return luma


def profiles(lumas: Iterable[Luma]) -> list[letterbox.LineProfile]:
    return [one for one in (letterbox.line_profile(luma, 28) for luma in lumas) if one is not None]


def many(*bars: int, count: int = 8) -> list[letterbox.LineProfile]:
    top, bottom, left, right = (*bars, 0, 0)[:4]
    return profiles(plane(top, bottom, left, right, seed) for seed in range(count))


def lettered(luma: Luma, top: int) -> Luma:
    """With something like letters in a few rows."""
    luma[top : top + 8, 100:220:3] = 235
    return luma


@pytest.mark.parametrize(
    ("bars", "box"),
    [
        ((24, 24, 0, 0), (0, 24, 320, 132)),
        ((0, 0, 40, 40), (40, 0, 240, 180)),
        ((24, 24, 40, 40), (40, 24, 240, 132)),
        ((23, 25, 0, 0), (0, 24, 320, 130)),  # rounded inwards: chroma is shared by two lines
        ((0, 0, 0, 0), WHOLE),
    ],
)
def test_bars_of_a_film_are_detected_exactly(bars: tuple[int, int, int, int], box: letterbox.Box) -> None:
    lumas = [plane(*bars, seed=seed) for seed in range(8)] + [np.full((180, 320), 17, np.uint8)]
    film = letterbox.detect_in_film(profiles(lumas))
    assert film == letterbox.FilmBars(box, ())
    assert letterbox.detect_in_shot(many(*bars), film) == box


def test_dark_films_are_not_cut_down() -> None:
    assert letterbox.detect_in_film(profiles([np.full((180, 320), 20, np.uint8)] * 4)).box is None
    spot = np.full((180, 320), 16, np.uint8)
    spot[60:120, 100:220] = 200
    assert letterbox.detect_in_film(profiles([spot] * 5)).box == WHOLE


@pytest.mark.parametrize("share", [1, 10, 14])
def test_subtitles_in_a_bar_do_not_hide_it(share: int) -> None:
    lumas = [plane(24, 24, seed=seed) for seed in range(20)]
    for luma in lumas[:share]:
        lettered(luma, 164)
    film = letterbox.detect_in_film(profiles(lumas))
    assert film.box == (0, 24, 320, 132)
    always = profiles(lettered(plane(24, 24, seed=seed), 164) for seed in range(6))
    assert letterbox.detect_in_shot(always, film) == film.box
    assert letterbox.detect_in_shot(always, letterbox.FilmBars(WHOLE, ())) == film.box, "though its own film has no bars"


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 24), st.integers(2, 40), st.booleans(), st.booleans(), st.integers(0, 2**16))
def test_shots_with_bars_of_their_own_are_detected(across: int, down: int, box: bool, post: bool, seed: int) -> None:
    """Letterbox, pillarbox, both or none, in films of every other kind."""
    own = (2 * across * box, 2 * across * box, 2 * down * post, 2 * down * post)
    shot = profiles(plane(*own, seed + index) for index in range(4))
    truth = (own[2], own[0], 320 - 2 * own[2], 180 - 2 * own[0])
    for film in (
        letterbox.FilmBars(WHOLE, ()),
        letterbox.FilmBars((0, 60, 320, 60), ()),
        letterbox.FilmBars((90, 0, 140, 180), ()),
    ):
        assert letterbox.detect_in_shot(shot, film) == truth


def test_dark_shots_have_the_bars_of_their_film() -> None:
    film = letterbox.FilmBars((0, 24, 320, 132), ())
    assert letterbox.detect_in_shot(profiles([np.full((180, 320), 20, np.uint8)] * 6), film) == film.box
    assert letterbox.detect_in_shot([], letterbox.FilmBars(None, ())) is None
    night = plane(24, 24)
    night[24:90] = 16  # a black sky under the upper bar: no firm edge where the picture begins
    assert letterbox.detect_in_shot(profiles([night] * 6), film) == film.box
    assert letterbox.detect_in_shot(profiles([night] * 6), letterbox.FilmBars(WHOLE, ())) == WHOLE


def test_a_shot_without_clear_edges_falls_back_on_a_format_of_its_film() -> None:
    film = letterbox.detect_in_film([*many(0, 0), *many(24, 24, count=4)])
    assert film == letterbox.FilmBars(WHOLE, ((0, 24, 320, 132),))
    night = plane(24, 24)
    night[24:60] = 16
    assert letterbox.detect_in_shot(profiles([night] * 6), film) == (0, 24, 320, 132)
    below = plane(0, 0)
    below[120:] = 16
    assert letterbox.detect_in_shot(profiles([below] * 6), film) == WHOLE


def test_bars_of_films_with_mixed_formats_are_cut_off_exactly(
    committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bars = [(0, 0), (24, 0), (0, 40), (0, 0), (24, 0)]

    def frames() -> Iterable[Picture]:
        for index, (down, across) in enumerate(bars):
            for step in range(18):
                picture = np.maximum(scene(20 + index, shift=step // 2), 40) if index != 3 else scene(23, shift=step) // 12
                framed = np.zeros_like(picture)
                framed[down : 180 - down, across : 320 - across] = picture[down : 180 - down, across : 320 - across]
                yield framed

    path = write_film(tmp_path / "mixed.mp4", frames(), gop_size=6)
    monkeypatch.chdir(tmp_path)
    rows = run(vary(committed, {"films": {"film": str(path)}}))
    originals = {round(frame.time_s, 3): frame.rgb() for frame in video.frames(path, no_loss)}
    seen = set()
    for row in rows:
        assert row.time_s is not None and row.avoid is None
        shot = int(row.time_s // 1.5)
        down, across = bars[shot]
        assert row.box == (across, down, 320 - 2 * across, 180 - 2 * down), row.id
        picture = images.read(Path(row.file or ""))
        assert np.array_equal(picture, originals[row.time_s][down : 180 - down, across : 320 - across])
        seen.add(shot)
    assert seen == {0, 1, 2, 3, 4}
    assert images.read(Path("data/keyframes/about/film/film_report.jpg")).shape[1] > 400
    assert manifest.read(Path("data/keyframes/about/film")) == rows
