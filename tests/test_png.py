"""PNG written by our own deflate: every decoder gives back the pixels, and codes are the best there are."""

from __future__ import annotations

import functools
import io
import math
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from pipeline import png
from pipeline.images import Picture
from tests.conftest import scene


def decoded(data: bytes) -> list[Picture]:
    """By Pillow and by OpenCV."""
    return [
        np.array(Image.open(io.BytesIO(data))),
        np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), np.uint8)[..., ::-1],
    ]


@functools.cache
def pictures() -> dict[str, Picture]:
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 256, (401, 903, 3), np.uint8)
    spots = np.zeros((700, 701, 3), np.uint8)
    spots[rng.integers(0, 700, 300), rng.integers(0, 701, 300)] = 200
    rare = np.zeros((600, 801, 3), np.uint8)  # counts that double make the longest codes
    some = rare.reshape(-1)[::16]
    some[:] = np.minimum(rng.geometric(0.5, some.size), 255)
    return {
        "noise": noise,
        "flat": np.full((500, 999, 3), 77, np.uint8),
        "spots": spots,
        "rare": rare,
        "drawn": scene(3, 1280, 720),
        "grain": np.clip(scene(4, 1281, 719) + rng.normal(0, 3, (719, 1281, 3)), 0, 255).astype(np.uint8),
        "thin": rng.integers(0, 3, (3, 150_000, 3), np.uint8),
        "part of another": np.repeat(noise, 2, axis=0)[:, 100:800],
        "what is not sampled": np.concatenate([np.zeros((300, 1280, 3), np.uint8), scene(5, 1280, 420)]),
    }


@pytest.mark.parametrize("least_share", [0.0, 0.2], ids=["by codes", "as is best"])
@pytest.mark.parametrize("name", pictures())
def test_large_pictures_come_back(name: str, least_share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = pictures()[name]
    assert picture.shape[0] * (1 + 3 * picture.shape[1]) >= png._LARGE, "large enough for our own deflate"
    monkeypatch.setattr(png, "_LEAST_SHARE", least_share)
    data = png.encode(picture)
    for back in decoded(data):
        np.testing.assert_array_equal(back, picture)
    assert data == png.encode(picture.copy()), "the same bytes again"


def test_files_are_about_as_large_as_by_zlib() -> None:
    for name, picture in pictures().items():
        lines = np.concatenate(list(png._filtered(picture.reshape(len(picture), -1))))
        assert len(png.encode(picture)) <= 1.3 * len(zlib.compress(lines.tobytes(), 1)) + 20_000, name


@given(arrays.arrays(np.uint8, st.integers(0, 3000), elements=st.sampled_from([0, 0, 0, 0, 0, 0, 1, 255])), st.integers(3, 12))
@settings(max_examples=60, deadline=None)
def test_any_lines_survive_any_size_of_pieces(values: Picture, width: int) -> None:
    lines = np.resize(values, (len(values) // width + 1, width)) if len(values) else np.zeros((1, width), np.uint8)
    stream = b"".join(png._deflated(lines, png._sampled(lines)[0]))
    assert zlib.decompress(stream) == b"".join(piece.tobytes() for piece in png._filtered(lines))


@given(st.lists(st.integers(0, 2**40), min_size=2, max_size=286))
@settings(max_examples=100, deadline=None)
def test_codes_fill_the_tree_and_cost_no_more_than_entropy_and_a_bit(counts: list[int]) -> None:
    counts[:2] = 1, 1
    lengths = png.code_lengths(counts)
    assert all((length > 0) == (count > 0) for count, length in zip(counts, lengths, strict=True))
    assert max(lengths) <= 15
    assert sum(2.0**-length for length in lengths if length) == 1, "Kraft: a whole prefix code"
    total = sum(counts)
    entropy = -sum(count / total * math.log2(count / total) for count in counts if count)
    mean = sum(count * length for count, length in zip(counts, lengths, strict=True)) / total
    assert mean <= entropy + 1.1
