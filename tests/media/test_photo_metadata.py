"""EXIF in copies of photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.media import images, photo_metadata
from pipeline.media.images import Picture


def scene(height: int = 60, width: int = 80) -> Picture:
    """Smooth colors, so that lossy formats come close."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // width, y * 255 // height, np.full_like(x, 128)], -1).astype(np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".avif", ".tif"])
def test_copies_keep_exif_but_not_tags_about_the_file(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0110], exif[0x0112] = "Camera 1", 6
    exif.get_ifd(0x8769)[0x9003] = "2024:01:02 03:04:05"
    exif.get_ifd(0x8769)[0x927C] = b"maker"
    exif.get_ifd(0x8825)[0x0001] = "N"
    Image.fromarray(scene()).save(tmp_path / "a.jpg", exif=exif)
    photo = images.read_photo(tmp_path / "a.jpg")
    for keep_location in (True, False):
        images.write(tmp_path / f"b{suffix}", photo.picture, photo_metadata.for_copy(photo.exif, keep_location))
        with Image.open(tmp_path / f"b{suffix}") as image:
            copied = image.getexif()
            assert copied[0x0110] == "Camera 1" and copied.get(0x0112, 1) == 1
            shot = copied.get_ifd(0x8769)
            assert shot[0x9003] == "2024:01:02 03:04:05" and 0x927C not in shot
            assert (copied.get_ifd(0x8825).get(1) == "N") == keep_location
        assert images.read(tmp_path / f"b{suffix}").shape == photo.picture.shape
    images.write(tmp_path / f"c{suffix}", photo.picture)
    with Image.open(tmp_path / f"c{suffix}") as image:
        assert 0x0110 not in image.getexif() and not image.getexif().get_ifd(0x8769)
