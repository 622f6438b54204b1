"""Black bars of a film: where the picture is inside the frame."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Box = tuple[int, int, int, int]  # x, y, width, height

# Frames darker than this say nothing about bars: 95th percentile of video luma.
_DARK_LUMA = 40
# A bar may carry specks (compression noise, a hair): this share of a line may be brighter.
_SPECKS = 0.005
# Some frames may have something in the bar (subtitles below the picture): this share of frames must show it black.
_AGREEMENT = 0.9
# What would be left of a frame must be at least this share of each side, else it is a dark film, not a framed one.
_LEAST_LEFT = 0.4


def active_box(lumas: Iterable[NDArray[np.uint8]], bar_luma: int) -> Box | None:
    """The part of the frame that is not letterbox or pillarbox, judged over many frames of one film.

    Judging frame by frame would flicker in dark scenes; a line is a bar when nearly all frames that are not dark agree.

    Args:
        lumas: luma planes of equal shape, video range, uint8 HxW.
        bar_luma: a pixel at or under this is black.

    Returns:
        The box in pixels with even edges (chroma is shared by two lines), or None when every frame was dark.
    """
    rows: NDArray[np.float64] | None = None
    columns: NDArray[np.float64] | None = None
    judged = 0
    for plane in lumas:
        if np.percentile(plane[::4, ::4], 95) <= _DARK_LUMA:
            continue
        bright = plane > bar_luma
        black_rows = bright.mean(axis=1) <= _SPECKS
        black_columns = bright.mean(axis=0) <= _SPECKS
        rows = black_rows.astype(float) if rows is None else rows + black_rows
        columns = black_columns.astype(float) if columns is None else columns + black_columns
        judged += 1
    if rows is None or columns is None:
        return None
    top, bottom = _inside(rows >= _AGREEMENT * judged)
    left, right = _inside(columns >= _AGREEMENT * judged)
    return left, top, right - left, bottom - top


def _inside(bar: NDArray[np.bool_]) -> tuple[int, int]:
    """First line after the leading bar and the line after the last before the trailing one, rounded inwards to even."""
    size = len(bar)
    lines = np.flatnonzero(~bar)
    if len(lines) == 0:
        return 0, size
    first, last = int(lines[0]), int(lines[-1]) + 1
    first += first % 2
    if last < size:
        last -= last % 2
    return (first, last) if last - first >= _LEAST_LEFT * size else (0, size)
