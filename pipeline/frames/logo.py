"""Detecting a broadcaster's logo in a corner of a film."""

import itertools
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.frames.letterbox import Box
from pipeline.media.sheets import evenly_spaced

_MAX_FRAMES, _MIN_FRAMES = 48, 12
_CORNER = 0.3  # of each side
_MIN_GRADIENT = 24.0
_MIN_EDGE_PX = 40
_RIM_PX = 3
_MAX_STATIC_SHARE = 0.004  # of the rest of the frame, else the film moves too little to tell


def detect(lumas: Sequence[NDArray[np.uint8]]) -> Box | None:
    """Detect a logo from frames sampled from a film; None if there is none, or too few frames or too little motion to tell.

    A logo's edges are the same in all frames, so the median of their gradients does not vanish (Dekel et al. 2017, section
    3.1).

    Args:
        lumas: uint8 HxW of one shape, without black bars; fewer than 12 are too few.

    Returns:
        x, y, width and height in pixels of the frames.
    """
    if len(lumas) < _MIN_FRAMES:
        return None
    some = np.stack(evenly_spaced(lumas, _MAX_FRAMES)).astype(np.int16)
    height, width = some.shape[1:]
    across = np.median(some[:, :-1, 1:] - some[:, :-1, :-1], axis=0)
    down = np.median(some[:, 1:, :-1] - some[:, :-1, :-1], axis=0)
    static = np.maximum(np.abs(across), np.abs(down)) >= _MIN_GRADIENT
    # The frame's own rim may be a static edge.
    static[:_RIM_PX], static[-_RIM_PX:], static[:, :_RIM_PX], static[:, -_RIM_PX:] = False, False, False, False
    high, wide = round(_CORNER * height), round(_CORNER * width)
    elsewhere = static.copy()
    boxes: list[tuple[int, Box]] = []
    for rows, columns in itertools.product((slice(0, high), slice(-high, None)), (slice(0, wide), slice(-wide, None))):
        elsewhere[rows, columns] = False
        joined = cv2.dilate(static[rows, columns].astype(np.uint8), np.ones((9, 9), np.uint8))
        labels, stats = cv2.connectedComponentsWithStats(joined)[1:3]
        counts = np.bincount(labels[static[rows, columns]], minlength=len(stats))
        top, left = rows.indices(height)[0], columns.indices(width)[0]
        for (x, y, w, h, _), count in zip(stats[1:].tolist(), counts[1:].tolist(), strict=True):
            # A logo is free on all sides; what touches the rim or leaves the corner is the edge of a bar or of a set.
            if count >= _MIN_EDGE_PX and x > 0 and y > 0 and x + w < wide and y + h < high:
                boxes.append((count, (left + x, top + y, w, h)))
    if not boxes or elsewhere.mean() > _MAX_STATIC_SHARE:
        return None
    return max(boxes)[1]
