"""Brings a drawing made at the working size to the size of its photo: contours crisp, fine features as in the photo.

Interpolation alone would leave lines soft. Therefore each value is pushed towards the nearer of the lowest and the highest
value around it: toggle mapping (Kramer and Bruckner, Iterations of a non-linear transformation for enhancement of digital
images, Pattern Recognition 1975), made continuous as in shock filters (Osher and Rudin, Feature-oriented image enhancement
using shock filters, SIAM Journal on Numerical Analysis 1990).

Features finer than the working size, such as eyes of small faces, come from the photo: of the next level of its Laplacian
pyramid (Burt and Adelson, The Laplacian pyramid as a compact image code, 1983) what stands out from texture and noise is added,
in the measure in which the drawing follows the photo nearby: the coefficient of a guided filter (He, Sun and Tang, Guided image
filtering, ECCV 2010). Shrunk again, the result is nearly the drawing, by back-projection (Irani and Peleg, Improving resolution
by image registration, 1991) of half of what was lost: smoothing alone would cost a quarter of the style score.

`pipeline/web/static/upscaling.js` does the same in browsers; a test compares them.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.media import arrays
from pipeline.media.images import Picture

_SIGMA_PX = 0.6  # rounds the stairs of slanted contours; wider would melt thin lines
_GAIN = 2.2  # how steep a contour becomes
_CONTOUR_LEVELS = 16.0  # range of the neighborhood from which on there is a contour; below, shading stays smooth
_DETAIL_SCALE = 2  # detail is taken from the photo at so many times the working size; more would show its texture
_DETAIL_SIGMA_PX = 1.0  # neighborhood in which detail counts as texture or as a feature
_TEXTURE_LEVELS, _FEATURE_LEVELS = 6.0, 16.0  # detail up to the first is dropped, from the second on it is kept whole
_GUIDE_PX = 5  # side of the square in which drawing and photo are compared
_GUIDE_VARIANCE = 4.0  # of a photo's luma, below which nothing can be said
_BACK_PROJECTED = 0.5  # of what smoothing takes; more would show the drawing's pixels
_BAND_PIXELS = 1 << 16  # floats of a whole large picture would take forty times its memory

_Floats = NDArray[np.float32]


def upscale_drawing(drawing: Picture, photo: Picture) -> Picture:
    """Enlarge a drawing to the size of its photo; one that has that size already is returned itself.

    Besides the result this takes memory that depends on the drawing's size alone.

    Args:
        drawing: uint8 RGB HxWx3.
        photo: what was drawn, uint8 RGB, at least as large, of about the same aspect.
    """
    height, width = photo.shape[:2]
    if drawing.shape[:2] == (height, width):
        return drawing
    fine_height, fine_width = (
        min(full, _DETAIL_SCALE * side) for full, side in zip((height, width), drawing.shape[:2], strict=True)
    )
    fine = add_detail(enlarge(drawing, fine_width, fine_height), arrays.resize(photo, fine_width, fine_height), drawing)
    fine = back_project(fine, drawing)
    return fine if (fine_height, fine_width) == (height, width) else enlarge(fine, width, height)


def add_detail(enlarged: Picture, photo: Picture, drawing: Picture) -> Picture:
    """Return an enlarged drawing with those features of the photo that are too fine for the drawing's own size.

    Args:
        enlarged: the drawing, enlarged; uint8 RGB HxWx3 like the others.
        photo: of the size of `enlarged`.
        drawing: before it was enlarged; detail is added where it follows the photo.
    """
    (height, width), (small_height, small_width) = photo.shape[:2], drawing.shape[:2]
    coarse = arrays.resize(photo, small_width, small_height).astype(np.float32)
    detail = photo - _resize(coarse, width, height, cv2.INTER_CUBIC)
    strength = _blur(np.abs(detail).max(2), _DETAIL_SIGMA_PX)
    share = np.clip((strength - _TEXTURE_LEVELS) / (_FEATURE_LEVELS - _TEXTURE_LEVELS), 0, 1)
    share *= _resize(_agreement(coarse, drawing), width, height, cv2.INTER_LINEAR)
    detail *= share[..., None]
    return np.asarray(np.rint(enlarged + detail).clip(0, 255), np.uint8)


def back_project(enlarged: Picture, drawing: Picture) -> Picture:
    """Return the enlarged drawing, corrected by half of what it differs from the drawing when shrunk (uint8 RGB HxWx3)."""
    (height, width), (small_height, small_width) = enlarged.shape[:2], drawing.shape[:2]
    lost = drawing - _resize(enlarged.astype(np.float32), small_width, small_height, cv2.INTER_AREA)
    correction = _resize(lost, width, height, cv2.INTER_CUBIC) * _BACK_PROJECTED
    return np.asarray(np.rint(enlarged + correction).clip(0, 255), np.uint8)


def _agreement(photo: _Floats, drawing: Picture) -> _Floats:
    """How far the luma of a drawing follows that of its photo around each pixel: 0 not at all or inversely, 1 wholly."""
    one, other = (picture.mean(2, dtype=np.float32) for picture in (photo, drawing))

    def mean(values: _Floats) -> _Floats:
        return np.asarray(cv2.blur(values, (_GUIDE_PX, _GUIDE_PX), borderType=cv2.BORDER_REPLICATE), np.float32)

    covariance = mean(one * other) - mean(one) * mean(other)
    variance = mean(one * one) - mean(one) ** 2
    return np.asarray((covariance / (variance + _GUIDE_VARIANCE)).clip(0, 1), np.float32)


def enlarge(drawing: Picture, width: int, height: int) -> Picture:
    """Enlarge a drawing so that contours stay crisp and smooth.

    No value lies outside the range of its neighborhood in the drawing, so nothing rings.

    Args:
        drawing: uint8 RGB HxWx3.
        width: of the result, at least that of the drawing.
        height: of the result, at least that of the drawing.
    """
    smooth = _blur(drawing.astype(np.float32), _SIGMA_PX)
    around = np.ones((3, 3), np.uint8)
    low, high = (np.asarray(bound(smooth, around), np.float32) for bound in (cv2.erode, cv2.dilate))
    result = np.empty((height, width, 3), np.uint8)
    count = max(1, _BAND_PIXELS // width)
    for top in range(0, height, count):
        rows = np.arange(top, min(top + count, height))
        part = (_rows(values, rows, height, cubic=values is smooth) for values in (smooth, low, high))
        result[top : top + count] = _toggle(
            *(
                _resize(values, width, len(rows), kind)
                for values, kind in zip(part, (cv2.INTER_CUBIC, cv2.INTER_LINEAR, cv2.INTER_LINEAR), strict=True)
            )
        )
    return result


def _rows(values: _Floats, rows: NDArray[np.intp], height: int, *, cubic: bool) -> _Floats:
    """Interpolate some rows of `values` enlarged to `height`, cubic or linear."""
    place = (rows + 0.5) * (len(values) / height) - 0.5
    above = np.floor(place)
    t = (place - above).astype(np.float32)
    weights = _cubic_weights(t) if cubic else {0: 1 - t, 1: t}
    nearest = {step: values[(above + step).clip(0, len(values) - 1).astype(np.intp)] for step in weights}
    return np.asarray(sum(weight[:, None, None] * nearest[step] for step, weight in weights.items()), np.float32)


def _cubic_weights(t: _Floats) -> dict[int, _Floats]:
    """Weights of the four samples around a place `t` after the second: those of OpenCV's bicubic interpolation."""

    def near(x: _Floats) -> _Floats:
        return (1.25 * x - 2.25) * x * x + 1

    def far(x: _Floats) -> _Floats:
        return ((-0.75 * x + 3.75) * x - 6) * x + 3

    return {-1: far(1 + t), 0: near(t), 1: near(1 - t), 2: far(2 - t)}


def _blur(values: _Floats, sigma_px: float) -> _Floats:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma_px, borderType=cv2.BORDER_REPLICATE), np.float32)


def _resize(values: _Floats, width: int, height: int, interpolation: int) -> _Floats:
    return np.asarray(cv2.resize(values, (width, height), interpolation=interpolation), np.float32)


def _toggle(value: _Floats, low: _Floats, high: _Floats) -> Picture:
    """Push values towards the nearer bound by a smooth step, the more the farther the bounds are apart."""
    height = high - low
    place = ((value - low) / np.maximum(height, 1e-3)).clip(0, 1)
    step = ((place - 0.5) * _GAIN + 0.5).clip(0, 1)
    step *= step * (3 - 2 * step)
    place += (step - place) * np.minimum(height / _CONTOUR_LEVELS, 1)
    return np.asarray(cv2.convertScaleAbs(low + place * height), np.uint8)
