"""Subtitles and logos: found where they are drawn, on any ground, and nothing where there are none."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline import crop, images, manifest, overlays
from pipeline.cel import lettering
from pipeline.images import Picture
from pipeline.params import Params
from pipeline.sample import film_of
from tests.conftest import run_stage, scene, vary, write_film
from tests.test_keyframes import run

WIDTH, HEIGHT = 640, 360
TEXTS = ("Rain until evening. The cup is still warm.", "Where are you going?", "The wind smells of summer again.")


def written(picture: Picture, text: str, base: int = 340, size: float = 20, colour: int = 245) -> tuple[Picture, crop.Box]:
    """A picture with a burnt-in line that stands on row `base`, and the box of all its pixels."""
    ink, under = lettering(text, size, (colour, colour, colour), 1.8, weight=0.4)
    high, wide = ink.shape[:2]
    x, y = (picture.shape[1] - wide) // 2, base - high
    result = picture.copy()
    area = result[y : y + high, x : x + wide]
    area[...] = cv2.add(cv2.multiply(area, under, scale=1 / 255), ink)
    rows, columns = np.nonzero((under < 250).any(axis=2))
    left, top = int(columns.min()), int(rows.min())
    return result, (x + left, y + top, int(columns.max()) + 1 - left, int(rows.max()) + 1 - top)


def luma(picture: Picture) -> overlays.Luma:
    return np.asarray(np.rint(images.luma(picture) * (219 / 255) + 16), np.uint8)


def inside(inner: crop.Box, outer: crop.Box | None) -> bool:
    return outer is not None and (
        outer[0] <= inner[0]
        and outer[1] <= inner[1]
        and inner[0] + inner[2] <= outer[0] + outer[2]
        and inner[1] + inner[3] <= outer[1] + outer[3]
    )


def touch(one: crop.Box, other: crop.Box) -> bool:
    return (
        one[0] < other[0] + other[2]
        and other[0] < one[0] + one[2]
        and one[1] < other[1] + other[3]
        and other[1] < one[1] + one[3]
    )


@cache
def known() -> list[overlays.Band]:
    shots = [[overlays.lettering(luma(written(scene(seed, WIDTH, HEIGHT), TEXTS[seed])[0]))] * 2 for seed in range(3)]
    return overlays.bands([[hint for one in frames for hint in overlays.hints(one)] for frames in shots])


@pytest.mark.parametrize("ground", [0, 90, 160, 255])
@pytest.mark.parametrize("colour", [200, 255])
def test_a_line_is_seen_on_any_ground(ground: int, colour: int) -> None:
    picture, box = written(np.full((HEIGHT, WIDTH, 3), ground, np.uint8), TEXTS[0], colour=colour)
    shown = overlays.lettering(luma(picture))
    (hint,) = overlays.hints(shown)
    assert hint.base * HEIGHT == pytest.approx(box[1] + box[3], abs=4)
    assert inside(box, overlays.caption(shown, [hint]))


def test_nearly_every_subtitle_is_whole_in_its_box() -> None:
    """One picture at a time, anything behind the letters: 38 of 40, and nothing at all where there is none."""
    rng = np.random.default_rng(1)
    whole = 0
    for seed in range(100, 140):
        clean = scene(seed, WIDTH, HEIGHT)
        assert overlays.caption(overlays.lettering(luma(clean)), known()) is None
        picture, boxes = clean, []
        for index in range(int(rng.integers(1, 3))):
            picture, box = written(picture, str(rng.choice([*TEXTS, "It is late.", "I see."])), 340 - 25 * index)
            boxes.append(box)
        found = overlays.caption(overlays.lettering(luma(picture)), known())
        whole += all(inside(box, found) for box in boxes)
        assert found is None or (found[1] > 0.6 * HEIGHT and found[3] < 0.4 * HEIGHT)
    assert whole >= 38


def test_a_film_has_subtitles_only_where_lines_share_a_base() -> None:
    (band,) = known()
    assert 0.9 < band.base < 0.96 and 0.03 < band.line < 0.08
    assert overlays.bands([[band] * 9]) == [], "one shot alone"
    assert overlays.bands([[band], [band]]) == [], "too few"
    assert overlays.bands([[band, band], [band]]) == [band]
    assert overlays.bands([[overlays.Band(0.7 + 0.04 * index, band.line)] for index in range(6)]) == []


def test_credits_titles_and_ink_lines_are_no_subtitles() -> None:
    credits = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for base in range(60, 350, 40):
        credits, _ = written(credits, TEXTS[base % 3], base)
    assert overlays.hints(overlays.lettering(luma(credits))) == []
    title, _ = written(np.zeros((HEIGHT, WIDTH, 3), np.uint8), "The title of it", 190, 40)
    assert overlays.hints(overlays.lettering(luma(title))) == []
    ink = np.full((HEIGHT, WIDTH, 3), 220, np.uint8)
    for x in range(200, 440, 12):
        cv2.line(ink, (x, 310 + x % 7), (x + x % 19, 340 - x % 5), (20, 15, 25), 2)
    assert overlays.hints(overlays.lettering(luma(ink))) == []


@pytest.mark.parametrize("seed", range(12))
def test_drawn_scenes_without_lettering_give_nothing(seed: int) -> None:
    shown = overlays.lettering(luma(scene(seed, WIDTH, HEIGHT)))
    assert overlays.hints(shown) == []
    assert overlays.caption(shown, known()) is None


def test_the_sample_film_s_subtitles_are_covered() -> None:
    film = film_of(WIDTH, 24, seed=1)
    spans = film.truth()["subtitle"]
    assert len(spans) == 2
    shots, frames = [], []
    for name in ("sea_wall", "her_face", "rain_window", "sunset"):
        shot = next(shot for shot in film.truth()["shots"] if shot["name"] == name)
        times = range(shot["first_frame"] + 6, shot["end_frame"], 20)
        shown = [(at, overlays.lettering(luma(film.framed(film.draw((at, at + 1))[0])))) for at in times]
        shots.append([hint for _, one in shown for hint in overlays.hints(one)])
        frames += shown
    bands = overlays.bands(shots)
    marked = false = 0
    for at, one in frames:
        found = overlays.caption(one, bands)
        truth = [span["box"] for span in spans if span["first_frame"] <= at < span["end_frame"]]
        marked += bool(truth)
        false += found is not None and not truth
        for x, y, width, height in truth:  # the box of the line with its ascenders' and descenders' room; strokes lie within
            assert inside((x + 4, y + 6, width - 8, height - 12), found), at
    assert marked >= 6 and len(frames) - marked >= 8
    assert false <= 1, "glitter on the sea may pass for a row of letters where subtitles stand"


LOGO = ((600, 20), (40, 20), (600, 330), (40, 330))


def branded(picture: Picture, place: tuple[int, int]) -> Picture:
    """With a ring and a bar in a corner, half transparent."""
    layer = picture.copy()
    cv2.circle(layer, place, 11, (255, 255, 255), 3)
    cv2.line(layer, (place[0] - 5, place[1]), (place[0] + 5, place[1]), (255, 255, 255), 3)
    return np.asarray(cv2.addWeighted(layer, 0.7, picture, 0.3, 0), np.uint8)


@pytest.mark.parametrize("place", LOGO)
def test_a_logo_is_found_in_any_corner(place: tuple[int, int]) -> None:
    lumas = [luma(branded(scene(seed, WIDTH, HEIGHT), place)) for seed in range(24)]
    found = overlays.logo(lumas)
    assert inside((place[0] - 12, place[1] - 12, 25, 25), found)
    assert found is not None and found[2] * found[3] < 50 * 50


def test_films_without_a_logo_or_without_motion_have_none() -> None:
    assert overlays.logo([luma(scene(seed, WIDTH, HEIGHT)) for seed in range(24)]) is None
    assert overlays.logo([luma(branded(scene(5, WIDTH, HEIGHT), LOGO[0]))] * 24) is None
    assert overlays.logo([luma(branded(scene(seed, WIDTH, HEIGHT), LOGO[0])) for seed in range(4)]) is None
    assert overlays.logo([]) is None


def test_no_square_touches_what_was_laid_over_a_film(
    committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Sixteen shots under a logo, four of them with a subtitle; then the same settings on the film without."""
    texts = {1: TEXTS[0], 2: TEXTS[1], 5: TEXTS[2], 6: TEXTS[0]}

    def frames(laid: bool) -> Iterable[Picture]:
        for shot in range(16):
            for step in range(12):
                picture = scene(40 + shot, WIDTH, HEIGHT, shift=step // 2)
                if laid and shot in texts:
                    picture = written(picture, texts[shot])[0]
                yield branded(picture, LOGO[0]) if laid else picture

    monkeypatch.chdir(tmp_path)
    squares: dict[bool, int] = {}
    for laid in (True, False):
        path = write_film(tmp_path / f"{laid}.mp4", frames(laid))
        params = vary(committed, {"films": {"film": str(path)}, "crop.size_px": 128, "crop.per_frame": 4})
        params = vary(params, {"pretrain.crop_px": 64, "train.crop_px": 64})
        rows = run(params)
        metrics = json.loads(Path("data/keyframes/about/film/metrics.json").read_text())
        assert (metrics["logos"], metrics["shots_reframed"]) == (laid, 0)
        assert {int(row.time_s or 0) for row in rows if row.avoid and len(row.avoid) > 1} == (set(texts) if laid else set())
        assert metrics["subtitle_frames"] == sum(len(row.avoid or []) > 1 for row in rows)
        assert any("a logo stands at" in record.message for record in caplog.records) == laid
        caplog.clear()
        Path("data/dedup/film").mkdir(parents=True, exist_ok=True)
        manifest.write(Path("data/dedup/film"), rows)
        cut = [row for row in manifest.read(run_stage("crop", params, "anime/film")) if row.file]
        squares[laid] = len(cut)
        assert {row.parent for row in cut} == {row.id for row in rows}, "the rest of every frame is used"
        for row in cut if laid else []:
            assert row.box is not None and row.time_s is not None
            assert not touch(row.box, (LOGO[0][0] - 13, LOGO[0][1] - 13, 27, 27))
            if int(row.time_s) in texts:
                assert not touch(row.box, written(np.zeros((HEIGHT, WIDTH, 3), np.uint8), texts[int(row.time_s)])[1])
    assert squares[True] >= 0.9 * squares[False]
