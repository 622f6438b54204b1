"""Sources that are folders of pictures (drawings, panels, frames): each picture is a shot of one frame.

Pictures pass through the same stages as the key frames of films. What only a film can have is not looked for: times, shots,
subtitles, a logo, titles. Drawn lines resemble lettering, and one picture offers nothing to tell them apart by. Pages of
credits are recognized by stage dedup.

Margins are cut off as bars of films are, if they are black (bars, a frame line) or white (a page) and on opposite sides. Those
of other colors stay, since an even sky or wall is a part of many drawings; so does a white sky, which is at one side only.
"""

import os
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.core import manifest
from pipeline.core.errors import UserError, log
from pipeline.core.manifest import Domain, Row
from pipeline.core.text import is_unicode, printable
from pipeline.frames import film_report, quality
from pipeline.frames.letterbox import Box, Span
from pipeline.media import arrays, images, kinds
from pipeline.media.images import Picture
from pipeline.params.data import KeyframesParams

_MAX_STEM = 40  # characters of a file's name that its id repeats
_MAX_EPISODE = 100  # characters of the name of an episode
_WHITE_LUMA = 240  # paper; scans and JPEG make it uneven
_MARGIN_SHARE = 0.995  # of a line that is black or white throughout; the rest may be noise
_MIN_PICTURE_SHARE = 0.4  # of a side: if less would be left, the picture is one on a plain ground, and taken whole
_MAX_ROUNDS = 4  # white margin, black frame line, another white margin; one more for axes that depend on each other


class Contents(NamedTuple):
    """Files under the path of a source, each list sorted."""

    films: list[Path]
    pictures: list[Path]
    others: list[Path]


@dataclass(frozen=True)
class PictureSource:
    """A folder of pictures, and where its frames go."""

    name: str
    domain: Domain
    root: Path
    out: Path
    home: Path  # where `out` will be when the stage has finished


def find(path: Path) -> Contents:
    """List the files under a folder, hidden files and folders left out; a path that is a file counts as a film.

    Raises:
        UserError: `path` does not exist, holds neither films nor pictures, or one of these has a name that is not UTF-8.
    """
    if path.is_file():
        return Contents([path], [], [])
    if not path.is_dir():
        raise UserError(f"{path} does not exist: put the film there, or fix its path under films: in params.yaml")
    contents = Contents([], [], [])
    for file in kinds.visible_files(path):
        kind = "picture" if file.suffix.lower() in images.UNSUPPORTED_SUFFIXES else kinds.kind(file)
        {"film": contents.films, "picture": contents.pictures, None: contents.others}[kind].append(file)
    if nameless := [printable(file.as_posix()) for file in (*contents.films, *contents.pictures) if not is_unicode(file)]:
        more = f" (and {len(nameless) - 1} more)" if len(nameless) > 1 else ""
        raise UserError(f"{nameless[0]}{more} has a name that is not UTF-8, so that DVC cannot track it: rename it")
    if not contents.films and not contents.pictures:
        raise UserError(
            f"{path} holds neither films ({', '.join(sorted(kinds.FILM_SUFFIXES))}) nor pictures "
            f"({', '.join(sorted(kinds.PICTURE_SUFFIXES))}): put some there"
        )
    return contents


def picture_id(source: str, inside: Path) -> str:
    """Name a picture by its source, the Latin letters and digits of its file's name, and a hash of its path in the source.

    The id is short, safe as a file name, and does not depend on which other pictures there are.
    """
    return "-".join(part for part in (source, _latin(inside.stem)[:_MAX_STEM].strip("-"), _path_hash(inside)) if part)


def episode_name(inside: Path) -> str:
    """Name an episode by its path in the source, in lower case with hyphens; cut, with a hash, if not ASCII or too long."""
    text = inside.with_suffix("").as_posix()
    name = _latin(text)
    if text.isascii() and 0 < len(name) <= _MAX_EPISODE:
        return name
    return "-".join(part for part in (name[:_MAX_STEM].strip("-"), _path_hash(inside)) if part)


