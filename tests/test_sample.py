"""The sample film has the shots, cuts, fades, bars and subtitles that its ground truth says."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline import sample
from pipeline.media import encoding, images, video
from pipeline.params.schema import Params
from pipeline.sample import CRF, PHOTOS, draw_frames, film_of, load_photos
from pipeline.sample_film.storyboard import CAPTIONS, Film
from tests.conftest import no_loss, vary

WIDTH, FPS = 320, 8
Frames = NDArray[np.uint8]


@pytest.fixture(scope="module")
def film() -> Film:
    return film_of(WIDTH, FPS, seed=1)


@pytest.fixture(scope="module")
def drawn(film: Film) -> Frames:
    return np.stack(list(draw_frames(film, workers=0)))


@pytest.fixture(scope="module")
def path(film: Film, drawn: Frames, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "film.mp4"
    assert encoding.write_film(path, drawn, fps=FPS, crf=CRF) == film.count
    return path


@pytest.fixture(scope="module")
def seen(path: Path) -> Frames:
    """The film as decoded from its file."""
    return np.stack([frame.rgb() for frame in video.frames(path, no_loss)])


def named(film: Film, name: str) -> slice:
    shot = next(shot for shot in film.truth()["shots"] if shot["name"] == name)
    return slice(shot["first_frame"], shot["end_frame"])


def difference(a: Frames, b: Frames) -> float:
    return float(np.abs(a.astype(np.float32) - b).mean())


def test_the_file_is_as_long_and_large_as_the_truth_says(film: Film, path: Path, seen: Frames) -> None:
    info, truth = video.probe(path), film.truth()
    assert (info.width_px, info.height_px) == tuple(truth["size"]) and float(info.fps) == truth["fps"]
    assert info.duration_s == pytest.approx(truth["duration_s"], abs=0.5 / FPS)
    assert len(seen) == truth["frames"]


def test_colors_survive_the_codec(film: Film, drawn: Frames, seen: Frames) -> None:
    """Flat areas, where neither compression nor chroma subsampling loses anything, keep their color within 3 levels."""
    flat_places = 0
    for n in range(0, film.count, 16):
        gray = cv2.cvtColor(drawn[n], cv2.COLOR_RGB2GRAY)
        flat = cv2.dilate(cv2.Laplacian(gray, cv2.CV_8U), np.ones((9, 9))) <= 1
        if flat.sum() < 500:
            continue
        flat_places += 1
        drift = (seen[n][flat].astype(float) - drawn[n][flat]).mean(0)
        assert np.abs(drift).max() < 3, (n, drift)
    assert flat_places > 15


def test_pure_colors_survive_the_codec(tmp_path: Path) -> None:
    colors = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (230, 180, 90), (40, 90, 160), (0, 0, 0), (255, 255, 255)]
    encoding.write_film(tmp_path / "c.mp4", [np.full((64, 64, 3), c, np.uint8) for c in colors], fps=24, crf=CRF)
    read = [frame.rgb()[32, 32].astype(int) for frame in video.frames(tmp_path / "c.mp4", no_loss)]
    assert np.abs(np.array(read) - colors).max() <= 3


def test_bars_are_black(film: Film, path: Path) -> None:
    _, y, _, h = film.active
    lumas = np.stack([frame.luma() for frame in video.frames(path, no_loss)])
    bars = np.concatenate([lumas[:, :y], lumas[:, y + h :]], 1)
    assert bars.max() <= 34, "a codec rings a little at the edge"
    inner = np.concatenate([lumas[:, : y - 8], lumas[:, y + h + 8 :]], 1)
    assert inner.size and inner.min() >= 14 and inner.max() <= 18


def test_black_is_black_and_the_flash_is_white(film: Film, seen: Frames) -> None:
    _, y, _, h = film.active
    truth = film.truth()
    black = [shot for shot in truth["shots"] if shot["kind"] == "black"]
    assert len(black) == 2 and max(shot["end_s"] - shot["start_s"] for shot in black) >= 0.7
    for shot in black:
        assert seen[shot["first_frame"] : shot["end_frame"]].max() <= 3
    (flash,) = truth["flash"]
    assert flash["end_frame"] - flash["first_frame"] == 2
    assert seen[flash["first_frame"] : flash["end_frame"], y + 2 : y + h - 2].min() >= 245
    assert seen[flash["first_frame"] - 1, y : y + h].mean() < 160


def test_fades_and_the_dissolve_are_gradual(film: Film, drawn: Frames) -> None:
    truth = film.truth()
    light = drawn.mean((1, 2, 3))
    rise, fall = (light[f["first_frame"] : f["end_frame"]] for f in truth["fades"])
    assert [f["to"] for f in truth["fades"]] == ["picture", "black"]
    assert (np.diff(rise) > 0).all() and (np.diff(fall) < 0).all() and fall[-1] < 3
    (mix,) = truth["dissolves"]
    before, after = drawn[mix["first_frame"] - 1], drawn[mix["end_frame"]]
    shares = [difference(drawn[n], before) / difference(after, before) for n in range(mix["first_frame"], mix["end_frame"])]
    assert shares == sorted(shares) and 0 < shares[0] < 0.4 and 0.6 < shares[-1] < 1


def test_cuts_are_hard_and_nothing_else_is(film: Film, drawn: Frames) -> None:
    truth = film.truth()
    steps = np.array([difference(a, b) for a, b in zip(drawn[1:], drawn[:-1], strict=True)])
    cuts = {round(s * FPS) for s in truth["cuts_s"]}
    flash = {truth["flash"][0]["first_frame"], truth["flash"][0]["end_frame"]}
    assert min(steps[n - 1] for n in cuts) > 18
    fading = {n for f in truth["fades"] for n in range(f["first_frame"], f["end_frame"] + 1)}
    quiet = [steps[n - 1] for n in range(1, film.count) if n not in cuts | flash | fading]
    assert max(quiet) < 16


def test_the_repeated_shot_equals_its_original(film: Film, drawn: Frames, seen: Frames) -> None:
    (repeat,) = [shot for shot in film.truth()["shots"] if shot["repeats"] is not None]
    first, again = named(film, film.truth()["shots"][repeat["repeats"]]["name"]), named(film, repeat["name"])
    assert np.array_equal(drawn[first], drawn[again])
    assert difference(seen[first], seen[again]) < 2


def test_subtitles_are_visible_in_their_spans_only(film: Film, drawn: Frames, seen: Frames) -> None:
    subtitles = film.truth()["subtitle"]
    assert len(subtitles) == len(CAPTIONS)
    for row in subtitles:
        x, y, w, h = row["box"]
        _, top, width, high = film.active
        assert x >= 0 and x + w <= width and y >= top and y + h <= top + high, "inside the picture"
        inside = drawn[row["first_frame"] : row["end_frame"], y : y + h, x : x + w]
        white, black = (inside.min(-1) > 190).mean((1, 2)), (inside.max(-1) < 50).mean((1, 2))
        assert white.min() > 0.02 and black.min() > 0.08
        for n in (row["first_frame"] - 1, row["end_frame"]):
            assert (drawn[n, y : y + h, x : x + w].max(-1) < 50).mean() < 0.02
        bright = (seen[row["first_frame"] : row["end_frame"], y : y + h, x : x + w].min(-1) > 200).mean((1, 2))
        assert bright.min() > 0.02


def test_the_same_film_twice_is_the_same_file(film: Film, drawn: Frames, tmp_path: Path) -> None:
    files = [tmp_path / "a.mp4", tmp_path / "b.mp4"]
    count = film.starts[4]
    encoding.write_film(files[0], drawn[:count], fps=FPS, crf=CRF)
    encoding.write_film(files[1], islice(draw_frames(film, workers=1), count), fps=FPS, crf=CRF)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_nothing_is_drawn_where_it_is_turned_off(committed: Params, tmp_path: Path) -> None:
    assert sample.run(vary(committed, {"sample.draw": False}), tmp_path) == {}
    assert not list(tmp_path.iterdir())


def test_photos_are_in_color_and_come_from_the_package(tmp_path: Path) -> None:
    found = load_photos()
    assert found.keys() == PHOTOS.keys() and len(found) >= 5
    for name, picture in found.items():
        assert picture.dtype == np.uint8 and picture.shape[2] == 3 and min(picture.shape[:2]) >= 256
        assert float(np.ptp(picture.astype(int), axis=2).mean()) > 5, f"{name} has no color"
        images.write(tmp_path / f"{name}.png", picture)
        assert np.array_equal(images.read(tmp_path / f"{name}.png"), picture)
