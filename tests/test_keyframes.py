"""The stage keyframes: files and rows, episodes, disturbed shots, invalid films."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline.core import manifest
from pipeline.core.errors import UserError
from pipeline.media import images, video
from pipeline.media.images import Picture
from pipeline.params.schema import Params
from tests.conftest import no_loss, run_stage, scene, vary, write_film


def still(seed: int, count: int) -> Iterable[Picture]:
    return (scene(seed, shift=index // 3) for index in range(count))


@pytest.mark.parametrize("trouble", ["none", "strobe", "flash", "whip pan"])
def test_disturbed_shots_are_neither_lost_nor_overrepresented(
    trouble: str, committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three shots, the middle one disturbed: whatever is cut too often, dedup takes back, and no shot is lost."""
    monkeypatch.chdir(tmp_path)
    wide = np.concatenate([scene(31, 640, 180), scene(32, 640, 180)], axis=1)

    def frames() -> Iterable[Picture]:
        yield from still(21, 30)
        for step in range(36):
            picture = scene(22, shift=step // 6)
            if (trouble == "strobe" and 8 <= step < 24 and step % 2) or (trouble == "flash" and step in (15, 16)):
                picture = np.full_like(picture, 250)
            if trouble == "whip pan" and 12 <= step < 18:
                at = (step - 12) * 180
                picture = np.ascontiguousarray(cv2.blur(wide, (61, 1))[:, at : at + 320])
            yield picture
        yield from still(23, 30)

    path = write_film(tmp_path / "film.mp4", frames())
    (tmp_path / "photos").mkdir()
    images.write(tmp_path / "photos" / "p.png", scene(50))
    params = vary(committed, {"films": {"film": str(path)}, "photos": "photos"})
    run(params)
    run_stage("photo_index", params)
    rows = manifest.read(run_stage("dedup", params))
    kept = [row.time_s or 0.0 for row in rows if row.domain == "anime" and row.reason is None]
    for first, last in ((0.0, 2.5), (2.5, 5.5), (5.5, 8.0)):
        inside = [second for second in kept if first <= second < last]
        assert 1 <= len(inside) <= 3 + 2 * (trouble == "whip pan"), (first, inside)
    if trouble == "strobe":
        assert not [second for second in kept if round(second * 12) - 30 in range(9, 24, 2)], "a white frame was kept"


def run(params: Params, source: str = "film") -> list[manifest.Row]:
    out = run_stage("keyframes", params, source)
    return manifest.read(out)


def test_the_stage_writes_frames_without_bars_and_complete_rows(
    film: Path, committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = run(vary(committed, {"films": {"film": str(film)}}))
    assert len(rows) == 15
    assert len({row.id for row in rows}) == 15
    originals = {round(frame.time_s, 3): frame.rgb() for frame in video.frames(film, no_loss)}
    for row in rows:
        picture = images.read(Path(row.file or ""))
        assert picture.shape == (132, 320, 3) and manifest.file_of(row).parent == Path("data/keyframes/pictures/film")
        assert row.box == (0, 24, 320, 132)
        assert row.time_s is not None and np.array_equal(picture, originals[row.time_s][24:156])
        assert 0.15 < row.time_s % 2 < 1.85, "too near a cut"
        assert row.shot == f"film-{int(row.time_s // 2):05d}"
    with open("data/keyframes/about/film/shots.csv", newline="") as file:
        assert [float(line["start_s"]) for line in csv.DictReader(file)] == [0, 2, 4, 6, 8]
    assert images.read(Path("data/keyframes/about/film/sheet.jpg")).size


def test_results_do_not_depend_on_the_number_of_workers(
    film: Path, committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    show = tmp_path / "show"
    show.mkdir()
    for name in ("e 01.mp4", "e 02.mp4"):
        (show / name).write_bytes(film.read_bytes())
    monkeypatch.chdir(tmp_path)
    results = []
    for workers in (1, 2):
        rows = run(vary(committed, {"films": {"film": str(show)}, "workers": workers}))
        assert len(rows) == 30
        assert {row.shot.rsplit("-", 1)[0] for row in rows if row.shot} == {"film.e-01", "film.e-02"}
        files = [path for path in Path("data/keyframes").rglob("*") if path.is_file()]
        results.append({path.as_posix(): path.read_bytes() for path in files})
        assert len(files) > 30
    assert results[0] == results[1]


@pytest.mark.parametrize("content", [None, b"", b"text"])
def test_nothing_is_left_of_an_invalid_film(
    content: bytes | None, committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path("a.mp4").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.mp4"):
        run(vary(committed, {"films": {"film": "a.mp4"}}))
    assert not [path for path in Path("data").rglob("*") if path.is_file()]


def test_unknown_sources_are_refused(committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="neither under films"):
        run(committed, "nobody")


def test_truncated_films_are_refused_unless_allowed(
    committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    whole = write_film(tmp_path / "whole.mkv", (scene(index // 24, shift=index % 24) for index in range(192)))
    data = whole.read_bytes()
    whole.write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match=r"should last 16\.0 s.*get a complete copy, or raise keyframes\.max_lost_s"):
        run(vary(committed, {"films": {"film": str(whole)}}))
    assert not [path for path in Path("data").rglob("*") if path.is_file()]
    rows = run(vary(committed, {"films": {"film": str(whole)}, "keyframes.max_lost_s": 60.0}))
    assert rows
    assert any("are missing" in record.message for record in caplog.records)


def test_episodes_are_told_apart_whatever_their_names(
    committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In any script, of any length, with a colon; films under other suffixes count, what is no film is named."""
    monkeypatch.chdir(tmp_path)
    film = write_film(tmp_path / "a.mp4", still(1, 12)).read_bytes()
    names = ("第一話.mp4", "第二話.mp4", "Re:Zero 01.mp4", "話" * 78 + ".mkv", "w" * 200 + ".mp4", "c.divx9", "ep 1.MTS")
    for name in (*names, "._ep1.mp4", ".Trash-1000/x.mp4"):
        (tmp_path / "show" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "show" / name).write_bytes(film)
    Path("show/ep1.srt").write_text("1")
    with caplog.at_level("INFO"):
        rows = run(vary(committed, {"films": {"film": "show"}, "workers": 1}))
    assert {Path(row.parent or "").name for row in rows} == set(names)
    shots = {row.shot for row in rows}
    assert len(shots) == len(names) and {"film.ep-1-00000", "film.re-zero-01-00000", "film.c-00000"} <= shots
    assert all(len(Path(row.file or "").name) < 150 for row in rows)
    assert any("passed over" in record.getMessage() and "ep1.srt" in record.getMessage() for record in caplog.records)
    Path("show/Ep-1.mp4").write_bytes(film)
    with pytest.raises(UserError, match=r"Ep-1\.mp4 and .*ep 1\.MTS have nearly the same name: rename one"):
        run(vary(committed, {"films": {"film": "show"}}))


def test_all_episodes_are_opened_before_any_is_decoded(
    committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_film(tmp_path / "ep1.mp4", still(1, 12))
    Path("ep8.mp4").write_bytes(b"text")
    Path("ep9.mkv").write_bytes(b"")
    monkeypatch.setattr(video, "frames", lambda *_: pytest.fail("decoded before the others were opened"))
    opened: list[str] = []

    def open_only(path: Path) -> None:
        opened.append(path.name)
        video.open_film(path).close()

    monkeypatch.setattr(video, "probe", open_only)
    with pytest.raises(UserError, match=r"(?s)ep8\.mp4.*ep9\.mkv"):
        run(vary(committed, {"films": {"film": "."}}))
    assert opened == ["ep1.mp4", "ep8.mp4", "ep9.mkv"]


def test_each_stretch_has_its_own_aspect(committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A film of wide pixels goes on in square ones (MPEG-2, as broadcasts do): discs are round in both parts."""
    monkeypatch.chdir(tmp_path)
    with Path("a.mpg").open("wb") as joined:
        for part, aspect in enumerate((Fraction(16, 9), Fraction(4, 3))):
            pixel = aspect * 288 / 352
            disc = np.full((288, 352, 3), 60 + 60 * part, np.uint8)
            cv2.ellipse(disc, (176, 144), (round(80 / pixel), 80), 0, 0, 360, (230, 40, 30), -1)
            cv2.rectangle(disc, (20, 20), (60, 90), (30, 200, 90), -1)
            path = write_film(tmp_path / f"{part}.mpg", [disc] * 48, 24, "mpeg2video", sample_aspect_ratio=pixel)
            joined.write(path.read_bytes())
    rows = run(vary(committed, {"films": {"film": "a.mpg"}}))
    shapes = []
    for row in rows:
        red = images.read(Path(row.file or ""))
        down, across = np.nonzero((red[..., 0] > 180) & (red[..., 1] < 100))
        shapes.append((row.width_px, np.ptp(across) / np.ptp(down)))
    assert {width for width, _ in shapes} == {512, 384}
    assert all(abs(ratio - 1) < 0.03 for _, ratio in shapes), shapes


@pytest.mark.parametrize("suffix", [".gif", ".png"])
def test_animations_are_films_on_request(
    suffix: str, committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    frames = [Image.fromarray(picture) for seed in (1, 2) for picture in still(seed, 12)]
    frames[0].save(f"a{suffix}", save_all=True, append_images=frames[1:], duration=80)
    rows = run(vary(committed, {"films": {"film": f"a{suffix}"}}))
    assert len({row.shot for row in rows}) == 2
