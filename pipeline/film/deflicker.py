"""Removes flicker from a redrawn video: each drawing is blended with the previous one, moved along the video's motion.

Motion is the optical flow between neighboring frames of the source. Where the previous frame, so moved, differs from the
current one (uncovered background, a cut, a change of light), nothing of the previous drawing is used, so there are no ghosts.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.media import arrays
from pipeline.media.images import Picture

MAX_SHARE = 0.85
"""Share of the previous drawing at amount 1. With more, errors would persist for longer."""
FLOW_PX = 480  # longer side at which optical flow is computed; larger finds little more
_NEIGHBORHOOD_SIGMA_PX = 1.5  # frames are compared by neighborhoods, since their noise never agrees
_SAME_LEVELS, _DIFFERENT_LEVELS = 3.0, 10.0  # difference of neighborhoods with full and with no agreement
_MAX_PIXEL_LEVELS = 24.0  # difference of single pixels, beyond noise
_MIN_AGREEMENT = 0.5  # mean over the frame; with less it is another shot
_MIN_SIDE_PX = 32  # optical flow by DIS needs so much for its coarser levels
_REMAINING_NOISE = 0.2  # share of a pixel's noise that is left in a neighborhood


def deflicker(previous_frame: Picture, previous_drawing: Picture, frame: Picture, drawing: Picture, amount: float) -> Picture:
    """Return the drawing of a frame with less flicker. All pictures are uint8 RGB HxWx3.

    Args:
        previous_frame: the source frame before `frame`.
        previous_drawing: its drawing, deflickered.
        amount: 0 returns the drawing as it is, 1 removes most.

    Returns:
        A new picture; `drawing` itself if there is nothing to do, after a cut, or if the two frames differ in size.
    """
    if amount <= 0 or frame.shape != previous_frame.shape:
        return drawing
    x, y = _motion(previous_frame, frame)
    agreement = frame_agreement(_warp(previous_frame, x, y), frame)
    agreement *= (x >= 0) & (y >= 0) & (x <= frame.shape[1] - 1) & (y <= frame.shape[0] - 1)
    if float(agreement.mean()) < _MIN_AGREEMENT:
        return drawing
    share = (MAX_SHARE * amount * agreement)[..., None]
    return np.asarray(np.rint(drawing + share * (_warp(previous_drawing, x, y).astype(np.float32) - drawing)), np.uint8)


def frame_agreement(warped: Picture, frame: Picture) -> NDArray[np.float32]:
    """Return how certainly two frames show the same thing at each pixel, 0 (different) to 1, despite their noise: float32 HxW.

    Args:
        warped: the previous frame, moved to where things are in `frame`; both are uint8 RGB HxWx3.
    """
    difference = frame.astype(np.float32) - warped
    noise = 1.4826 * float(np.median(np.abs(difference)))
    blurred: Any = cv2.GaussianBlur(difference, (0, 0), _NEIGHBORHOOD_SIGMA_PX)
    levels = np.abs(blurred).max(axis=2) - _REMAINING_NOISE * noise
    agreement = np.clip((_DIFFERENT_LEVELS - levels) / (_DIFFERENT_LEVELS - _SAME_LEVELS), 0, 1)
    agreement *= np.abs(difference).max(axis=2) < _MAX_PIXEL_LEVELS + 4 * noise
    # A difference affects the drawing as far as the network's finest strokes reach.
    return np.asarray(cv2.erode(agreement.astype(np.float32), np.ones((5, 5), np.uint8)), np.float32)


def _warp(picture: Picture, x: NDArray[np.float32], y: NDArray[np.float32]) -> Picture:
    return np.asarray(cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _motion(previous: Picture, frame: Picture) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return where each pixel was in the previous frame: x and y, float32 HxW."""
    height, width = frame.shape[:2]
    small_previous, small = (arrays.luma(arrays.shrink(picture, FLOW_PX)) for picture in (previous, frame))
    flow: Any = np.zeros((height, width, 2), np.float32)
    if min(small.shape) >= _MIN_SIDE_PX:
        dis: Any = cv2.DISOpticalFlow
        small_flow = dis.create(cv2.DISOPTICAL_FLOW_PRESET_FAST).calc(small, small_previous, None)
        flow = cv2.resize(small_flow, (width, height), interpolation=cv2.INTER_LINEAR)
        flow *= np.array([width / small.shape[1], height / small.shape[0]], np.float32)
    x = flow[..., 0] + np.arange(width, dtype=np.float32)
    return x, flow[..., 1] + np.arange(height, dtype=np.float32)[:, None]
