"""Pictures that end too early, or would take hours, are refused at once."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from PIL import Image

from pipeline.core.errors import UserError
from pipeline.media import images
from tests.conftest import scene


def encoded(format: str, side: int = 64, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(scene(1, side, side)).save(buffer, format, **options)
    return buffer.getvalue()


def many_scans(side: int, count: int) -> bytes:
    """A progressive JPEG whose last scan is repeated."""
    content = encoded("JPEG", side, progressive=True)
    last = content[content.rindex(b"\xff\xda") : -2]
    return content[:-2] + last * count + content[-2:]


@pytest.mark.parametrize("format", ["PNG", "GIF", "WEBP", "AVIF", "TIFF", "BMP", "JPEG", "PPM"])
@pytest.mark.parametrize("missing", [1, 12, 20])
def test_a_picture_without_its_last_bytes_is_damaged(format: str, missing: int, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(format))
    assert images.read(path).shape == (64, 64, 3)
    path.write_bytes(encoded(format)[:-missing])
    with pytest.raises(UserError, match=r"a.png is damaged"):
        images.read(path)


def test_what_follows_the_end_does_no_harm(tmp_path: Path) -> None:
    for format, more in (("PNG", b"appended"), ("GIF", bytes(20)), ("JPEG", b"appended")):
        assert images.read(tmp_path / "a", data=encoded(format) + more).shape == (64, 64, 3)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (many_scans(1000, 3000), "more than 2000 scans"),
        (b"P6\n#" + b"a" * 5_000_000 + b"\n4 4\n255\n" + bytes(48), "header is too long"),
        (b"P6\n" + b"#\n" * 2_000_000 + b"4 4\n255\n" + bytes(48), "header is too long"),
        (b"P6\n" + b" " * 5_000_000 + b"4 4\n255\n" + bytes(48), "header is too long"),
        (b"P3\n4 4\n255\n" + b"#a\n" * 1_000_000 + b"1 " * 48, "too many comments"),
    ],
)
def test_bombs_of_time_are_refused(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "a.ppm"
    path.write_bytes(content)
    with pytest.raises(UserError, match=reason):
        images.read(path)
    assert images.megapixels_of(path) <= 1


def test_ordinary_progressive_pictures_and_comments_are_read() -> None:
    assert images.read(Path("a"), data=encoded("JPEG", 640, progressive=True)).shape == (640, 640, 3)
    assert images.read(Path("a"), data=b"P6\n# by GIMP\n4 4\n# 8 bits\n255\n" + bytes(48)).shape == (4, 4, 3)
    assert images.read(Path("a"), data=b"P3\n# one\n4 4\n255\n# two\n" + b"1 " * 48).shape == (4, 4, 3)


def test_pipes_devices_and_empty_files_are_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", Path("/dev/random")):
        with pytest.raises(UserError, match="is a pipe or a device"):
            images.read(path)
        assert images.megapixels_of(path) == 0
    (tmp_path / "empty.png").touch()
    with pytest.raises(UserError, match="is empty"):
        images.read(tmp_path / "empty.png")
