"""Black bars: where the picture is inside the frame, for a film and for each of its shots.

Judging frame by frame would flicker in dark scenes. So a film is judged over frames spread over all of it, and a shot departs
from its film only where its own frames show firm edges: a line of picture, widely bright, right beside lines of black, and the
same above and below (or left and right). What a shot does not show, it takes from its film.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Box = tuple[int, int, int, int]  # x, y, width, height
Span = tuple[int, int]  # first line and the line after the last

# Frames darker than this say nothing about bars: 95th percentile of video luma.
_DARK_LUMA = 40
# A bar may carry specks (compression noise, a hair): this share of a line may be brighter.
_SPECKS = 0.005
# Some frames may have something in the bar (subtitles below the picture): this share of frames must show it black.
_AGREEMENT = 0.9
# Subtitles may stand in the bar of more frames, but not in all, and they leave most of a line black.
_LETTERED_AGREEMENT, _LETTERED_SHARE = 0.3, 0.4
# A line is surely picture when this share of it is bright.
_WIDE = 0.5
# Lines half black, half picture (a film that was scaled) may lie between bar and picture.
_MIXED_LINES = 2
# Opposite bars are alike to so many lines, or to this share of the side.
_ALIKE_LINES, _ALIKE_SHARE = 2, 0.01
# A shape that shots may fall back on has been seen in so many of the frames spread over a film.
_KNOWN_SHAPE = 3
# What would be left of a frame must be at least this share of each side, else it is a dark film, not a framed one.
_LEAST_LEFT = 0.4


@dataclass(frozen=True)
class View:
    """How much of each line of one frame is brighter than black, 0 to 1."""

    rows: NDArray[np.float32]
    columns: NDArray[np.float32]


@dataclass(frozen=True)
class Bars:
    """What is known of a film's bars."""

    box: Box | None  # the film's own; None where every frame was dark
    shapes: tuple[Box, ...]  # shapes with more bars that parts of the film have


