"""Subtitles and logo of whole films: key frames carry boxes that crops avoid."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from pipeline.core import manifest
from pipeline.core.manifest import Row
from pipeline.frames.letterbox import Box
from pipeline.media import video
from pipeline.media.images import Picture
from pipeline.params.schema import Params
from tests.conftest import no_loss, run_stage, scene, vary, write_film
from tests.support.frames import HEIGHT, LOGO_PLACES, WIDTH, touch, with_logo
from tests.support.subtitles import STYLES, TEXTS, burn
from tests.test_keyframes import run


def crops_of(path: Path, params: Params) -> list[Row]:
    """The crops that keyframes and crop make of a film."""
    params = vary(params, {"films": {"film": str(path)}})
    rows = run(params)
    Path("data/dedup/film").mkdir(parents=True, exist_ok=True)
    manifest.write(Path("data/dedup/film"), rows)
    return [row for row in manifest.read(run_stage("crop", params, "anime/film")) if row.file]


def test_no_crop_of_a_real_film_shows_its_one_subtitle(
    shared: Path, committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The excerpt's third shot gets a subtitle of two lines for a while, the others none."""
    monkeypatch.chdir(tmp_path)
    first_s, last_s = 16.4, 19.5
    boxes: list[Box] = []

    def frames() -> Iterable[Picture]:
        for frame in video.frames(shared / "films" / "big_buck_bunny_480p_30s.mp4", no_loss):
            if 14 <= frame.time_s < 20.5 and frame.index % 3 == 0:
                picture, box = frame.rgb(), None
                if first_s <= frame.time_s < last_s:
                    picture, box = burn(picture, TEXTS[3], STYLES[3])
                    boxes.append(box)
                yield picture

    crops = crops_of(write_film(tmp_path / "film.mp4", frames()), committed)
    shown = [row for row in crops if first_s - 14 <= (row.time_s or 0) < last_s - 14]
    assert len(shown) >= 3 and len(crops) > len(shown)
    assert not any(row.box is not None and touch(row.box, boxes[0]) for row in shown)


def test_no_crop_touches_logo_or_subtitles(
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
                yield with_logo(picture, LOGO_PLACES[0]) if laid else picture

    monkeypatch.chdir(tmp_path)
    params = vary(committed, {"crop.size_px": 128, "crop.per_frame": 4, "pretrain.crop_px": 64, "train.crop_px": 64})
    crops: dict[bool, int] = {}
    for laid in (True, False):
        cut = crops_of(write_film(tmp_path / f"{laid}.mp4", frames(laid)), params)
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
            assert not touch(row.box, (LOGO_PLACES[0][0] - 13, LOGO_PLACES[0][1] - 13, 27, 27))
            if int(row.time_s) in texts:
                assert not touch(row.box, burn(np.zeros((HEIGHT, WIDTH, 3), np.uint8), texts[int(row.time_s)])[1])
    assert crops[True] >= 0.9 * crops[False]