def _latin(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", unicodedata.normalize("NFKD", text)).strip("-").lower()


def _path_hash(inside: Path) -> str:
    return f"{manifest.number(0, os.fsencode(inside.as_posix()).hex()) & 0xFFFFFFFFFFFF:012x}"


def extract(path: Path, source: PictureSource, params: KeyframesParams) -> tuple[Row, str | None]:
    """Write a picture without its margins, shrunk to `params.max_side_px`; return its row and None.

    If it cannot be read, nothing is written: the row then has the reason `unreadable`, and a message comes with it.
    """
    name = picture_id(source.name, path.relative_to(source.root))
    row = Row(
        id=name,
        domain=source.domain,
        source=source.name,
        width_px=0,
        height_px=0,
        shot=name,
        parent=display_name(path),
    )
    try:
        whole = images.read(path)
    except UserError as error:
        return row.model_copy(update={"reason": "unreadable"}), str(error)
    if (frames := images.frame_count(path)) > 1:
        log.warning("%s has %d frames, of which the first is used: name it as a film of its own to use all", path, frames)
    gray = arrays.luma(whole)
    x, y, width, height = box = find_picture_area(gray, params.bar_luma)
    picture = arrays.shrink(whole[y : y + height, x : x + width], params.max_side_px)
    file = f"{name}.{params.format}"
    measured = quality.measure(picture)
    update = {
        "file": (source.home / file).as_posix(),
        "digest": images.write(source.out / file, picture),
        "width_px": picture.shape[1],
        "height_px": picture.shape[0],
        "box": box,
        "hashes": measured.hashes,
        "scores": {**measured.scores, "margins": round(1 - width * height / gray.size, 3)},
    }
    return row.model_copy(update=update), None


def draw_area(path: Path, row: Row, max_side_px: int) -> Picture:
    """Read a source's picture, shrink it to `max_side_px`, and outline what was kept of it (the row's box, if any).

    Raises:
        UserError: the picture cannot be read.
    """
    whole = images.read(path)
    picture = arrays.shrink(whole, max_side_px).copy()
    if row.box is not None:
        film_report.draw_box(picture, film_report.scale_box(row.box, picture.shape[1] / whole.shape[1]))
    return picture


def display_name(path: Path) -> str:
    """Return a path as valid Unicode: bytes that are none (names from old archives) become U+FFFD."""
    return os.fsencode(path.as_posix()).decode("utf-8", "replace")


def find_picture_area(gray: NDArray[np.uint8], bar_luma: int) -> Box:
    """Find what is left of a picture without black or white margins; all of it if that were under 0.4 of a side.

    Args:
        gray: luma in full range, uint8 HxW.
        bar_luma: luma of black at most, in video range (16 to 235) as for films.
    """
    black = gray <= round((bar_luma - 16) * 255 / 219)
    white = gray >= _WHITE_LUMA
    spans: list[Span] = [(0, gray.shape[0]), (0, gray.shape[1])]  # down, across
    for _ in range(_MAX_ROUNDS):
        before = list(spans)
        for axis in (0, 1):
            inside = (slice(*spans[0]), slice(*spans[1]))
            first, last = _without_margins([(plane[inside].mean(axis=1 - axis) >= _MARGIN_SHARE) for plane in (black, white)])
            spans[axis] = spans[axis][0] + first, spans[axis][0] + last
        if spans == before:
            break
    (top, bottom), (left, right) = spans
    if bottom - top < _MIN_PICTURE_SHARE * gray.shape[0] or right - left < _MIN_PICTURE_SHARE * gray.shape[1]:
        return 0, 0, gray.shape[1], gray.shape[0]
    return left, top, right - left, bottom - top


def _without_margins(plain: Sequence[NDArray[np.bool_]]) -> Span:
    """Return the lines between margins of one color at both ends; all of them if there are no such margins.

    Args:
        plain: for each color, which lines show nothing else.
    """
    for lines in plain:
        others = np.flatnonzero(~lines)
        if lines[0] and lines[-1] and len(others):
            return int(others[0]), int(others[-1]) + 1
    return 0, len(plain[0])
