"""A project whose dedup has run, on eight pictures, for tests of genga review."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.core import manifest
from pipeline.core.manifest import Row
from pipeline.media import images
from tests.conftest import scene

SCORES = {"sharpness": 50.0, "luma_p95": 200.0, "luma_std": 40.0, "lettering": 0.1}
PICTURES: list[tuple[str, str | None, str | None, dict[str, float]]] = [
    # id, reason, duplicate_of, scores that differ
    ("film-00000-00000208", None, None, {}),
    ("film-00000-00001208", "near_duplicate", "film-00000-00000208", {"sharpness": 20.0}),
    ("film-00000-00002208", "near_duplicate", "film-00000-00000208", {"sharpness": 10.0}),
    ("film-00001-00004000", None, None, {}),
    ("film-00002-00006000", "dark", None, {"luma_p95": 12.0}),
    ("film-00003-00008000", "credits", None, {"lettering": 0.99}),
    ("film-00004-00009000", "by_hand", None, {}),
    ('a "photo" #1/2?-ab12cd', None, None, {}),
]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose dedup has run, on eight pictures."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/dedup").mkdir(parents=True)
    (tmp_path / "data/drop.txt").write_text("# mine\nfilm-00004-00009000\n")
    rows = []
    for number, (name, reason, original, scores) in enumerate(PICTURES):
        file = f"data/{number}.png"
        images.write(Path(file), scene(number, 640, 360))
        film = name.startswith("film")
        rows.append(
            Row(
                id=name,
                domain="anime" if film else "photo",
                source="film" if film else "photos",
                file=file,
                width_px=640,
                height_px=360,
                time_s=int(name[-8:]) / 1000 if film else None,
                reason=reason,
                duplicate_of=original,
                scores=SCORES | scores,
            )
        )
    manifest.write(Path("data/dedup"), rows)
    return tmp_path
