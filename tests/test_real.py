"""Real films, if they are available: the stages find what people see in them."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.core import manifest
from pipeline.core.manifest import Row
from pipeline.media import arrays, images, video
from pipeline.params.schema import Params
from tests.conftest import no_loss, run_stage, vary, write_film


def data_set(film: Path, photos: Path, committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Row]:
    monkeypatch.chdir(tmp_path)
    few = tmp_path / "photos"
    few.mkdir()
    for path in sorted(photos.glob("*.jpg"))[:8]:
        (few / path.name).symlink_to(path.resolve())
    params = vary(committed, {"films": {"film": str(film.resolve())}, "photos": few.name})
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


# First seconds of the shots of the Sintel trailer, as the eye sees them.
SINTEL_SHOTS = (
    1.17,
    9.33,
    12.08,
    14.0,
    16.12,
    16.58,
    17.58,
    18.29,
    21.62,
    22.08,
    23.88,
    25.96,
    27.5,
    28.08,
    28.42,
    32.21,
    47.21,
)


@pytest.mark.parametrize("shown", ["24", "60 by repeats", "on threes"])
def test_no_validation_crop_shows_a_place_that_is_trained_on(
    shown: str, shared: Path, committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a crop's true shot nor anything that SIFT finds in both frames is on both sides, whatever the seed."""
    film = shared / "films" / "sintel_trailer_480x204_52s.mp4"
    if shown != "24":
        frames = (frame.rgb() for frame in video.frames(film, no_loss))
        fps, counts = (60, itertools.cycle((3, 2))) if shown == "60 by repeats" else (24, itertools.cycle((3, 0, 0)))
        film = tmp_path / "film.mp4"
        repeated = (picture for picture, count in zip(frames, counts, strict=False) for _ in range(count))
        write_film(film, repeated, fps, options={"crf": "20"})
    data_set(film, shared / "photos" / "endless_sky", vary(committed, {"crop.size_px": 96}), tmp_path, monkeypatch)
    params = vary(committed, {"films": {"film": str(film.resolve())}, "photos": "photos", "crop.size_px": 96, "split.val": 0.2})
    whole = {row.id: row for row in manifest.read(Path("data/dedup"))}
    for source in ("anime/film", "photo/photos"):
        run_stage("crop", params, source)
    sift = cv2.SIFT.create(400)
    found = {name: sift.detectAndCompute(arrays.luma(images.read(manifest.file_of(row))), None) for name, row in whole.items()}
    for seed in range(2):
        rows = manifest.kept(manifest.read(run_stage("split", vary(params, {"split.seed": seed}))), "anime")
        val, train = ({row.parent or "" for row in rows if row.split == side} for side in ("val", "train"))
        true = [
            {int(np.searchsorted(SINTEL_SHOTS, (whole[name].time_s or 0.0) + 0.01)) for name in names} for names in (val, train)
        ]
        assert val and train and not true[0] & true[1]
        assert not [(one, other) for one in val for other in train if overlap(found[one], found[other])]


def overlap(one: tuple[Any, Any], other: tuple[Any, Any]) -> bool:
    """Whether enough SIFT features of two frames agree on one shift, turn and scale."""
    if one[1] is None or other[1] is None or min(len(one[1]), len(other[1])) < 2:
        return False
    matches = cv2.BFMatcher().knnMatch(one[1], other[1], k=2)
    near = [first for first, second in matches if first.distance < 0.75 * second.distance]
    if len(near) < 10:
        return False
    source = np.array([one[0][match.queryIdx].pt for match in near], np.float32)
    target = np.array([other[0][match.trainIdx].pt for match in near], np.float32)
    motion, agreeing = cv2.estimateAffinePartial2D(source, target, ransacReprojThreshold=4)
    # Without the last condition many features of one frame may "agree" on a single point of the other.
    return motion is not None and int(agreeing.sum()) >= 10 and 0.3 < float(np.hypot(*motion[:, 0])) < 3.3


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
