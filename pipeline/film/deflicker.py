"""Flicker of a redrawn film taken out: each result is blended with the one before, moved to where things are now.

Where they are now is seen in the film itself, not in the drawing: optical flow between neighbouring frames. Where the frame
before, so moved, does not look like this frame (something was uncovered, a shot ended, light changed), nothing of it is used:
so there are no ghosts.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.media import arrays
from pipeline.media.images import Picture

MOST = 0.85
"""Share of the earlier results at 1. The more, the longer what agrees falsely stays."""
FLOW_PX = 480  # longer side at which motion is sought: finer finds little more
_SMOOTH_PX = 1.5  # the frames are compared by neighbourhoods, since their noise never agrees
_SURE, _NOT = 3.0, 10.0  # levels by which neighbourhoods may differ: all of the earlier, none of it
_SPIKE = 24.0  # and single pixels, beyond noise
_CUT = 0.5  # with less of the picture agreeing, it is another shot
_LEAST_PX = 32  # a side for which DIS has patches on its coarser levels
_NOISE_SHARE = 0.2  # of a pixel's noise that is left of it in a neighbourhood


def steadied(film_before: Picture, drawn_before: Picture, film: Picture, drawn: Picture, amount: float) -> Picture:
    """The drawing of a frame with less flicker.

    Args:
        film_before: the frame before.
        drawn_before: what it became, steadied too.
        amount: 0 leaves the drawing as it is, 1 does most.
    """
    if amount <= 0 or film.shape != film_before.shape:
        return drawn
    x, y = _motion(film_before, film)
    alike = agreement(_moved(film_before, x, y), film)
    alike *= (x >= 0) & (y >= 0) & (x <= film.shape[1] - 1) & (y <= film.shape[0] - 1)
    if float(alike.mean()) < _CUT:
        return drawn
    share = (MOST * amount * alike)[..., None]
    return np.asarray(np.rint(drawn + share * (_moved(drawn_before, x, y).astype(np.float32) - drawn)), np.uint8)


def _moved(picture: Picture, x: NDArray[np.float32], y: NDArray[np.float32]) -> Picture:
    return np.asarray(cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def agreement(moved: Picture, film: Picture) -> NDArray[np.float32]:
    """How surely two pictures show the same at each pixel, 0 to 1, whatever their noise. float32 HxW."""
    difference = film.astype(np.float32) - moved
    noise = 1.4826 * float(np.median(np.abs(difference)))
    near: Any = cv2.GaussianBlur(difference, (0, 0), _SMOOTH_PX)
    near = np.abs(near).max(axis=2) - _NOISE_SHARE * noise
    sure = np.clip((_NOT - near) / (_NOT - _SURE), 0, 1)
    sure *= np.abs(difference).max(axis=2) < _SPIKE + 4 * noise
    # What does not agree reaches as far as a network's finest strokes.
    return np.asarray(cv2.erode(sure.astype(np.float32), np.ones((5, 5), np.uint8)), np.float32)


def _motion(before: Picture, now: Picture) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Where in the frame before each pixel was: x and y, float32 HxW."""
    height, width = now.shape[:2]
    small_before, small_now = (arrays.luma(arrays.shrink(picture, FLOW_PX)) for picture in (before, now))
    flow: Any = np.zeros((height, width, 2), np.float32)
    if min(small_now.shape) >= _LEAST_PX:
        seeker: Any = cv2.DISOpticalFlow
        found = seeker.create(cv2.DISOPTICAL_FLOW_PRESET_FAST).calc(small_now, small_before, None)
        flow = cv2.resize(found, (width, height), interpolation=cv2.INTER_LINEAR)
        flow *= np.array([width / small_now.shape[1], height / small_now.shape[0]], np.float32)
    x = flow[..., 0] + np.arange(width, dtype=np.float32)
    return x, flow[..., 1] + np.arange(height, dtype=np.float32)[:, None]
