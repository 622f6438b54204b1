"""Perceptual hashes: against imagehash, and what hardly changes them."""

from __future__ import annotations

import cv2
import imagehash
import numpy as np
import pytest
from PIL import Image

from pipeline.frames import perceptual_hashes
from pipeline.frames.hash_index import NamedIndex
from pipeline.frames.perceptual_hashes import Hashes
from pipeline.frames.quality import measure
from pipeline.media import arrays
from pipeline.media.images import Picture
from tests.conftest import scene


def bits(text: str) -> int:
    return int(str(text), 16)


def hashes_of(*pictures: Picture) -> Hashes:
    return perceptual_hashes.stack((one.phash, one.dhash) for one in map(measure, pictures))


@pytest.mark.parametrize("seed", range(12))
def test_hashes_agree_with_imagehash(seed: int) -> None:
    """On a picture already small: before that imagehash resamples with Lanczos, we by area."""
    gray = arrays.luma(scene(seed, 640, 360))
    low = cv2.resize(gray, (32, 32), interpolation=cv2.INTER_AREA)
    # One coefficient is the median's own neighbor: the two cosine transforms may round it to either side.
    assert (perceptual_hashes.phash(gray) ^ bits(str(imagehash.phash(Image.fromarray(low))))).bit_count() <= 2
    rows = cv2.resize(gray, (9, 8), interpolation=cv2.INTER_AREA)
    assert perceptual_hashes.dhash(gray) == bits(str(imagehash.dhash(Image.fromarray(rows))))
    others = [perceptual_hashes.phash(arrays.luma(scene(other, 640, 360))) for other in range(12) if other != seed]
    assert min((perceptual_hashes.phash(gray) ^ other).bit_count() for other in others) > 10


@pytest.mark.parametrize("seed", range(6))
def test_noise_compression_and_size_hardly_change_hashes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    picture = scene(seed, 640, 360)
    noisy = np.clip(picture + rng.normal(0, 6, picture.shape), 0, 255).astype(np.uint8)
    encoded = cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], cv2.IMREAD_COLOR)
    index = NamedIndex(6)
    assert index.deduplicate(["first"], hashes_of(picture)) == [None]
    variants = (noisy, np.asarray(encoded, np.uint8), arrays.resize(picture, 320, 180))
    assert index.deduplicate(["noisy", "encoded", "small"], hashes_of(*variants)) == ["first"] * 3
    assert index.deduplicate(["other"], hashes_of(scene(seed + 100, 640, 360))) == [None]
