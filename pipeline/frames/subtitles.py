"""Where a film's subtitles are and what they cover, from the text found in its frames.

A line of text that is not certain by itself is taken for a subtitle where its shot, or the film again and again, has subtitles
on that base line.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.frames import lettering
from pipeline.frames.letterbox import Box
from pipeline.frames.lettering import LOWER, UPPER, Lettering, Letters

_MAX_SUBTITLE_LINES = 3
# Drawn lines form rows by chance. Of 687 drawings without four have one of 2 to 4 letters over the middle and ten
# have one of 2 to 7 above or below; none has a longer one. Shorter subtitles are found on the base line of the film's others.
_MIN_TITLE_LETTERS, _MIN_SUBTITLE_LETTERS = 5, 8
_MARGIN = 0.6  # kept free around letters for accents and outlines, in heights of capitals; below a base line twice that
_MIN_EVIDENCE = 3  # frames, of two shots or more, whose lines share a base line
_BASE_TOLERANCE = 0.015  # in frame heights


@dataclass(frozen=True)
class BaseLine:
    """A base line on which subtitles stand, and the height of their capitals; both in frame heights."""

    base: float
    capital: float


def title_lines(found: Lettering) -> int:
    """Count the lines of a title or of credits: those over the frame's middle, or all if they are too many for subtitles.

    A single line of few letters is none: drawn lines form such rows by chance.
    """
    if len(found.lines) > _MAX_SUBTITLE_LINES:
        return len(found.lines)
    middle = [line for line in found.lines if UPPER < line.base / found.size[1] < LOWER]
    return len(middle) if len(middle) > 1 or any(line.letters >= _MIN_TITLE_LETTERS for line in middle) else 0


def base_lines(found: Lettering) -> list[BaseLine]:
    """Find the base lines of a frame's subtitles: of the lowest long line of text below its middle and the lowest above it.

    The list has at most two, below first. It is empty for a frame with a title or credits (see `title_lines`).
    """
    height = found.size[1]
    if title_lines(found):
        return []
    lines = [line for line in found.lines if line.letters >= _MIN_SUBTITLE_LETTERS]
    sides = (
        [line for line in lines if line.base > LOWER * height],
        [line for line in lines if line.base < UPPER * height],
    )
    lowest = [max(side, key=lambda line: line.base) for side in sides if side]
    return [BaseLine(line.base / height, line.height / height) for line in lowest]


def film_base_lines(shots: Sequence[Sequence[BaseLine]]) -> list[BaseLine]:
    """Find where a film's subtitles stand, given the base lines of each shot's frames: at most one below and one above.

    Of several on one side, the median of those that most shots share; at least 3 frames and 2 shots have to share it.
    """
    found: list[BaseLine] = []
    for below in (True, False):
        evidence = [(index, line) for index, lines in enumerate(shots) for line in lines if (line.base > LOWER) == below]
        families = [[other for other in evidence if _similar(line[1], other[1])] for line in evidence]
        largest = max(families, key=lambda family: (len({index for index, _ in family}), len(family)), default=[])
        if len(largest) >= _MIN_EVIDENCE and len({index for index, _ in largest}) > 1:
            base, capital = np.median([(line.base, line.capital) for _, line in largest], axis=0).tolist()
            found.append(BaseLine(base, capital))
    return found


def _similar(one: BaseLine, other: BaseLine) -> bool:
    return abs(one.base - other.base) <= _BASE_TOLERANCE and 1 / 2 <= one.capital / other.capital <= 2


def covered_boxes(found: Lettering, known: Sequence[BaseLine]) -> list[Box]:
    """Return what subtitles cover in a frame: at most one box above and one below, in pixels of the analyzed frame.

    Boxes span the whole width, as letters in bright places may be missed.

    Args:
        found: the text of the frame.
        known: the base lines of the film and of the frame's shot.
    """
    width, height = found.size
    tops, bottoms = [], []
    for line in known:
        base, capital = line.base * height, line.capital * height
        certain = [
            other.base
            for other in found.lines
            if -0.5 * capital <= base - other.base <= 4 * capital and 1 / 2 <= other.height / capital <= 2
        ]
        # Beside a certain line, others may stand above and below; else every subtitle has a line on the base line.
        places = [base - step * capital / 4 for step in (range(-8, 15) if certain else range(15))]
        rows = [_row_of_letters(found.letters, place, capital, width) for place in places]
        spans = [row for row in rows if row] + [(other - 1.4 * capital, other) for other in certain]
        if not certain and not rows[0]:
            continue
        if line.base > LOWER:
            tops.append(min(top for top, _ in spans) - _MARGIN * capital)
        else:
            bottoms.append(max(bottom for _, bottom in spans) + 2 * _MARGIN * capital)
    boxes: list[Box] = []
    if bottoms:
        boxes.append((0, 0, width, min(height, round(max(bottoms)))))
    if tops:
        top = max(0, round(min(tops)))
        boxes.append((0, top, width, height - top))
    return boxes


def covered_in_shot(texts: Sequence[Lettering], known: Sequence[BaseLine]) -> list[tuple[Box, tuple[int, int]]]:
    """Return the largest box that subtitles cover above, and below, in any frame of a shot, each with the size of that frame.

    All frames of a shot share them, as one frame may show too little of a line to be recognized.
    """
    largest: dict[bool, tuple[Box, tuple[int, int]]] = {}
    for text in texts:
        for box in covered_boxes(text, known):
            above = box[1] == 0
            if above not in largest or box[3] > largest[above][0][3]:
                largest[above] = box, text.size
    return list(largest.values())


def _row_of_letters(letters: Letters, base: float, capital: float, width: int) -> tuple[float, float] | None:
    """Find a row of letters around the middle of the frame on a base line; return its top and bottom, or None.

    There may be few letters, and leaves or foam may touch some or stand in the row: neither hides the rest.
    """
    ordered = letters[np.argsort(letters[:, 0], kind="stable"), :4].astype(np.float32)
    x, y, widths, heights = ordered.T
    bottom = y + heights - base
    fits = (bottom >= -0.45 * capital) & (bottom <= 0.4 * capital) & (heights >= 0.35 * capital) & (heights <= 1.6 * capital)
    # Foam and glitter are wide; letters are not.
    fits &= widths <= 1.6 * heights
    tops, lefts, rights = y[fits], x[fits] - width / 2, (x + widths)[fits] - width / 2
    for run in lettering.runs(lefts, rights, 2.2 * capital):
        left, right = float(lefts[run[0]]), float(rights[run].max())
        if left <= 0.8 * capital and right >= -0.8 * capital:
            near, far = sorted((-left, right))
            if near >= 0.6 * far if len(run) >= 4 else far - near <= 0.016 * width:
                return float(tops[run].min()), base
    return None
