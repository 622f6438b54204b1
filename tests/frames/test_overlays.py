"""Subtitles and logos: found where they are drawn, on any ground, and nothing where there are none."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline import crop
from pipeline.core import manifest
from pipeline.core.manifest import Row
from pipeline.frames import film_report, overlays
from pipeline.media import arrays, video
from pipeline.media.images import Picture
from pipeline.params.schema import Params
from pipeline.sample import film_of
from tests.conftest import no_loss, run_stage, scene, vary, write_film
from tests.support.subtitles import STYLES, TEXTS, Style, burn
from tests.test_keyframes import run

WIDTH, HEIGHT = 640, 360


def luma(picture: Picture) -> overlays.Luma:
    return np.asarray(np.rint(arrays.luma(picture) * (219 / 255) + 16), np.uint8)


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


def hints(shot: Sequence[overlays.Lettering]) -> list[overlays.Band]:
    return [hint for one in shot for hint in overlays.hints(one)]


def strips(shot: Sequence[Picture], film: Sequence[overlays.Band] = ()) -> list[crop.Box]:
    """What a film keeps free in a shot that is all it has of subtitles."""
    shown = [overlays.lettering(luma(picture)) for picture in shot]
    return [box for box, _ in film_report._captions(shown, [*film, *hints(shown)])]


@pytest.mark.parametrize("ground", [0, 90, 160, 255])
@pytest.mark.parametrize("colour", [200, 255])
def test_a_line_is_seen_on_any_ground(ground: int, colour: int) -> None:
    picture, box = burn(np.full((HEIGHT, WIDTH, 3), ground, np.uint8), TEXTS[1], Style(colour=(colour,) * 3))
    shown = overlays.lettering(luma(picture))
    (hint,) = overlays.hints(shown)
    assert hint.base * HEIGHT == pytest.approx(box[1] + box[3], abs=8), "descenders hang below"
    (found,) = overlays.captions(shown, [hint])
    assert inside(box, found)


@pytest.mark.parametrize("style", STYLES, ids=lambda style: f"{style.font}-{style.size}")
def test_one_shot_is_enough(style: Style) -> None:
    """The only shot of a film with a subtitle, over things that move: all of the subtitle is kept free, and little more."""
    heights = []
    for seed, text in enumerate(TEXTS):
        made = [burn(scene(seed + 60, WIDTH, HEIGHT, shift=9 * step), text, style) for step in range(3)]
        (found,) = strips([picture for picture, _ in made])
        assert all(inside(box, found) for _, box in made), text
        assert (found[1] == 0) == style.top
        heights.append(found[3] / HEIGHT)
    assert np.mean(heights) <= 0.25


@pytest.mark.parametrize("text", ["No!", "I see."])
def test_few_letters_are_enough(text: str) -> None:
    covered = 0
    for seed in range(100, 120):
        picture, box = burn(scene(seed, WIDTH, HEIGHT), text)
        found = strips([picture])
        covered += any(inside(box, one) for one in found)
        assert strips([scene(seed, WIDTH, HEIGHT)]) == []
    assert covered >= 19


def test_a_film_has_subtitles_where_lines_share_a_base_line() -> None:
    shots = [[overlays.lettering(luma(burn(scene(seed, WIDTH, HEIGHT), TEXTS[seed])[0]))] * 2 for seed in range(3)]
    (band,) = overlays.bands([hints(shot) for shot in shots])
    assert 0.9 < band.base < 0.96 and 0.02 < band.line < 0.08
    assert overlays.bands([[band] * 9]) == [], "one shot alone is no habit"
    assert overlays.bands([[band], [band]]) == [], "too few"
    assert overlays.bands([[band, band], [band]]) == [band]
    assert overlays.bands([[overlays.Band(0.7 + 0.04 * index, band.line)] for index in range(6)]) == []


def test_a_title_on_a_light_sky_is_a_title_and_a_subtitle_is_none() -> None:
    sky = np.repeat(np.linspace(160, 185, 360, dtype=np.uint8)[:, None], 640, axis=1)
    for words, line in (("THE PEACH OPEN MOVIE PROJECT", 180), ("PRESENTS TO YOU ALL", 215)):
        (width, _), _ = cv2.getTextSize(words, cv2.FONT_HERSHEY_DUPLEX, 0.6, 2)
        cv2.putText(sky, words, ((640 - width) // 2, line), cv2.FONT_HERSHEY_DUPLEX, 0.6, (235,), 2, cv2.LINE_AA)
    assert overlays.title_lines(overlays.lettering(sky)) == 2
    below = np.roll(sky, 130, axis=0)
    assert overlays.title_lines(overlays.lettering(below)) == 0 and overlays.hints(overlays.lettering(below))


def test_credits_titles_and_ink_lines_are_no_subtitles() -> None:
    credits = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for index in range(8):
        credits, _ = burn(credits, TEXTS[1], Style(margin=0.04 + 0.11 * index))
    assert overlays.hints(overlays.lettering(luma(credits))) == []
    title, _ = burn(np.zeros((HEIGHT, WIDTH, 3), np.uint8), "The title of it", Style(size=0.1, margin=0.45))
    assert overlays.hints(overlays.lettering(luma(title))) == []
    ink = np.full((HEIGHT, WIDTH, 3), 220, np.uint8)
    for x in range(200, 440, 12):
        cv2.line(ink, (x, 310 + x % 7), (x + x % 19, 340 - x % 5), (20, 15, 25), 2)
    assert overlays.hints(overlays.lettering(luma(ink))) == []


@pytest.mark.parametrize("seed", range(12))
def test_drawn_scenes_without_lettering_give_nothing(seed: int) -> None:
    shown = overlays.lettering(luma(scene(seed, WIDTH, HEIGHT)))
    assert overlays.hints(shown) == []
    assert overlays.captions(shown, [overlays.Band(0.93, 0.04)]) == []


def test_the_sample_film_s_subtitles_are_covered() -> None:
    film = film_of(WIDTH, 24, seed=1)
    spans = film.truth()["subtitle"]
    assert len(spans) == 2
    shots: list[list[tuple[int, overlays.Lettering]]] = []
    for name in ("sea_wall", "her_face", "rain_window", "sunset"):
        shot = next(shot for shot in film.truth()["shots"] if shot["name"] == name)
        times = range(shot["first_frame"] + 6, shot["end_frame"], 20)
        shots.append([(at, overlays.lettering(luma(film.framed(film.draw((at, at + 1))[0])))) for at in times])
    bands = overlays.bands([hints([one for _, one in shot]) for shot in shots])
    marked = 0
    for shot in shots:
        letterings = [one for _, one in shot]
        found = [box for box, _ in film_report._captions(letterings, [*bands, *hints(letterings)])]
        truth = [span["box"] for span in spans for at, _ in shot if span["first_frame"] <= at < span["end_frame"]]
        marked += len(truth)
        for x, y, width, height in truth:  # the box of the line with its ascenders' and descenders' room; strokes lie within
            assert any(inside((x + 4, y + 6, width - 8, height - 12), box) for box in found)
        assert truth or not found
    assert marked >= 6


def squares_of(path: Path, params: Params) -> list[Row]:
    """The crops that keyframes and crop make of a film."""
    params = vary(params, {"films": {"film": str(path)}})
    rows = run(params)
    Path("data/dedup/film").mkdir(parents=True, exist_ok=True)
    manifest.write(Path("data/dedup/film"), rows)
    return [row for row in manifest.read(run_stage("crop", params, "anime/film")) if row.file]


def test_no_square_of_a_real_film_shows_its_one_subtitle(
    shared: Path, committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The excerpt's third shot gets a subtitle of two lines for a while, the others none."""
    monkeypatch.chdir(tmp_path)
    first_s, last_s = 16.4, 19.5
    boxes: list[crop.Box] = []

    def frames() -> Iterable[Picture]:
        for frame in video.frames(shared / "films" / "big_buck_bunny_480p_30s.mp4", no_loss):
            if 14 <= frame.time_s < 20.5 and frame.index % 3 == 0:
                picture, box = frame.rgb(), None
                if first_s <= frame.time_s < last_s:
                    picture, box = burn(picture, TEXTS[3], STYLES[3])
                    boxes.append(box)
                yield picture

    crops = squares_of(write_film(tmp_path / "film.mp4", frames()), committed)
    shown = [row for row in crops if first_s - 14 <= (row.time_s or 0) < last_s - 14]
    assert len(shown) >= 3 and len(crops) > len(shown)
    assert not any(row.box is not None and touch(row.box, boxes[0]) for row in shown)


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
    texts = {1: TEXTS[0], 2: TEXTS[1], 5: TEXTS[2], 6: TEXTS[3]}

    def frames(laid: bool) -> Iterable[Picture]:
        for shot in range(16):
            for step in range(12):
                picture = scene(40 + shot, WIDTH, HEIGHT, shift=step // 2)
                if laid and shot in texts:
                    picture = burn(picture, texts[shot])[0]
                yield branded(picture, LOGO[0]) if laid else picture

    monkeypatch.chdir(tmp_path)
    params = vary(committed, {"crop.size_px": 128, "crop.per_frame": 4, "pretrain.crop_px": 64, "train.crop_px": 64})
    crops: dict[bool, int] = {}
    for laid in (True, False):
        cut = squares_of(write_film(tmp_path / f"{laid}.mp4", frames(laid)), params)
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
            assert not touch(row.box, (LOGO[0][0] - 13, LOGO[0][1] - 13, 27, 27))
            if int(row.time_s) in texts:
                assert not touch(row.box, burn(np.zeros((HEIGHT, WIDTH, 3), np.uint8), texts[int(row.time_s)])[1])
    assert crops[True] >= 0.9 * crops[False]
