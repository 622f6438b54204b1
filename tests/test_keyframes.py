"""The stage keyframes: files and rows, episodes, disturbed shots, invalid films."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest

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
