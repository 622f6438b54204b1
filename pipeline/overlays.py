"""What was laid over a film's pictures: burnt-in subtitles, found line by line, and a logo in a corner.

A line of lettering is known by its thin bright strokes: many, of one height, side by side, centred. A single picture has places
that look like it (foam, leaves, windows), so a film is believed to have subtitles only when lines sit on one and the same
base line again and again; then, on that base line, less is asked of a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.borders import Box

WIDTH = 640  # lines and logos are looked for at this width; smaller frames are taken as they are

Luma = NDArray[np.uint8]

# Strokes: bright, thinner than the kernel, and this much brighter than what is behind or around them. Video luma.
_STROKE_PX, _STROKE_CONTRAST, _STROKE_LUMA = 9, 50, 140
# Gaps between letters and words are closed when narrower than this, as a share of the width.
_GAP = 0.033
_MOST_HEIGHT = 0.12  # of a line, or of two that touch, as a share of the picture's
# Between these shares of the height is the picture's middle: lettering there is a title or credits.
_UPPER, _LOWER = 0.25, 0.66
_MOST_LINES = 3
_LEAST_EVIDENCE = 3  # frames, of two shots or more, whose lines share a base line
_BASE_TOLERANCE = 0.015  # share of the height

# A logo's edges outlast the film: the median of its gradients does not vanish (Dekel et al. 2017, section 3.1).
_LOGO_FRAMES = 48
_LEAST_FRAMES = 12
_CORNER = 0.3
_LOGO_GRADIENT = 24.0
_LEAST_LOGO_PX = 40
_RIM = 3
_MOST_STILL = 0.004  # share of the rest that may stand still as well, else the film moves too little to judge


@dataclass(frozen=True)
class Line:
    """A place that looks like a line of lettering, pixels at the width of analysis."""

    x: int
    y: int
    width: int
    height: int
    fill: float  # share of the box that closed strokes cover
    letters: float  # strokes side by side on a row, per height of the line
    luma: float  # of its brighter strokes
    offset: float  # of its middle from the frame's, as a share of the width

    @property
    def base(self) -> int:
        """The row under its lowest strokes."""
        return self.y + self.height

    @property
    def firm(self) -> bool:
        """Hardly anything else looks like this."""
        return self.letters >= 1.6 and self.fill >= 0.5 and self.offset <= 0.02 and self.luma >= 170


@dataclass(frozen=True)
class Band:
    """Where a film's subtitles stand: base line and height of a line as shares of the frame's height."""

    base: float
    line: float


def text_lines(strokes: NDArray[np.uint8], luma: Luma) -> list[Line]:
    """Places that look like centred lines of lettering.

    Args:
        strokes: as `strokes_of` gives them, 0 or 1.
        luma: the picture that they are of, video range.
    """
    height, width = luma.shape
    joined = cv2.morphologyEx(strokes, cv2.MORPH_CLOSE, np.ones((1, max(3, round(_GAP * width))), np.uint8))
    joined = cv2.morphologyEx(joined, cv2.MORPH_OPEN, np.ones((3, 9), np.uint8))
    found = []
    for x, y, wide, high, area in cv2.connectedComponentsWithStats(joined, connectivity=4)[2][1:].tolist():
        if wide < max(0.03 * width, 2 * high) or not 0.015 * height <= high <= _MOST_HEIGHT * height:
            continue
        inside = strokes[y : y + high, x : x + wide]
        starts = np.diff(inside, axis=1, prepend=np.uint8(0)) == 1
        busiest = np.sort(starts.sum(axis=1))[-max(1, high // 3) :]
        found.append(
            Line(
                x, y, wide, high,
                fill=area / (wide * high),
                letters=float(busiest.mean()) * high / wide,
                luma=float(np.percentile(luma[y : y + high, x : x + wide][inside > 0], 80)) if inside.any() else 0.0,
                offset=abs(x + wide / 2 - width / 2) / width,
            )
        )  # fmt: skip
    return found


def strokes_of(luma: Luma) -> NDArray[np.uint8]:
    """Thin bright strokes, 0 or 1: what the white top-hat leaves."""
    opened = cv2.morphologyEx(luma, cv2.MORPH_OPEN, np.ones((_STROKE_PX, _STROKE_PX), np.uint8))
    return ((cv2.subtract(luma, opened) > _STROKE_CONTRAST) & (luma > _STROKE_LUMA)).astype(np.uint8)


@dataclass(frozen=True)
class Lettering:
    """What one frame shows of lettering: places like lines anywhere, and every letter-sized stroke (rows of x, y, w, h)."""

    lines: list[Line]
    letters: NDArray[np.int32]
    size: tuple[int, int]  # width and height of the picture that it was found in


def lettering(luma: Luma) -> Lettering:
    """Look for lettering in a frame: luma in video range, uint8 HxW, at most `WIDTH` wide."""
    height, width = luma.shape
    strokes = strokes_of(luma)
    letters = cv2.connectedComponentsWithStats(strokes, connectivity=8)[2][1:, :4]
    most = _MOST_HEIGHT * height
    sized = (letters[:, 3] >= 0.01 * height) & (letters[:, 3] <= most) & (letters[:, 2] <= 1.5 * most)
    return Lettering(text_lines(strokes, luma), letters[sized], (width, height))


def bands(shots: Sequence[Sequence[Band]]) -> list[Band]:
    """Where a film's subtitles stand, by the hints of frames of its shots; empty for a film without.

    One shot alone is not believed: in a single still picture a fence or a row of windows looks like a line.
    """
    found: list[Band] = []
    for below in (True, False):
        evidence = [(index, one) for index, seen in enumerate(shots) for one in seen if (one.base > _LOWER) == below]
        families = [[other for other in evidence if _alike(one[1], other[1])] for one in evidence]
        # Of several, the one that most shots agree on: a picture that comes again brings its fence along, but seldom.
        largest = max(families, key=lambda family: (len({index for index, _ in family}), len(family)), default=[])
        if len(largest) >= _LEAST_EVIDENCE and len({index for index, _ in largest}) > 1:
            base, line = np.median([(one.base, one.line) for _, one in largest], axis=0).tolist()
            found.append(Band(base, line))
    return found


def hints(one: Lettering) -> list[Band]:
    """The lowest line of lettering below the middle and the lowest above, if they look like subtitles.

    A frame with lettering in its middle is a title or credits and gives none.
    """
    height = one.size[1]
    firm = [(line, (line.y + line.height / 2) / height) for line in one.lines if line.firm]
    if len(firm) > _MOST_LINES or any(_UPPER < middle < _LOWER for _, middle in firm):
        return []
    sides = [[line for line, middle in firm if middle >= _LOWER], [line for line, middle in firm if middle <= _UPPER]]
    lowest = [max(side, key=lambda line: line.base) for side in sides if side]
    return [Band(line.base / height, line.height / height) for line in lowest]


def _alike(one: Band, other: Band) -> bool:
    return abs(one.base - other.base) <= _BASE_TOLERANCE and 2 / 3 <= one.line / other.line <= 3 / 2


def caption(shown: Lettering, known: Sequence[Band]) -> Box | None:
    """The box around a frame's subtitle, with room for outlines and full stops; None where it has none.

    Args:
        shown: the frame's lettering.
        known: the film's bands.
    """
    width, height = shown.size
    boxes: list[tuple[float, float, float, float]] = []  # left, top, right, bottom
    for band in known:
        base, line_px = band.base * height, band.line * height
        lines = [
            line
            for line in shown.lines
            if base - 3.4 * line_px <= line.y + line.height / 2 <= base + 0.5 * line_px
            and 0.5 * line_px <= line.height <= 3 * line_px
            and line.letters >= 1.2 and line.fill >= 0.4 and line.offset <= 0.05 and line.luma >= 160
        ]  # fmt: skip
        rows = [_row(shown.letters, base - step * line_px / 4, line_px, width) for step in range(11)]
        # Every subtitle has a line on the base line; others stand on top of it.
        if rows[0] or any(abs(line.base - base) <= 0.6 * line_px for line in lines):
            boxes += [_room(line.x, line.y, line.x + line.width, line.base, line_px) for line in lines]
            boxes += [row for row in rows if row]
    if not boxes:
        return None
    left, top = max(0, round(min(box[0] for box in boxes))), max(0, round(min(box[1] for box in boxes)))
    right, bottom = min(width, round(max(box[2] for box in boxes))), min(height, round(max(box[3] for box in boxes)))
    return left, top, right - left, bottom - top


def _row(letters: NDArray[np.int32], base: float, line_px: float, width: int) -> tuple[float, float, float, float] | None:
    """The room of a row of letters on a base line about the middle of the frame, as wide to the left as to the right.

    Letters may be few, and leaves or foam may touch some or stand in the row: none of it hides the rest.
    """
    x, y, wide, high = letters.T
    foot = y + high - base
    fits = (foot >= -0.45 * line_px) & (foot <= 0.3 * line_px) & (high >= 0.3 * line_px) & (high <= 1.3 * line_px)
    # Foam and glitter lie; letters stand.
    fits &= wide <= 1.4 * high
    lefts, rights = (edge[fits].astype(float) - width / 2 for edge in (x, x + wide))
    order = np.argsort(lefts)
    lefts, rights = lefts[order], np.maximum.accumulate(rights[order])
    breaks = np.flatnonzero(lefts[1:] - rights[:-1] > 1.8 * line_px) + 1
    for left, right in zip(np.split(lefts, breaks), np.split(rights, breaks), strict=True):
        if not len(left) or left[0] > 0.6 * line_px or right[-1] < -0.6 * line_px:
            continue
        near, far = sorted((-left[0], right[-1]))
        if near >= 0.6 * far if len(left) >= 4 else far - near <= 0.016 * width:
            return _room(width / 2 - far, base - 1.2 * line_px, width / 2 + far, base, line_px)
    return None


def _room(left: float, top: float, right: float, bottom: float, line_px: float) -> tuple[float, float, float, float]:
    return left - 1.5 * line_px, top - 0.5 * line_px, right + 1.5 * line_px, bottom + 0.5 * line_px


def logo(lumas: Sequence[Luma]) -> Box | None:
    """The box of a logo in a corner, pixels of the pictures given; None where there is none, or the film moves too little.

    Args:
        lumas: frames spread over a film, of one shape, without its bars.
    """
    if len(lumas) < _LEAST_FRAMES:
        return None
    some = np.stack(lumas[:: -(-len(lumas) // _LOGO_FRAMES)]).astype(np.int16)
    height, width = some.shape[1:]
    across = np.median(some[:, :-1, 1:] - some[:, :-1, :-1], axis=0)
    down = np.median(some[:, 1:, :-1] - some[:, :-1, :-1], axis=0)
    still = np.maximum(np.abs(across), np.abs(down)) >= _LOGO_GRADIENT
    # The frame's own rim may be an edge that stays.
    still[:_RIM], still[-_RIM:], still[:, :_RIM], still[:, -_RIM:] = False, False, False, False
    high, wide = round(_CORNER * height), round(_CORNER * width)
    middle = still.copy()
    boxes: list[tuple[int, Box]] = []
    for rows, columns in ((a, b) for a in (slice(0, high), slice(-high, None)) for b in (slice(0, wide), slice(-wide, None))):
        middle[rows, columns] = False
        joined = cv2.dilate(still[rows, columns].astype(np.uint8), np.ones((9, 9), np.uint8))
        labels, stats = cv2.connectedComponentsWithStats(joined)[1:3]
        counts = np.bincount(labels[still[rows, columns]], minlength=len(stats))
        top, left = rows.indices(height)[0], columns.indices(width)[0]
        for (x, y, w, h, _), count in zip(stats[1:].tolist(), counts[1:].tolist(), strict=True):
            # A logo is free on all sides; what touches the rim or reaches out of the corner is the edge of a bar or a set.
            if count >= _LEAST_LOGO_PX and x > 0 and y > 0 and x + w < wide and y + h < high:
                boxes.append((count, (left + x, top + y, w, h)))
    if not boxes or middle.mean() > _MOST_STILL:
        return None
    return max(boxes)[1]
