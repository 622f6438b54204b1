"""Writing films."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.media import encoding, video
from tests.conftest import no_loss, scene


def test_films_are_encoded_without_mb_tree(tmp_path: Path) -> None:
    """MB-tree (x264's macroblock-tree rate control) reads uninitialized memory with AVX-512: the file would differ by chance.

    x264 writes its settings into the first packet, so they can be read from the file.
    """
    path = tmp_path / "a.mp4"
    encoding.write_film(path, [scene(1, 64, 48)] * 3, fps=12, crf=20)
    assert b"mbtree=0" in path.read_bytes()


def test_films_come_back_with_their_frames_and_colors(tmp_path: Path) -> None:
    pictures = [scene(seed, 64, 48) for seed in range(6)]
    assert encoding.write_film(tmp_path / "a.mp4", pictures, fps=12, crf=4) == 6
    frames = list(video.frames(tmp_path / "a.mp4", no_loss))
    assert [round(frame.time_s * 12) for frame in frames] == list(range(6))
    for frame, picture in zip(frames, pictures, strict=True):
        assert np.abs(frame.rgb().astype(int) - picture).mean() < 8


def test_films_without_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.mp4: no pictures"):
        encoding.write_film(tmp_path / "a.mp4", [], fps=12, crf=20)
