"""Writing films."""

from __future__ import annotations

from pathlib import Path

from pipeline.media import encoding
from tests.conftest import scene


def test_films_are_encoded_without_mb_tree(tmp_path: Path) -> None:
    """MB-tree (x264's macroblock-tree rate control) reads uninitialized memory with AVX-512: the file would differ by chance.

    x264 writes its settings into the first packet, so what it was told can be read off the file.
    """
    path = tmp_path / "a.mp4"
    encoding.write_film(path, [scene(1, 64, 48)] * 3, fps=12, crf=20)
    assert b"mbtree=0" in path.read_bytes()
