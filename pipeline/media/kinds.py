"""What files are: pictures, films or neither, by their first bytes, and by the suffix where these do not decide."""

import re
from pathlib import Path
from typing import Literal

Kind = Literal["picture", "film"]

PICTURE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".heic", ".heif", ".bmp", ".gif", ".ppm"}
)
FILM_SUFFIXES = frozenset(
    {".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".m2ts", ".wmv", ".flv", ".ogv", ".vob"}
    | {".mts", ".mxf", ".rm", ".rmvb", ".divx", ".3gp", ".asf", ".f4v", ".m2v", ".dv", ".y4m"}
)
# In containers of films, but no films: sound or subtitles alone, photographs in raw, previews that cameras make.
_OTHER_SUFFIXES = frozenset(
    {".m4a", ".m4b", ".mka", ".mks", ".ogg", ".oga", ".opus", ".spx", ".wma", ".weba", ".cr3", ".lrv", ".thm"}
)
_HEAD_BYTES = 400
_HEIF = rb"....ftyp(?:hei[cmsx]|hev[cx]|mif1|msf1|avif|avis)"
_PICTURE = re.compile(rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8|RIFF....WEBP|" + _HEIF, re.DOTALL)
_FILM = re.compile(
    rb"....(?:ftyp|moov|mdat|wide)|\x1a\x45\xdf\xa3|RIFF....AVI |FLV\x01|OggS|\.RMF|\x30\x26\xb2\x75\x8e\x66\xcf\x11"  # ASF
    rb"|\x06\x0e\x2b\x34|\x00\x00\x01[\xba\xb3]|\x47.{187}\x47.{187}\x47|.{4}\x47.{191}\x47",  # MXF, MPEG, its streams
    re.DOTALL,
)


def visible_files(folder: Path) -> list[Path]:
    """List the files under a folder, sorted, without hidden files and folders, and without what links to folders lead to."""
    return sorted(
        path
        for path in folder.rglob("*")
        if not any(part.startswith(".") for part in path.relative_to(folder).parts) and path.is_file()
    )


def kind(path: Path) -> Kind | None:
    """Tell by its suffix and first bytes whether a file is a picture, a film, or neither (None).

    One that has a picture's suffix is not opened; one that cannot be read goes by its suffix.
    """
    suffix = path.suffix.lower()
    if suffix in PICTURE_SUFFIXES:
        return "picture"
    if suffix in _OTHER_SUFFIXES or (path.exists() and not path.is_file()):  # a pipe would be waited for
        return None
    head = _head(path)
    if _PICTURE.match(head):
        return "picture"
    return "film" if suffix in FILM_SUFFIXES or _FILM.match(head) else None


def is_picture(path: Path) -> bool:
    """Whether a file is JPEG, PNG, GIF, WebP, HEIC or AVIF by its first bytes, whatever its name; False if unreadable."""
    return _PICTURE.match(_head(path)) is not None


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES)
    except OSError:
        return b""
