"""Folders of pictures as sources: what is found, names, margins, and the way through the data stages."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from pipeline.core import manifest
from pipeline.core.errors import UserError
from pipeline.core.manifest import Row
from pipeline.frames import picture_source
from pipeline.media import arrays, images
from pipeline.params.schema import Params
from tests.conftest import run_stage, scene, vary, write_film

LONG = "長" * 78  # 234 bytes in UTF-8


def write(path: Path, seed: int, width: int = 400, height: int = 300) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write(path, scene(seed, width, height))
    return path


def drawings(folder: Path, count: int = 6) -> Path:
    """A folder of drawings in two subfolders."""
    for seed in range(count):
        write(folder / f"page {seed % 2}" / f"Panel {seed}.png", 70 + seed)
    return folder


def params_of(committed: Params, **sources: str) -> Params:
    if not Path("photos").exists():
        for seed in range(6):
            write(Path("photos") / f"p{seed}.png", 50 + seed)
    small = {"crop.size_px": 64, "pretrain.crop_px": 64, "train.crop_px": 64, "photos": "photos", "workers": 1}
    return vary(committed, {**small, "films": sources})


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read_rows(params: Params, source: str = "art") -> dict[str, Row]:
    """The rows of keyframes of a source, by the name of the file they were made of."""
    return {Path(row.parent or "").name: row for row in manifest.read(run_stage("keyframes", params, source))}


def test_films_prevail_in_a_folder_and_hidden_files_are_not_seen(tmp_path: Path) -> None:
    hidden = ("a/._p.png", "a/._film.mp4", "a/.Trash-1000/film.mp4")
    for name in (*hidden, "a/p.png", "b/ep1.mkv", "b/cover.jpg", "b/ep1.srt", "c/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = {name: picture_source.find(tmp_path / name) for name in "ab"}
    names = {key: [[path.name for path in files] for files in contents] for key, contents in found.items()}
    assert names == {"a": [[], ["p.png"], []], "b": [["ep1.mkv"], ["cover.jpg"], ["ep1.srt"]]}
    with pytest.raises(UserError, match=r"c holds neither films \(.*\.mkv.*\) nor pictures \(.*\.png.*\): put some there"):
        picture_source.find(tmp_path / "c")
    with pytest.raises(UserError, match="does not exist"):
        picture_source.find(tmp_path / "nowhere")


def test_ids_are_short_safe_distinct_and_name_the_file() -> None:
    names = [
        "a b.png",
        "a-b.png",
        "A B.png",
        "a b.jpg",
        "x/a b.png",
        "第一話.png",
        "第二話.png",
        LONG + ".png",
        "é_1.png",
        "w" * 200,
    ]
    ids = [
        picture_source.picture_id("art", Path(name)) for name in [*names, b"\x91\xe6.png".decode("utf-8", "surrogateescape")]
    ]
    assert len(set(ids)) == len(ids)
    assert all(len(name) <= 60 and name.isascii() and name.replace("-", "").isalnum() for name in ids)
    assert ids[0].startswith("art-a-b-") and ids[8].startswith("art-e-1-") and ids[9].startswith("art-" + "w" * 40 + "-")


def framed(color: int, frame: int = 0) -> images.Picture:
    """A drawing of 200x150 with a margin (10 above, 20 below, 30 left, 5 right) and a frame line of three pixels, if any."""
    drawing = scene(3, 200, 150)
    if frame:
        drawing[:3] = drawing[-3:] = drawing[:, :3] = drawing[:, -3:] = 0
    return np.pad(drawing, ((10, 20), (30, 5), (0, 0)), constant_values=color)


@pytest.mark.parametrize(
    ("picture", "box"),
    [
        (framed(0), (30, 10, 200, 150)),
        (framed(255), (30, 10, 200, 150)),
        (framed(255, frame=3), (33, 13, 194, 144)),
        (framed(90), (0, 0, 235, 180)),  # an even color may be drawn
        (np.pad(scene(3, 200, 150), ((60, 0), (0, 0), (0, 0)), constant_values=255), (0, 0, 200, 210)),  # a white sky
        (np.pad(scene(3, 40, 40), ((80, 80), (80, 80), (0, 0)), constant_values=255), (0, 0, 200, 200)),  # on a white ground
        (np.full((90, 120, 3), 255, np.uint8), (0, 0, 120, 90)),
        (np.zeros((90, 120, 3), np.uint8), (0, 0, 120, 90)),
    ],
)
def test_black_and_white_margins_are_cut_off(picture: images.Picture, box: tuple[int, int, int, int]) -> None:
    assert picture_source.find_picture_area(arrays.luma(picture), bar_luma=28) == box


@pytest.mark.slow
def test_a_folder_of_pictures_passes_through_all_data_stages(
    here: Path, committed: Params, caplog: pytest.LogCaptureFixture
) -> None:
    """With a broken, a hidden, a tiny, a huge and a transparent picture, and names of any length and script."""
    folder = drawings(here / "art")
    write(folder / f"{LONG}.png", 90)
    write(folder / ("w" * 200 + ".png"), 91)
    write(folder / "第一話.png", 92)
    write(folder / "tiny.png", 93, 20, 12)
    write(folder / "huge.png", 94, 2600, 1950)
    images.write(folder / "bars.png", framed(0))
    alpha = np.full((300, 400), 255, np.uint8)
    alpha[:, :120] = alpha[:, 300:] = 0
    images.write(folder / "alpha.png", np.dstack([scene(95, 400, 300), alpha]))
    (folder / "broken.png").write_bytes((folder / "bars.png").read_bytes()[:900])
    (folder / "text.jpg").write_bytes(b"no picture")
    (folder / "._bars.png").write_bytes(b"hidden")
    params = params_of(committed, art=str(folder))
    rows = read_rows(params)
    assert len(rows) == 15
    assert {name for name, row in rows.items() if row.reason == "unreadable"} == {"broken.png", "text.jpg"}
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert warning.startswith("2 of 15 pictures cannot be read") and "broken.png" in warning and "text.jpg" in warning
    assert (rows["huge.png"].width_px, rows["huge.png"].height_px, rows["huge.png"].box) == (1920, 1440, (0, 0, 2600, 1950))
    assert rows["bars.png"].box == (30, 10, 200, 150) and rows["tiny.png"].width_px == 20
    assert rows["alpha.png"].box == (120, 0, 180, 300), "transparency is white, and so a margin"
    readable = [row for row in rows.values() if row.reason is None]
    assert all(row.shot == row.id and row.time_s is None and row.avoid is None for row in readable)
    for row in readable:
        assert images.read(manifest.file_of(row)).shape == (row.height_px, row.width_px, 3)
    about = Path("data/keyframes/about/art")
    assert (about / "shots.csv").read_text() == "shot,start_s,end_s,frames_kept\n"
    (summary,) = json.loads((about / "film_report.json").read_text())
    assert (summary["pictures"], summary["margins_cut"], len(summary["unreadable"])) == (13, 2, 2)
    assert images.read(about / "sheet.jpg").shape[0] > 192 and images.read(about / "film_report.jpg").shape[1] > 400

    run_stage("photo_index", params)
    sorted_out = {row.id: row.reason for row in manifest.read(run_stage("dedup", params)) if row.source == "art"}
    assert [name for name, row in rows.items() if sorted_out[row.id] not in (None, "unreadable")] == ["tiny.png"]
    crops = manifest.read(run_stage("crop", params, "anime/art"))
    assert {row.parent for row in manifest.kept(crops)} == {row.id for row in readable} - {rows["tiny.png"].id}
    run_stage("crop", params, "photo/photos")
    run_stage("edge_smooth", params, "art")
    split = [row for row in manifest.read(run_stage("split", params)) if row.domain == "anime"]
    sides = {(row.shot, row.split) for row in split}
    assert {side for _, side in sides} == {"train", "val"} and len({shot for shot, _ in sides}) == len(sides)


def test_another_picture_changes_no_row_of_the_others(here: Path, committed: Params) -> None:
    folder = drawings(here / "art")
    params = params_of(committed, art=str(folder))
    before = read_rows(params)
    write(folder / "page 0" / "Panel.png", 99)
    write(folder / "aaa.png", 98)
    after = read_rows(vary(params, {"workers": 2}))
    assert len(after) == len(before) + 2 and {name: after[name] for name in before} == before
    (folder / "aaa.png").unlink()
    (folder / "page 1" / "Panel 1.png").unlink()
    left = read_rows(params)
    assert len(left) == len(before) and all(row == after[name] for name, row in left.items())


def test_footage_may_be_a_folder_of_pictures(here: Path, committed: Params) -> None:
    params = vary(params_of(committed, art=str(drawings(here / "art"))), {"footage": {"walk": str(drawings(here / "walk", 3))}})
    rows = read_rows(params, "walk")
    assert {row.domain for row in rows.values()} == {"photo"} and len(rows) == 3


def test_pictures_beside_films_are_named_as_passed_over(
    here: Path, committed: Params, caplog: pytest.LogCaptureFixture
) -> None:
    folder = here / "show"
    write(folder / "cover.png", 1)
    write_film(folder / "ep1.mp4", (scene(seed // 12, 64, 48) for seed in range(24)))
    rows = manifest.read(run_stage("keyframes", params_of(committed, art=str(folder)), "art"))
    assert rows and all(row.time_s is not None for row in rows)
    assert any("cover.png" in record.getMessage() and "folder of their own" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize(("on_bad_photo", "count"), [("stop", 3), ("skip", 0)])
def test_unreadable_pictures_stop_the_run_on_request_or_if_nothing_is_left(
    on_bad_photo: str, count: int, here: Path, committed: Params
) -> None:
    drawings(here / "art", count)
    write(here / "art" / "x.png", 1).write_bytes(b"text")
    params = vary(params_of(committed, art="art"), {"dedup.on_bad_photo": on_bad_photo})
    with pytest.raises(UserError, match=rf"1 of {count + 1} pictures cannot be read: fix them.*\n.*x\.png is not a picture"):
        run_stage("keyframes", params, "art")
    assert not Path("data/keyframes/about/art").exists()


def test_of_real_drawings_only_pages_of_credits_are_dropped(shared: Path, here: Path, committed: Params) -> None:
    """Both pages of credits, and those of the other drawings that resemble lettering most."""
    if not (shared / "drawn").is_dir():
        pytest.skip("no real drawings: set GENGA_SHARED to a folder that holds drawn/")
    (here / "art").mkdir()
    credits = ("PC_E11P07_p01", "PC_E12P08_p01")
    chosen = (*credits, "PC_E12P04_p02", "obs-en-16-13", "obs-en-19-11", "obs-en-12-05", "obs-en-38-09")
    for path in (shared / "drawn").rglob("*.jpg"):
        if path.stem in chosen:
            (here / "art" / path.name).symlink_to(path)
    params = params_of(committed, art="art")
    rows = read_rows(params)
    assert len(rows) == len(chosen) and not any(row.avoid for row in rows.values())
    run_stage("photo_index", params)
    reasons = {row.parent: row.reason for row in manifest.read(run_stage("dedup", params)) if row.source == "art"}
    assert {Path(name or "").stem: reason for name, reason in reasons.items() if reason} == dict.fromkeys(credits, "credits")
