"""Subtitles and logo of whole films: key frames carry boxes that crops avoid."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from pipeline.core import manifest
from pipeline.core.manifest import Row
from pipeline.frames import film_report, lettering
from pipeline.frames.letterbox import Box, FilmBars
from pipeline.media import arrays, video
from pipeline.media.images import Picture
from pipeline.params.schema import Params
from tests.conftest import no_loss, run_stage, scene, vary, write_film
from tests.support.frames import HEIGHT, LOGO_PLACES, WIDTH, inside, touch, video_luma, with_logo
from tests.support.subtitles import STYLES, TEXTS, burn
from tests.test_keyframes import run


def crops_of(path: Path, params: Params) -> list[Row]:
    """The crops that keyframes and crop make of a film."""
    params = vary(params, {"films": {"film": str(path)}})
    rows = run(params)
    Path("data/dedup/film").mkdir(parents=True, exist_ok=True)
    manifest.write(Path("data/dedup/film"), rows)
    return [row for row in manifest.read(run_stage("crop", params, "anime/film")) if row.file]


def test_no_crop_of_a_real_film_shows_its_one_subtitle(
    shared: Path, committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The excerpt's third shot gets a subtitle of two lines for a while, the others none."""
    monkeypatch.chdir(tmp_path)
    first_s, last_s = 16.4, 19.5
    boxes: list[Box] = []

    def frames() -> Iterable[Picture]:
        for frame in video.frames(shared / "films" / "big_buck_bunny_480p_30s.mp4", no_loss):
            if 14 <= frame.time_s < 20.5 and frame.index % 3 == 0:
                picture, box = frame.rgb(), None
                if first_s <= frame.time_s < last_s:
                    picture, box = burn(picture, TEXTS[3], STYLES[3])
                    boxes.append(box)
                yield picture

    crops = crops_of(write_film(tmp_path / "film.mp4", frames()), committed)
    shown = [row for row in crops if first_s - 14 <= (row.time_s or 0) < last_s - 14]
    assert len(shown) >= 3 and len(crops) > len(shown)
    assert not any(row.box is not None and touch(row.box, boxes[0]) for row in shown)


def test_no_crop_touches_logo_or_subtitles(
    committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Sixteen shots under a logo, four of them with a subtitle; then the same settings on the film without."""
    texts = {1: TEXTS[0], 2: TEXTS[1], 5: TEXTS[2], 6: TEXTS[3]}

    def frames(laid: bool) -> Iterable[Picture]:
        for shot in range(16):
            for step in range(12):
                picture = scene(40 + shot, WIDTH, HEIGHT, shift=step // 2)
                if laid and shot in texts:
                    picture = burn(picture, texts[shot])[0]
                yield with_logo(picture, LOGO_PLACES[0]) if laid else picture

    monkeypatch.chdir(tmp_path)
    params = vary(committed, {"crop.size_px": 128, "crop.per_frame": 4, "pretrain.crop_px": 64, "train.crop_px": 64})
    crops: dict[bool, int] = {}
    for laid in (True, False):
        cut = crops_of(write_film(tmp_path / f"{laid}.mp4", frames(laid)), params)
        rows = manifest.read(Path("data/keyframes/about/film"))
        metrics = json.loads(Path("data/keyframes/about/film/metrics.json").read_text())
        assert (metrics["logos"], metrics["shots_reframed"]) == (laid, 0)
        assert {int(row.time_s or 0) for row in rows if row.avoid and len(row.avoid) > 1} == (set(texts) if laid else set())
        assert metrics["subtitle_frames"] == sum(len(row.avoid or []) > 1 for row in rows)
        assert any("a logo stands at" in record.message for record in caplog.records) == laid
        caplog.clear()
        crops[laid] = len(cut)
        assert {row.parent for row in cut} == {row.id for row in rows}, "the rest of every frame is used"
        for row in cut if laid else []:
            assert row.box is not None and row.time_s is not None
            assert not touch(row.box, (LOGO_PLACES[0][0] - 13, LOGO_PLACES[0][1] - 13, 27, 27))
            if int(row.time_s) in texts:
                assert not touch(row.box, burn(np.zeros((HEIGHT, WIDTH, 3), np.uint8), texts[int(row.time_s)])[1])
    assert crops[True] >= 0.9 * crops[False]


def key_frame(index: int, picture: Picture, box: Box, width_px: int) -> film_report.KeyFrame:
    """A key frame of a film of 1280x720, cut to a box and shrunk to a width."""
    row = Row(
        id=f"k{index}",
        domain="anime",
        source="film",
        width_px=width_px,
        height_px=round(width_px * box[3] / box[2]),
        time_s=float(index),
        box=box,
    )
    return film_report.KeyFrame(row, (1280, 720), video_luma(picture), arrays.shrink(picture, 400))


def test_boxes_to_avoid_are_in_pixels_of_the_key_frame() -> None:
    """Frames of 1280x720, analyzed at half the size, with bars of 40 lines, are shrunk to 320 pixels: a quarter."""
    box = (0, 40, 1280, 640)
    film = film_report.FilmAnalyzer(FilmBars(box, ()))
    for index in range(24):
        picture = with_logo(scene(index, WIDTH, HEIGHT), (600, 60))
        texts = [lettering.detect(video_luma(burn(picture, TEXTS[0])[0]))] if index in (3, 5) else []
        film.add_shot([key_frame(index, picture, box, 320)], texts)
    report = film.report("film 1", avoid_logo=True)
    assert report.summary["subtitle_frames"] == 2 and report.summary["shots_reframed"] == 0
    assert inside((2 * 588, 2 * 48, 50, 50), report.summary["logo"])
    assert len(report.warnings) == 1 and report.warnings[0].startswith("film 1: a logo stands at x ")
    for index, row in enumerate(report.rows):
        *subtitle, logo_box = row.avoid or []
        assert inside((588 // 2, (2 * 48 - 40) // 4, 12, 12), logo_box), "a quarter of the box, less the bar"
        assert [found[0] == 0 and found[2] == 320 and found[1] + found[3] == 160 for found in subtitle] == [True] * (
            index in (3, 5)
        )
    assert all(len(row.avoid or []) == (index in (3, 5)) for index, row in enumerate(film.report("", avoid_logo=False).rows))


def test_pictures_kept_of_a_long_film_are_limited() -> None:
    film = film_report.FilmAnalyzer(FilmBars((0, 0, 1280, 720), ()))
    picture = scene(1, WIDTH, HEIGHT)
    own = (0, 40, 1280, 640)
    for index in range(300):
        film.add_shot([key_frame(index, picture, own if index == 256 else (0, 0, 1280, 720), 320)], [])
    assert 64 <= len(film._kept) <= 128
    report = film.report("film", avoid_logo=True)
    assert len(report.rows) == 300 and report.summary["shots_reframed"] == 1
    assert len(report.pictures) == 12 and "256.0 s" in {caption for _, caption in report.pictures}
