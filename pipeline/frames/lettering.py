"""Detecting lines of text burnt into film frames, letter by letter.

A line of text is known by its letters: thin bright strokes on one base line, next to each other around the middle of the frame,
all of the same brightness, each beside something dark (outline, shadow or box, which make it readable). Foam, leaves and
windows have some of this and hardly ever all of it, so one frame is enough.

The large letters of a title may be dark as well. They are known by standing alone: hardly anything else has edges there.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH = 640  # frames are analyzed at this width; narrower ones at their own
UPPER, LOWER = 0.28, 0.66  # text with its base line between these shares of the height is a title or credits

Luma = NDArray[np.uint8]
Letters = NDArray[np.int16]  # n x 6: x, y, width, height, brightest luma, contrast with the dark beside it

# Strokes are bright, thinner than the kernel, and this much brighter than their surroundings. Video luma.
_KERNEL_PX, _STROKE_CONTRAST, _STROKE_LUMA = 9, 50, 140
# Size of letters (other things may have merged with them), and reach of a stroke's dark surroundings; in frame heights.
_MIN_LETTER_HEIGHT, _MAX_LETTER_HEIGHT, _MAX_LETTER_WIDTH, _SURROUNDINGS = 0.008, 0.09, 0.4, 0.011
# A letter is closed if it is so much darker below; the contrast of others counts only up to the second value.
_CLOSED_CONTRAST, _MAX_OPEN_CONTRAST = 60, 100
# Solid rectangles that are not narrow, as I and l are, are lit windows; of smaller ones the shape cannot be seen.
_SOLID_SHARE, _MIN_SOLID_PX, _NARROW = 0.9, 3, 0.5
_MIN_EQUAL, _MIN_EQUAL_PX = 8, 4  # as many of equal width in a row are the windows of a train
_CAPITAL_HEIGHTS = np.geomspace(0.022, 0.062, 6)  # of lines of text, in frame heights
_MAX_LETTERS = 512  # kept of a frame, those with the most contrast: grain and foam give thousands

# Large letters, found at a smaller width; sizes and gaps in frame heights, then in heights of capitals.
_LARGE_WIDTH, _LARGE_STROKE, _LARGE_CONTRAST, _LARGE_HEIGHTS = 320, 0.11, 45, (0.07, 0.45)
_LARGE_TOLERANCE, _LARGE_GAP, _LARGE_OFFSET = 0.08, 1.4, 0.1
_MIN_LARGE_LETTERS, _MAX_LUMA_RANGE, _MIN_OWN_EDGES = 5, 12, 0.85


@dataclass(frozen=True)
class _Criterion:
    """What makes a line of text certain: enough letters in a row, or few and more alike, or many with gaps."""

    letters: int  # at least
    contrast: float  # of each letter, at least
    luma: float  # difference from the median, at most
    offset: float  # of the line's middle from the frame's, at most, in frame widths
    gap: float  # between letters, at most, in heights of capitals


# No frame of Big Buck Bunny and Sintel without text meets any, of 273 photographs two do. The last is for white without an
# outline on a light sky, as titles are set: little contrast, but equally bright letters.
_CRITERIA = (
    _Criterion(4, 110, 28, 0.04, 1.6),
    _Criterion(2, 150, 4, 0.008, 0.8),
    _Criterion(7, 150, 14, 0.15, 3),
    _Criterion(10, 45, 3, 0.15, 1.2),
)


@dataclass(frozen=True)
class Line:
    """A certain line of text, in pixels of the analyzed frame."""

    left: float
    right: float
    base: float
    height: float  # of capitals
    letters: int


@dataclass(frozen=True)
class Lettering:
    """The text of one frame: certain lines, and everything outside its middle that may be a letter."""

    lines: list[Line]
    letters: Letters
    size: tuple[int, int]  # width and height of the analyzed frame


def detect(luma: Luma) -> Lettering:
    """Detect the text of a frame: luma in video range, uint8 HxW, at most `WIDTH` wide."""
    height, width = luma.shape
    letters = _find_letters(luma)
    lines = _find_lines(letters, width, height) + _find_large_line(luma)
    bottom = letters[:, 1] + letters[:, 3]
    return Lettering(lines, letters[(bottom < UPPER * height) | (bottom > (LOWER - 0.1) * height)], (width, height))


def _find_letters(luma: Luma) -> Letters:
    """Find everything that may be a letter: connected strokes."""
    height = luma.shape[0]
    # The white top-hat leaves thin bright strokes.
    opened = cv2.morphologyEx(luma, cv2.MORPH_OPEN, np.ones((_KERNEL_PX, _KERNEL_PX), np.uint8))
    strokes = ((cv2.subtract(luma, opened) > _STROKE_CONTRAST) & (luma > _STROKE_LUMA)).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(strokes, connectivity=8)
    pixels = np.flatnonzero(strokes)
    label: Any = labels.ravel()[pixels]
    brightest = np.zeros(count, np.int64)
    np.maximum.at(brightest, label, luma.ravel()[pixels].astype(np.int64))
    side = max(5, 2 * round(_SURROUNDINGS * height) + 1)
    darkest_nearby = cv2.erode(luma, np.ones((side, side), np.uint8)).ravel()[pixels]
    surroundings = np.bincount(label, darkest_nearby, count) / np.maximum(np.bincount(label, minlength=count), 1)
    left, top, widths, heights = stats[:, :4].T
    contrast = brightest - surroundings
    # Hatched lines are open to the background below them; what an outline surrounds is not.
    sums, bottom = cv2.integral(luma), np.minimum(top + heights, height - 1)
    end, right = np.minimum(bottom + 2, height), left + widths
    below = (sums[end, right] - sums[bottom, right] - sums[end, left] + sums[bottom, left]) / (widths * (end - bottom))
    contrast = np.where(brightest - below < _CLOSED_CONTRAST, np.minimum(contrast, _MAX_OPEN_CONTRAST), contrast)
    fits = (heights >= _MIN_LETTER_HEIGHT * height) & (heights <= _MAX_LETTER_HEIGHT * height)
    fits &= widths <= _MAX_LETTER_WIDTH * height
    solid = (stats[:, cv2.CC_STAT_AREA] >= _SOLID_SHARE * widths * heights) & (np.minimum(widths, heights) >= _MIN_SOLID_PX)
    fits &= ~(solid & (widths >= _NARROW * heights))
    fits[0] = False  # the background
    found = np.column_stack([stats[:, :4], brightest, contrast])[fits]
    return np.asarray(np.rint(found[np.argsort(-found[:, 5], kind="stable")[:_MAX_LETTERS]]), np.int16)


def _find_lines(letters: Letters, width: int, height: int) -> list[Line]:
    """Find certain lines of text, the longest first."""
    found: list[Line] = []
    for criterion in _CRITERIA:
        some = letters[letters[:, 5] >= criterion.contrast]
        some = some[np.argsort(some[:, 0], kind="stable")].astype(np.float32)
        x, y, widths, heights, luma, _ = some.T
        bottoms, ends = y + heights, x + widths
        for capital in _CAPITAL_HEIGHTS * height:
            sized = (heights >= 0.5 * capital) & (heights <= 1.12 * capital) & (widths <= 2.2 * capital)
            for base in np.unique(bottoms[sized]):
                row = np.flatnonzero(sized & (np.abs(bottoms - base) <= max(1.0, 0.1 * capital)))
                if len(row) < criterion.letters:  # the usual case
                    continue
                row = row[np.abs(luma[row] - np.median(luma[row])) <= criterion.luma]
                for run in runs(x[row], ends[row], criterion.gap * capital) if len(row) >= criterion.letters else ():
                    left, right = float(x[row[run[0]]]), float(ends[row[run]].max())
                    own_widths = widths[row[run]]
                    if len(run) >= _MIN_EQUAL and own_widths.min() >= _MIN_EQUAL_PX and np.ptp(own_widths) <= 1:
                        continue
                    if len(run) >= criterion.letters and abs(left + right - width) <= 2 * criterion.offset * width:
                        found.append(Line(left, right, float(base), float(capital), len(run)))
    found.sort(key=lambda line: -line.letters)
    separate: list[Line] = []
    for line in found:
        if all(abs(line.base - other.base) > 0.6 * other.height for other in separate):
            separate.append(line)
    return separate


def _find_large_line(luma: Luma) -> list[Line]:
    """Find a line of large letters, darker or brighter than what is around them, over the middle of a frame, if there is one.

    Returns one line or none. In 1,220 drawings, photographs and snapshots without such letters it finds none.
    """
    scale = min(1.0, _LARGE_WIDTH / luma.shape[1])
    gray = cv2.resize(luma, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    height, width = gray.shape
    kernel = np.ones((round(_LARGE_STROKE * height) | 1,) * 2, np.uint8)
    smallest, largest = (share * height for share in _LARGE_HEIGHTS)
    edges = cv2.Canny(gray, 60, 120) > 0
    for hat in (cv2.MORPH_BLACKHAT, cv2.MORPH_TOPHAT):
        strokes = (cv2.morphologyEx(gray, hat, kernel) > _LARGE_CONTRAST).astype(np.uint8)
        _, labels, stats, _ = cv2.connectedComponentsWithStats(strokes, connectivity=8)
        x, y, widths, heights = stats[:, :4].T
        bottoms, fits = y + heights, (heights >= smallest) & (heights <= largest) & (widths <= 1.6 * heights)
        for first in np.flatnonzero(fits & (y + bottoms > 2 * UPPER * height) & (bottoms < LOWER * height)):
            capital, base = heights[first], bottoms[first]
            row = fits & (np.abs(bottoms - base) <= _LARGE_TOLERANCE * capital)
            row &= (heights >= 0.5 * capital) & (heights <= 1.12 * capital)
            letters = np.flatnonzero(row)[np.argsort(x[row], kind="stable")]
            for run in runs(x[letters], (x + widths)[letters], _LARGE_GAP * capital):
                own = letters[run]
                left, right, top = x[own].min(), (x + widths)[own].max(), y[own].min()
                if len(own) < _MIN_LARGE_LETTERS or abs(left + right - width) > 2 * _LARGE_OFFSET * width:
                    continue
                box = np.s_[max(0, top - 2) : bottoms[own].max() + 2, max(0, left - 2) : right + 2]
                near = cv2.dilate(np.isin(labels[box], own).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
                brightness = [np.median(gray[labels == letter]) for letter in own]
                if np.ptp(brightness) <= _MAX_LUMA_RANGE and (edges[box] & near).sum() >= _MIN_OWN_EDGES * edges[box].sum():
                    left, right, base, capital = (float(value) / scale for value in (left, right, base, capital))
                    return [Line(left, right, base, capital, len(own))]
    return []


def runs(lefts: NDArray[Any], rights: NDArray[Any], max_gap: float) -> Iterator[NDArray[np.intp]]:
    """Group letters, ordered by left edge, so that no gap inside a group exceeds `max_gap`; yield the indices of each group."""
    if len(lefts):
        breaks = np.flatnonzero(lefts[1:] - np.maximum.accumulate(rights)[:-1] > max_gap) + 1
        yield from np.split(np.arange(len(lefts)), breaks)