def view(luma: NDArray[np.uint8], bar_luma: int) -> View | None:
    """What a frame says about bars; None when it is too dark to say anything.

    Args:
        luma: video range, uint8 HxW.
        bar_luma: a pixel at or under this is black.
    """
    if np.percentile(luma[::8, ::8], 95) <= _DARK_LUMA:
        return None
    bright = cv2.threshold(luma, bar_luma, 1, cv2.THRESH_BINARY)[1]
    rows, columns = (cv2.reduce(bright, axis, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel() for axis in (1, 0))
    return View(_shares(rows, luma.shape[1]), _shares(columns, luma.shape[0]))


def _shares(counts: NDArray[Any], whole: int) -> NDArray[np.float32]:
    return counts.astype(np.float32) / np.float32(whole)


def of_film(views: Sequence[View]) -> Bars:
    """The bars of a film, judged over frames spread over all of it; boxes have even edges (chroma is shared by two lines)."""
    if not views:
        return Bars(None, ())
    rows, columns = _stack(views)
    top, bottom = _inside(rows)
    left, right = _inside(columns)
    box = _box((left, right), (top, bottom))
    seen = Counter(_firm_box([one], box) for one in views)
    shapes = (shape for shape, count in seen.items() if count >= _KNOWN_SHAPE and shape != box and _within(shape, box))
    return Bars(box, tuple(sorted(shapes, key=lambda shape: shape[2] * shape[3])))


def of_shot(views: Sequence[View], film: Bars) -> Box | None:
    """The part of a shot's frames that is picture: its own where it shows firm edges, else a shape known, else the film's."""
    if not views or film.box is None:
        return film.box
    own = _firm_box(views, film.box)
    if own != film.box:
        return own
    rows, columns = _stack(views)
    for x, y, width, height in film.shapes:
        black = [_black(rows)[:y], _black(rows)[y + height :], _black(columns)[:x], _black(columns)[x + width :]]
        if all(lines.all() for lines in black):
            return x, y, width, height
    return film.box


def _stack(views: Sequence[View]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return np.stack([one.rows for one in views]), np.stack([one.columns for one in views])


def _box(across: Span, down: Span) -> Box:
    return across[0], down[0], across[1] - across[0], down[1] - down[0]


def _within(inner: Box, outer: Box) -> bool:
    return (
        outer[0] <= inner[0]
        and outer[1] <= inner[1]
        and inner[0] + inner[2] <= outer[0] + outer[2]
        and inner[1] + inner[3] <= outer[1] + outer[3]
    )


def _black(shares: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Lines that nearly all frames show black. Shares: frames x lines."""
    return np.asarray((shares <= _SPECKS).mean(axis=0) >= _AGREEMENT)


def _inside(shares: NDArray[np.float32]) -> Span:
    """The picture along one axis: what is left between the outermost lines that are bars. Shares: frames x lines."""
    size = shares.shape[1]
    black = _black(shares)
    lettered = ((shares <= _SPECKS).mean(axis=0) >= _LETTERED_AGREEMENT) & (
        np.quantile(shares, _AGREEMENT, axis=0) < _LETTERED_SHARE
    )
    first, last = _leading(black, lettered), size - _leading(black[::-1], lettered[::-1])
    return _even(first, last, size)


def _leading(black: NDArray[np.bool_], lettered: NDArray[np.bool_]) -> int:
    """Thickness of the bar that begins at line 0: up to its last black line, over lines that only lettering brightens."""
    if not black[0]:
        return 0
    picture = np.flatnonzero(~(black | lettered))
    end = int(picture[0]) if len(picture) else len(black)
    return int(np.flatnonzero(black[:end])[-1]) + 1


def _even(first: int, last: int, size: int) -> Span:
    """Rounded inwards to even lines; the whole where too little would be left."""
    first += first % 2
    if last < size:
        last -= last % 2
    return (first, last) if last - first >= _LEAST_LEFT * size else (0, size)


def _firm_box(views: Sequence[View], film: Box) -> Box:
    """The box that some frames show by firm edges; along an axis where they show none, the film's."""
    x, y, width, height = film
    rows, columns = _stack(views)
    down = _firm(rows, width / columns.shape[1], (y, y + height))
    # Beside bars above and below, a line across them can be bright in the picture's part alone.
    across = _firm(columns, (down[1] - down[0]) / rows.shape[1], (x, x + width))
    return _box(across, down)


def _firm(shares: NDArray[np.float32], most: float, film: Span) -> Span:
    """The picture along one axis by firm edges on both sides, alike; else the film's.

    Args:
        shares: frames x lines.
        most: the share of a line that can be bright, because the rest lies in bars along the other axis.
        film: the film's own span.
    """
    size = shares.shape[1]
    wide = np.flatnonzero(np.median(shares, axis=0) >= _WIDE * most)
    if not len(wide):
        return film
    first, last = int(wide[0]), int(wide[-1]) + 1
    calm = np.quantile(shares, _AGREEMENT, axis=0) < _LETTERED_SHARE * most
    black = _black(shares)
    for outside, quiet in ((black[:first][::-1], calm[:first][::-1]), (black[last:], calm[last:])):
        if len(outside) > _MIXED_LINES and not (
            outside[_MIXED_LINES] and outside[-1] and outside.mean() >= 0.5 and quiet[_MIXED_LINES:].all()
        ):
            return film
    if abs(first - (size - last)) > max(_ALIKE_LINES, _ALIKE_SHARE * size):
        return film
    first, last = _even(first, last, size)
    # Nearly the film's own is the film's own: a dark or a mixed line at the edge of the picture is no change of format.
    looser, tighter = max(film[0] - first, last - film[1]), max(first - film[0], film[1] - last)
    return film if looser <= 2 * _MIXED_LINES and tighter <= _MIXED_LINES else (first, last)
