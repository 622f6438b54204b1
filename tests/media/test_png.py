"""The PNG encoder: lossless, and the same bytes from any thread."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.media import images, png
from pipeline.media.images import Picture


def noise(height: int, width: int, seed: int = 0) -> Picture:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def scene(height: int = 60, width: int = 80) -> Picture:
    """Smooth colors, so that lossy formats come close."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // width, y * 255 // height, np.full_like(x, 128)], -1).astype(np.uint8)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 9))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_png_is_lossless(tmp_path: Path, height: int, width: int, seed: int) -> None:
    picture = noise(height, width, seed)
    images.write(tmp_path / "a.png", picture)
    np.testing.assert_array_equal(images.read(tmp_path / "a.png"), picture)


def test_encoding_gives_the_same_bytes_from_any_thread() -> None:
    pictures = [noise(64, 48), scene(), np.repeat(noise(64, 1), 80, axis=1)]
    first = [png.encode(picture) for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        again = list(pool.map(png.encode, pictures * 40))
    assert again == first * 40
