"""Detecting black bars: which part of the frame is picture, for a film and for each of its shots.

Frame by frame the result would flicker in dark scenes. So the film's bars are detected from frames sampled from all of it, and
a shot differs from its film only where its own frames show clear edges: a line of picture, bright over most of its length,
directly beside black lines, and the same on the opposite side. Otherwise the shot has the bars of its film.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Box = tuple[int, int, int, int]  # x, y, width, height
Span = tuple[int, int]  # first line and the line after the last
Shares = NDArray[np.float32]  # frames x lines: share of each line that is brighter than black

# Frames whose 95th percentile of luma is at or under this are too dark to show bars.
_DARK_LUMA = 40
# This share of a black line may be brighter (compression noise, a hair).
_NOISE_SHARE = 0.005
# This share of the frames must show a line black; others may have something in the bar (subtitles below the picture).
_MIN_BLACK_FRAMES = 0.9
# Subtitles may stand in a bar in more frames, but not in all, and leave most of a line black.
_MIN_BLACK_FRAMES_SUBTITLED, _MAX_SUBTITLE_SHARE = 0.3, 0.4
# A line is certainly picture if this share of it is bright.
_PICTURE_SHARE = 0.5
# Up to this many lines between bar and picture may be a mixture of both (in a film that was scaled).
_MIXED_LINES = 2
# Opposite bars may differ by so many lines, or by this share of the side.
_MAX_ASYMMETRY_LINES, _MAX_ASYMMETRY_SHARE = 2, 0.01
# A format that shots may fall back on was seen in at least this many of the sampled frames.
_MIN_FORMAT_FRAMES = 3
# A picture that would be smaller than this share of a side is taken for a dark film without bars.
_MIN_PICTURE_SHARE = 0.4


@dataclass(frozen=True)
class LineProfile:
    """Share of each row and each column of one frame that is brighter than black, 0 to 1."""

    rows: NDArray[np.float32]
    columns: NDArray[np.float32]


@dataclass(frozen=True)
class FilmBars:
    """The picture area of a film."""

    box: Box | None  # None if every frame was dark
    formats: tuple[Box, ...]  # smaller picture areas that parts of the film have


def line_profile(luma: NDArray[np.uint8], bar_luma: int) -> LineProfile | None:
    """Measure how much of each line of a frame is brighter than black; None if the frame is too dark to show bars.

    Args:
        luma: video range, uint8 HxW.
        bar_luma: pixels at or under this are black.
    """
    if np.percentile(luma[::8, ::8], 95) <= _DARK_LUMA:
        return None
    bright = cv2.threshold(luma, bar_luma, 1, cv2.THRESH_BINARY)[1]
    rows, columns = (cv2.reduce(bright, axis, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel() for axis in (1, 0))
    return LineProfile(_divide(rows, luma.shape[1]), _divide(columns, luma.shape[0]))


def _divide(counts: NDArray[Any], length: int) -> NDArray[np.float32]:
    return counts.astype(np.float32) / np.float32(length)


def detect_in_film(profiles: Sequence[LineProfile]) -> FilmBars:
    """Detect the bars of a film from frames sampled from all of it, without dark ones; `box` is None if none are left.

    Edges inside the frame are even, as two lines share chroma in 4:2:0.
    """
    if not profiles:
        return FilmBars(None, ())
    rows, columns = _stack(profiles)
    top, bottom = _inside_bars(rows)
    left, right = _inside_bars(columns)
    box = _box((left, right), (top, bottom))
    seen = Counter(_box_by_edges([profile], box) for profile in profiles)
    formats = (other for other, count in seen.items() if count >= _MIN_FORMAT_FRAMES and other != box and _within(other, box))
    return FilmBars(box, tuple(sorted(formats, key=lambda box: box[2] * box[3])))


def detect_in_shot(profiles: Sequence[LineProfile], film: FilmBars) -> Box | None:
    """Detect the picture area of a shot: by clear edges, else a known format of its film that fits, else the film's own.

    The film's own comes back also if `profiles` is empty (all frames dark); None if the film's is unknown.
    """
    if not profiles or film.box is None:
        return film.box
    own = _box_by_edges(profiles, film.box)
    if own != film.box:
        return own
    black_rows, black_columns = map(_black, _stack(profiles))
    for x, y, width, height in film.formats:
        outside = [black_rows[:y], black_rows[y + height :], black_columns[:x], black_columns[x + width :]]
        if all(lines.all() for lines in outside):
            return x, y, width, height
    return film.box


def _stack(profiles: Sequence[LineProfile]) -> tuple[Shares, Shares]:
    return np.stack([profile.rows for profile in profiles]), np.stack([profile.columns for profile in profiles])


def _box(across: Span, down: Span) -> Box:
    return across[0], down[0], across[1] - across[0], down[1] - down[0]


def _within(inner: Box, outer: Box) -> bool:
    return all(outer[axis] <= inner[axis] and inner[axis] + inner[axis + 2] <= outer[axis] + outer[axis + 2] for axis in (0, 1))


def _black(shares: Shares) -> NDArray[np.bool_]:
    """Return a mask of the lines that nearly all frames show black."""
    return np.asarray((shares <= _NOISE_SHARE).mean(axis=0) >= _MIN_BLACK_FRAMES)


def _inside_bars(shares: Shares) -> Span:
    """Find the picture along one axis: what is left between bars at both sides."""
    size = shares.shape[1]
    black = _black(shares)
    subtitled = ((shares <= _NOISE_SHARE).mean(axis=0) >= _MIN_BLACK_FRAMES_SUBTITLED) & (
        np.quantile(shares, _MIN_BLACK_FRAMES, axis=0) < _MAX_SUBTITLE_SHARE
    )
    first, last = _bar_thickness(black, subtitled), size - _bar_thickness(black[::-1], subtitled[::-1])
    return _round_to_even(first, last, size)


def _bar_thickness(black: NDArray[np.bool_], subtitled: NDArray[np.bool_]) -> int:
    """Thickness of the bar that begins at line 0, up to its last black line, across lines that only subtitles brighten."""
    if not black[0]:
        return 0
    picture = np.flatnonzero(~(black | subtitled))
    end = int(picture[0]) if len(picture) else len(black)
    return int(np.flatnonzero(black[:end])[-1]) + 1


def _round_to_even(first: int, last: int, size: int) -> Span:
    """Round a span inwards to even lines; return the whole side if too little would be left."""
    first += first % 2
    if last < size:
        last -= last % 2
    return (first, last) if last - first >= _MIN_PICTURE_SHARE * size else (0, size)


def _box_by_edges(profiles: Sequence[LineProfile], film: Box) -> Box:
    """Find the picture area by clear edges; along an axis without any, that of the film."""
    x, y, width, height = film
    rows, columns = _stack(profiles)
    down = _span_by_edges(rows, width / columns.shape[1], (y, y + height))
    # With bars above and below, only the picture's part of a column can be bright.
    across = _span_by_edges(columns, (down[1] - down[0]) / rows.shape[1], (x, x + width))
    return _box(across, down)


def _span_by_edges(shares: Shares, max_share: float, film: Span) -> Span:
    """Find the picture along one axis by clear and symmetric edges; return the film's span if there are none.

    Args:
        max_share: the share of a line that can be bright, as the rest lies in bars along the other axis.
        film: the film's span along this axis.
    """
    size = shares.shape[1]
    bright = np.flatnonzero(np.median(shares, axis=0) >= _PICTURE_SHARE * max_share)
    if not len(bright):
        return film
    first, last = int(bright[0]), int(bright[-1]) + 1
    subtitles_at_most = np.quantile(shares, _MIN_BLACK_FRAMES, axis=0) < _MAX_SUBTITLE_SHARE * max_share
    black = _black(shares)
    # Both sides as seen from the picture outwards.
    sides = ((black[:first][::-1], subtitles_at_most[:first][::-1]), (black[last:], subtitles_at_most[last:]))
    for outside, quiet in sides:
        if len(outside) > _MIXED_LINES and not (
            outside[_MIXED_LINES] and outside[-1] and outside.mean() >= 0.5 and quiet[_MIXED_LINES:].all()
        ):
            return film
    if abs(first - (size - last)) > max(_MAX_ASYMMETRY_LINES, _MAX_ASYMMETRY_SHARE * size):
        return film
    first, last = _round_to_even(first, last, size)
    # Nearly the film's span is the film's span: a dark or a mixed line at the edge of the picture is no change of format.
    looser, tighter = max(film[0] - first, last - film[1]), max(first - film[0], film[1] - last)
    return film if looser <= 2 * _MIXED_LINES and tighter <= _MIXED_LINES else (first, last)
