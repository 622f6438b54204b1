"""What was laid over a film's pictures: burnt-in subtitles, found letter by letter, and a logo in a corner.

A line of lettering is known by its letters: thin bright strokes on one base line, side by side about the middle of the frame,
filled with one and the same brightness, each close to something dark (outline, shadow or box, without which nobody could read).
Foam, leaves and windows have some of that and hardly ever all of it, so one frame is enough to know a subtitle by. A line that
shows less is believed where its shot, or the film again and again, has subtitles on that base line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.frames.letterbox import Box

WIDTH = 640  # letters and logos are looked for at this width; smaller frames are taken as they are

Luma = NDArray[np.uint8]

# Strokes: bright, thinner than the kernel, and this much brighter than what is behind or around them. Video luma.
_STROKE_PX, _STROKE_CONTRAST, _STROKE_LUMA = 9, 50, 140
# Letters, with what may have grown on to them, as shares of the frame's height; how far the dark beside a stroke may be.
_LEAST_LETTER, _MOST_LETTER, _MOST_WIDE, _REACH = 0.008, 0.09, 0.4, 0.011
# So much darker it is below a letter that is closed; of others the contrast is not believed beyond the second.
_CLOSED, _OPEN_CONTRAST = 60, 100
# Capitals of subtitles, as shares of the height, and steps between.
_HEIGHTS = np.geomspace(0.022, 0.062, 6)
_MOST_LETTERS = 512  # kept of a frame, those with the most contrast: grain and foam give thousands
# Between these shares of the height is the picture's middle: lettering there is a title or credits.
_UPPER, _LOWER = 0.28, 0.66
_MOST_LINES = 3
_ROOM = 0.6  # kept free about letters for accents and outlines, in heights of capitals; below a base line twice that
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
class _Proof:
    """What a line has to show to need no other witness: some letters in a row, few but more alike, or many with holes."""

    letters: int
    contrast: float  # least, of each letter
    luma: float  # most difference from the middle one
    offset: float  # most, of the line's middle from the frame's, as a share of the width
    gap: float  # widest, in heights of capitals


# No frame of Big Buck Bunny and Sintel without lettering shows any of it, of 273 photographs two do. The last is for white on a
# light sky without an outline, as titles are set: little contrast, but every letter as bright as the next.
_PROOFS = (
    _Proof(4, 110, 28, 0.04, 1.6),
    _Proof(2, 150, 4, 0.008, 0.8),
    _Proof(7, 150, 14, 0.15, 12),
    _Proof(10, 45, 3, 0.15, 1.2),
)


@dataclass(frozen=True)
class Band:
    """Where a film's subtitles stand: base line and height of capitals as shares of the frame's height."""

    base: float
    line: float


@dataclass(frozen=True)
class Line:
    """A line of lettering beyond doubt, pixels at the width of analysis."""

    left: float
    right: float
    base: float
    height: float  # of capitals
    letters: int


@dataclass(frozen=True)
class Lettering:
    """What one frame shows of lettering: lines beyond doubt, and everything that may be a letter."""

    lines: list[Line]
    letters: NDArray[np.int16]  # outside the picture's middle: rows of x, y, width, height, luma, contrast
    size: tuple[int, int]  # width and height of the picture that it was found in


def lettering(luma: Luma) -> Lettering:
    """Look for lettering in a frame: luma in video range, uint8 HxW, at most `WIDTH` wide."""
    height, width = luma.shape
    letters = _letters(luma)
    lines = _lines(letters, width, height)
    foot = letters[:, 1] + letters[:, 3]
    return Lettering(lines, letters[(foot < _UPPER * height) | (foot > (_LOWER - 0.1) * height)], (width, height))


def _letters(luma: Luma) -> NDArray[np.int16]:
    """Everything that may be a letter: strokes that hang together, with their brightest luma and how dark it is beside them."""
    height = luma.shape[0]
    # Thin bright strokes are what the white top-hat leaves.
    opened = cv2.morphologyEx(luma, cv2.MORPH_OPEN, np.ones((_STROKE_PX, _STROKE_PX), np.uint8))
    strokes = ((cv2.subtract(luma, opened) > _STROKE_CONTRAST) & (luma > _STROKE_LUMA)).astype(np.uint8)
    count, names, facts, _ = cv2.connectedComponentsWithStats(strokes, connectivity=8)
    where = np.flatnonzero(strokes)
    owner: Any = names.ravel()[where]
    brightest = np.zeros(count, np.int64)
    np.maximum.at(brightest, owner, luma.ravel()[where].astype(np.int64))
    side = max(5, 2 * round(_REACH * height) + 1)
    beside = cv2.erode(luma, np.ones((side, side), np.uint8)).ravel()[where]
    darkness = np.bincount(owner, beside, count) / np.maximum(np.bincount(owner, minlength=count), 1)
    left, top, wide, high = facts[:, :4].T
    contrast = brightest - darkness
    # Gaps between hatched lines are open to the ground below; what an outline goes around is not.
    sums, foot = cv2.integral(luma), np.minimum(top + high, height - 1)
    end, right = np.minimum(foot + 2, height), left + wide
    below = (sums[end, right] - sums[foot, right] - sums[end, left] + sums[foot, left]) / (wide * (end - foot))
    contrast = np.where(brightest - below < _CLOSED, np.minimum(contrast, _OPEN_CONTRAST), contrast)
    fits = (high >= _LEAST_LETTER * height) & (high <= _MOST_LETTER * height) & (wide <= _MOST_WIDE * height)
    fits[0] = False  # the ground
    found = np.column_stack([facts[:, :4], brightest, contrast])[fits]
    return np.asarray(np.rint(found[np.argsort(-found[:, 5], kind="stable")[:_MOST_LETTERS]]), np.int16)


def _lines(letters: NDArray[np.int16], width: int, height: int) -> list[Line]:
    """Lines of lettering beyond doubt, the longest first."""
    found: list[Line] = []
    for proof in _PROOFS:
        some = letters[letters[:, 5] >= proof.contrast]
        some = some[np.argsort(some[:, 0], kind="stable")].astype(np.float32)
        x, y, wide, high, luma, _ = some.T
        foot, ends = y + high, x + wide
        for capital in _HEIGHTS * height:
            sized = (high >= 0.5 * capital) & (high <= 1.12 * capital) & (wide <= 2.2 * capital)
            for base in np.unique(foot[sized]):
                row = np.flatnonzero(sized & (np.abs(foot - base) <= max(1.0, 0.1 * capital)))
                if len(row) < proof.letters:  # as nearly always
                    continue
                row = row[np.abs(luma[row] - np.median(luma[row])) <= proof.luma]
                for run in _runs(x[row], ends[row], proof.gap * capital) if len(row) >= proof.letters else ():
                    left, right = float(x[row[run[0]]]), float(ends[row[run]].max())
                    if len(run) >= proof.letters and abs(left + right - width) <= 2 * proof.offset * width:
                        found.append(Line(left, right, float(base), float(capital), len(run)))
    found.sort(key=lambda line: -line.letters)
    apart: list[Line] = []
    for line in found:
        if all(abs(line.base - other.base) > 0.6 * other.height for other in apart):
            apart.append(line)
    return apart


def _runs(lefts: NDArray[Any], rights: NDArray[Any], gap: float) -> Iterator[NDArray[np.intp]]:
    """Letters, in order from the left, in groups with no wider gap inside."""
    if len(lefts):
        breaks = np.flatnonzero(lefts[1:] - np.maximum.accumulate(rights)[:-1] > gap) + 1
        yield from np.split(np.arange(len(lefts)), breaks)


def bands(shots: Sequence[Sequence[Band]]) -> list[Band]:
    """Where a film's subtitles stand, by the hints of frames of its shots; empty for a film with hardly any.

    Of several base lines below the middle, or above it, the one that most shots agree on.
    """
    found: list[Band] = []
    for below in (True, False):
        evidence = [(index, one) for index, seen in enumerate(shots) for one in seen if (one.base > _LOWER) == below]
        families = [[other for other in evidence if _alike(one[1], other[1])] for one in evidence]
        largest = max(families, key=lambda family: (len({index for index, _ in family}), len(family)), default=[])
        if len(largest) >= _LEAST_EVIDENCE and len({index for index, _ in largest}) > 1:
            base, line = np.median([(one.base, one.line) for _, one in largest], axis=0).tolist()
            found.append(Band(base, line))
    return found


def title_lines(one: Lettering) -> int:
    """How many lines of a title or of credits a frame shows: those over its middle, or all where they are too many else."""
    middle = sum(_UPPER < line.base / one.size[1] < _LOWER for line in one.lines)
    return len(one.lines) if len(one.lines) > _MOST_LINES else middle


def hints(one: Lettering) -> list[Band]:
    """The lowest line of lettering below the middle and the lowest above; a title and credits give none."""
    height = one.size[1]
    if title_lines(one):
        return []
    sides = [[line for line in one.lines if (line.base > _LOWER * height) == below] for below in (True, False)]
    lowest = [max(side, key=lambda line: line.base) for side in sides if side]
    return [Band(line.base / height, line.height / height) for line in lowest]


def _alike(one: Band, other: Band) -> bool:
    return abs(one.base - other.base) <= _BASE_TOLERANCE and 1 / 2 <= one.line / other.line <= 2


def captions(shown: Lettering, known: Sequence[Band]) -> list[Box]:
    """What a frame's subtitles cover, below and above: from edge to edge, as letters in bright places may go unseen.

    Args:
        shown: the frame's lettering.
        known: the bands of the film and of the frame's shot.
    """
    width, height = shown.size
    tops, bottoms = [], []
    for band in known:
        base, capital = band.base * height, band.line * height
        sure = [
            line.base
            for line in shown.lines
            if -0.5 * capital <= base - line.base <= 4 * capital and 1 / 2 <= line.height / capital <= 2
        ]
        # Where a line is sure, others may stand above it and below; else each subtitle has a line on the base line.
        places = [base - step * capital / 4 for step in (range(-8, 15) if sure else range(15))]
        rows = [_row(shown.letters, place, capital, width) for place in places]
        spans = [row for row in rows if row] + [(line - 1.4 * capital, line) for line in sure]
        if not sure and not rows[0]:
            continue
        if band.base > _LOWER:
            tops.append(min(top for top, _ in spans) - _ROOM * capital)
        else:
            bottoms.append(max(bottom for _, bottom in spans) + 2 * _ROOM * capital)
    found: list[Box] = []
    if bottoms:
        found.append((0, 0, width, min(height, round(max(bottoms)))))
    if tops:
        top = max(0, round(min(tops)))
        found.append((0, top, width, height - top))
    return found


def _row(letters: NDArray[np.int16], base: float, capital: float, width: int) -> tuple[float, float] | None:
    """The top and the foot of a row of letters about the middle of the frame that stands on a base line, if there is one.

    Letters may be few, and leaves or foam may touch some or stand in the row: none of it hides the rest.
    """
    ordered = letters[np.argsort(letters[:, 0], kind="stable"), :4].astype(np.float32)
    x, y, wide, high = ordered.T
    foot = y + high - base
    fits = (foot >= -0.45 * capital) & (foot <= 0.4 * capital) & (high >= 0.35 * capital) & (high <= 1.6 * capital)
    # Foam and glitter lie; letters stand.
    fits &= wide <= 1.6 * high
    tops, lefts, rights = y[fits], x[fits] - width / 2, (x + wide)[fits] - width / 2
    for run in _runs(lefts, rights, 2.2 * capital):
        left, right = float(lefts[run[0]]), float(rights[run].max())
        if left <= 0.8 * capital and right >= -0.8 * capital:
            near, far = sorted((-left, right))
            if near >= 0.6 * far if len(run) >= 4 else far - near <= 0.016 * width:
                return float(tops[run].min()), base
    return None


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
