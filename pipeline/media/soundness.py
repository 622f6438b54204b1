"""What Pillow does not check before it decodes: files that end too early, and files that take hours on purpose."""

import contextlib
import io
import mmap
import re
from collections.abc import Iterator
from pathlib import Path

from pipeline.core.errors import UserError

_PNG_END = b"IEND\xaeB`\x82"
_JPEG_SCAN = b"\xff\xda"
_MAX_SCAN_MEGAPIXELS = 2000.0  # a progressive JPEG has about ten scans; each goes over the whole picture, in 10 ms a megapixel
_PPM_HEAD = re.compile(rb"P[1-7](?:\s|#[^\n\r]*[\n\r])++\w")
_MAX_PPM_HEAD, _MAX_PPM_COMMENTS = 4096, 64  # Pillow reads them letter by letter, and those among the values in quadratic time

Content = bytes | mmap.mmap


@contextlib.contextmanager
def content_of(file: Path | io.BytesIO) -> Iterator[Content]:
    """Give the content of a file, or of a buffer, without reading all of it.

    Raises:
        UserError: the path is a pipe or a device, which may never end.
        OSError: the file is missing, a folder, or may not be read.
    """
    if isinstance(file, io.BytesIO):
        yield file.getvalue()
        return
    if file.exists() and not file.is_file() and not file.is_dir():
        raise UserError(f"{file} is a pipe or a device, not a file: give a picture")
    with file.open("rb") as opened:
        try:
            mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:  # an empty file
            yield b""
            return
        with mapped:
            yield mapped


def check_header(content: Content) -> None:
    """Check what is read before the size of a picture is known.

    Raises:
        ValueError: the comments of a PPM would take minutes.
    """
    if re.match(rb"P[1-7]\s", content):
        if not _PPM_HEAD.match(content, 0, _MAX_PPM_HEAD):
            raise ValueError("its header is too long")
        if content[1:2] in b"123" and _occurrences(content, b"#", _MAX_PPM_COMMENTS) >= _MAX_PPM_COMMENTS:
            raise ValueError("it has too many comments")


def check(content: Content, format: str | None, megapixels: float) -> None:
    """Check a picture whose header has been read.

    Args:
        format: Pillow's name of it.

    Raises:
        ValueError: the file ends too early, or has so many scans that decoding it would take minutes.
    """
    if format == "PNG" and content.rfind(_PNG_END) < 0:
        raise ValueError("its end is missing")
    if format == "GIF" and content[-64:].rstrip(b"\0")[-1:] != b";":
        raise ValueError("its end is missing")
    if format in ("JPEG", "MPO"):
        allowed = max(16, int(_MAX_SCAN_MEGAPIXELS / max(megapixels, 1e-6)))
        if allowed < len(content) // len(_JPEG_SCAN) and _occurrences(content, _JPEG_SCAN, allowed + 1) > allowed:
            raise ValueError(f"it has more than {allowed} scans, which would take minutes")


def _occurrences(content: Content, sought: bytes, most: int) -> int:
    """Count up to `most` occurrences."""
    count, place = 0, content.find(sought)
    while place >= 0 and count < most:
        count, place = count + 1, content.find(sought, place + 1)
    return count
