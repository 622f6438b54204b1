"""Renaming a film's file, under the same name in params.yaml, changes nothing that is learned from."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.media import images
from pipeline.params.schema import Params
from tests.conftest import run_stage, scene, vary

pytestmark = [pytest.mark.slow, pytest.mark.faults]


def test_crops_and_splits_are_the_same_bytes(
    committed: Params, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for number in range(8):
        images.write(Path(f"photos/{number}.png"), scene(90 + number))
    Path("data").mkdir()
    for name in ("keep.txt", "drop.txt"):
        Path("data", name).touch()
    made = []
    for name in ("totoro.mp4", "My Neighbour (1988).mp4"):
        shutil.copyfile(film, name)
        params = vary(committed, {"films": {"mine": name}, "photos": "photos", "crop.size_px": 96, "workers": 1})
        run_stage("keyframes", params, "mine")
        run_stage("photo_index", params)
        run_stage("dedup", params)
        run_stage("crop", params, "anime/mine")
        run_stage("crop", params, "photo/photos")
        run_stage("split", params)
        files = [path for folder in ("data/crop", "data/split") for path in sorted(Path(folder).rglob("*")) if path.is_file()]
        made.append({path: path.read_bytes() for path in files})
    assert len(made[0]) > 20 and made[0] == made[1]
