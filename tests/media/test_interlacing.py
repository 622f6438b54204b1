"""Films that are interlaced without being marked so are detected and deinterlaced, and no others."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core import manifest
from pipeline.media import arrays, images, interlacing, video
from pipeline.media.images import Picture
from pipeline.params.schema import Params
from tests.conftest import run_stage, scene, vary, write_film

WIDTH, HEIGHT = 480, 288


def moment(index: int) -> Picture:
    """A scene through which a box and a disc move, one step a field."""
    picture = scene(3 + index // 96, WIDTH, HEIGHT)
    at = 5 * (index % 96)
    cv2.rectangle(picture, (at % 340, 60), (at % 340 + 120, 200), (250, 250, 250), -1)
    cv2.circle(picture, (400 - at % 340, 150), 60, (30, 40, 90), -1)
    return picture


def woven(count: int, step: int = 2) -> Iterable[Picture]:
    """Frames of which each holds two moments; `step` 0 makes them hold one."""
    for index in range(count):
        picture = moment(2 * index)
        if step:
            picture[1::2] = moment(2 * index + 1)[1::2]
        yield picture


def telecined(count: int) -> Iterable[Picture]:
    """3:2 pulldown: of five frames the third and the fourth are woven of neighbors."""
    film = [moment(3 * index) for index in range(count)]
    for start in range(0, count - 3, 4):
        a, b, c, d = film[start : start + 4]
        mixed = [b.copy(), c.copy()]
        mixed[0][1::2], mixed[1][1::2] = c[1::2], d[1::2]
        yield from (a, b, *mixed, d)


@pytest.mark.slow
@pytest.mark.parametrize("make", [woven, telecined])
def test_unmarked_interlaced_and_telecined_films_are_deinterlaced(
    make: object, committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    pictures = list((woven if make is woven else telecined)(96))
    path = write_film(tmp_path / "film.mp4", pictures, 25, gop_size=4)
    assert not any(frame.raw.interlaced_frame for frame in video.frames(path, lambda loss: None))
    out = run_stage("keyframes", vary(committed, {"films": {"film": str(path)}}), "film")
    assert any("interlaced or telecined without being marked so" in record.message for record in caplog.records)
    rows = manifest.read(out)
    assert len(rows) >= 3
    for row in rows:
        picture = images.read(Path(row.file or ""))
        assert not interlacing.is_combed(arrays.luma(picture)), row.time_s
        if make is woven:
            # One of the two moments, whichever field the filter keeps.
            index = 2 * round((row.time_s or 0) * 25)
            assert min(np.abs(picture.astype(int) - moment(index + late)).mean() for late in (0, 1)) < 6


def test_progressive_films_are_not_deinterlaced(
    committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_film(tmp_path / "film.mp4", woven(48, step=0), 25, gop_size=5)
    run_stage("keyframes", vary(committed, {"films": {"film": str(path)}}), "film")
    assert not any("interlaced" in record.message for record in caplog.records)


@pytest.mark.parametrize("name", ["big_buck_bunny_480p_30s", "sintel_trailer_480x204_52s"])
def test_real_progressive_films_are_not_combed(name: str, shared: Path) -> None:
    found = [interlacing.is_combed(frame.luma()) for frame in video.sample_frames(shared / "films" / f"{name}.mp4", 24)]
    assert len(found) >= 12 and not any(found)


@pytest.mark.parametrize("period", [2, 3, 4, 6, 12])
def test_fine_lines_are_not_combing(period: int) -> None:
    """Blinds of any pitch but every second line, which nothing tells from a comb."""
    luma = np.full((HEIGHT, WIDTH), 60, np.uint8)
    luma[np.arange(HEIGHT) % period < period // 2] = 200
    assert interlacing.is_combed(luma) == (period == 2)


@given(st.lists(st.booleans(), max_size=200))
def test_a_film_is_interlaced_if_enough_frames_are_combed(frames: list[bool]) -> None:
    assert interlacing.is_interlaced(frames) == (sum(frames) >= 3 and 10 * sum(frames) >= len(frames))
