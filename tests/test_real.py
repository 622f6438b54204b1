"""Real films, if they are available: the stages find what people see in them."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from pipeline.core import manifest
from pipeline.core.manifest import Row
from pipeline.media import images
from pipeline.params.schema import Params
from tests.conftest import run_stage, vary


def data_set(film: Path, photos: Path, committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Row]:
    monkeypatch.chdir(tmp_path)
    few = tmp_path / "photos"
    few.mkdir()
    for path in sorted(photos.glob("*.jpg"))[:3]:
        (few / path.name).symlink_to(path.resolve())
    params = vary(committed, {"films": {"film": str(film.resolve())}, "photos": str(few)})
    run_stage("keyframes", params, "film")
    run_stage("photo_index", params)
    return [row for row in manifest.read(run_stage("dedup", params)) if row.domain == "anime"]


def test_sintel_trailer(shared: Path, committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Titles on black at 9.4 to 11.4 s and from 42 s to the end, black between scenes; 11 scenes in between."""
    film = shared / "films" / "sintel_trailer_480x204_52s.mp4"
    rows = data_set(film, shared / "photos" / "endless_sky", committed, tmp_path, monkeypatch)
    kept = [row.time_s or 0.0 for row in manifest.kept(rows)]
    assert [second for second in kept if 9.33 <= second <= 12.1 or second >= 42] == []
    assert {row.reason for row in rows} >= {"credits", "dark", None}
    assert not any(row.avoid for row in rows), "nothing is laid over these films"
    for scene in [(1.2, 9.3), (12.1, 14.0), (14.0, 16.1), (16.6, 17.6), (18.3, 21.6), (22.1, 23.8), (23.9, 25.9), (26.0, 27.5)]:
        assert any(scene[0] <= second <= scene[1] for second in kept), scene


def test_big_buck_bunny_excerpt(shared: Path, committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four shots after a fade from black, each represented, the second with the opening title for a while."""
    film = shared / "films" / "big_buck_bunny_480p_30s.mp4"
    rows = data_set(film, shared / "photos" / "endless_sky", committed, tmp_path, monkeypatch)
    kept = [row.time_s or 0.0 for row in manifest.kept(rows)]
    for first, last in itertools.pairwise([0.62, 11.88, 15.75, 23.04, 30.0]):
        assert any(first <= second < last for second in kept), (first, last)
    assert len({row.shot for row in manifest.kept(rows)}) <= 6, "the camera reaches another place in two of them"
    assert {row.reason for row in rows} == {None, "near_duplicate", "dark", "title"}
    assert [int(row.time_s or 0.0) for row in rows if row.reason == "title"] == [22]
    assert not any(row.avoid for row in rows)
    assert all((row.time_s or 0.0) < 0.7 for row in rows if row.reason == "dark")
    for row in rows:
        assert images.read(Path(row.file or "")).shape[:2] == (row.height_px, row.width_px)
