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
    """Yield the content of a file, mapped into memory during the block instead of read whole, or of a buffer.

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
    """Check what is read before the size of a picture is known; only PPM and its relatives can fail.

    Raises:
        ValueError: the header of a PPM is so long, or has so many comments, that reading it would take minutes.
    """
    if re.match(rb"P[1-7]\s", content):
        if not _PPM_HEAD.match(content, 0, _MAX_PPM_HEAD):
            raise ValueError("its header is too long")
        if content[1:2] in b"123" and _occurrences(content, b"#", _MAX_PPM_COMMENTS) >= _MAX_PPM_COMMENTS:
            raise ValueError("it has too many comments")


def check(content: Content, format: str | None, megapixels: float) -> None:
    """Check that a PNG or GIF is complete and a JPEG has no excessive number of scans; other formats pass.

    Args:
        content: the whole file.
        format: Pillow's name of the format.
        megapixels: size of the picture, which limits the number of scans.

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
    """Count the occurrences of `sought`, up to `most`."""
    count, place = 0, content.find(sought)
    while place >= 0 and count < most:
        count, place = count + 1, content.find(sought, place + 1)
    return count
