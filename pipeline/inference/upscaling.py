"""Enlarges drawings with crisp contours.

Interpolation alone would leave lines soft. Therefore each value is pushed towards the nearer of the lowest and the highest
value around it: toggle mapping (Kramer and Bruckner, Iterations of a non-linear transformation for enhancement of digital
images, Pattern Recognition 1975), made continuous as in shock filters (Osher and Rudin, Feature-oriented image enhancement
using shock filters, SIAM Journal on Numerical Analysis 1990).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.media.images import Picture

_SIGMA_PX = 0.6  # rounds the stairs of slanted contours; wider would melt thin lines
_GAIN = 2.2  # how steep a contour becomes
_MIN_RANGE = 1.0  # levels; where values differ by less there is no contour
_STRIP_PIXELS = 1 << 18  # floats of a whole large picture would take twenty times its memory

_Floats = NDArray[np.float32]


def upscale_drawing(drawing: Picture, width: int, height: int) -> Picture:
    """Enlarge a drawing so that contours stay crisp and smooth.

    No value lies outside the range of its neighborhood in the drawing, so nothing rings. Besides the result this takes memory
    for `height` rows as wide as the drawing.

    Args:
        drawing: uint8 RGB HxWx3.
        width: of the result, at least that of the drawing.
        height: of the result, at least that of the drawing.
    """
    if drawing.shape[:2] == (height, width):
        return drawing
    smooth = np.asarray(
        cv2.GaussianBlur(drawing.astype(np.float32), (0, 0), _SIGMA_PX, borderType=cv2.BORDER_REPLICATE), np.float32
    )
    around = np.ones((3, 3), np.uint8)
    # In two passes, first down and then across: the second can work on any rows without a seam.
    value = _resize(smooth, drawing.shape[1], height, cv2.INTER_CUBIC)
    low = _resize(np.asarray(cv2.erode(smooth, around), np.float32), drawing.shape[1], height, cv2.INTER_LINEAR)
    high = _resize(np.asarray(cv2.dilate(smooth, around), np.float32), drawing.shape[1], height, cv2.INTER_LINEAR)
    result = np.empty((height, width, 3), np.uint8)
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        part = slice(top, min(top + rows, height))
        count = part.stop - top
        result[part] = _toggle(
            _resize(value[part], width, count, cv2.INTER_CUBIC),
            _resize(low[part], width, count, cv2.INTER_LINEAR),
            _resize(high[part], width, count, cv2.INTER_LINEAR),
        )
    return result


def _resize(values: _Floats, width: int, height: int, interpolation: int) -> _Floats:
    return np.asarray(cv2.resize(values, (width, height), interpolation=interpolation), np.float32)


def _toggle(value: _Floats, low: _Floats, high: _Floats) -> Picture:
    """Push values towards the nearer bound by a smooth step; overwrites its arguments."""
    high -= low  # the range
    value -= low
    value /= np.maximum(high, _MIN_RANGE)
    value -= 0.5
    value *= _GAIN
    value += 0.5
    np.clip(value, 0.0, 1.0, out=value)
    step = value * value
    value *= -2.0
    value += 3.0
    step *= value
    step *= high
    step += low
    return np.asarray(cv2.convertScaleAbs(step), np.uint8)
