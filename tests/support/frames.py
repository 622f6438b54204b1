"""Boxes, logos and luma for tests of what is found in frames."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.frames.letterbox import Box
from pipeline.media import arrays
from pipeline.media.images import Picture

WIDTH, HEIGHT = 640, 360
LOGO_PLACES = ((600, 20), (40, 20), (600, 330), (40, 330))


def video_luma(picture: Picture) -> NDArray[np.uint8]:
    """Luma of a picture in video range, uint8 HxW."""
    return np.asarray(np.rint(arrays.luma(picture) * (219 / 255) + 16), np.uint8)


def inside(inner: Box, outer: Box | None) -> bool:
    """Whether a box lies within another."""
    return outer is not None and all(
        outer[axis] <= inner[axis] and inner[axis] + inner[axis + 2] <= outer[axis] + outer[axis + 2] for axis in (0, 1)
    )


def touch(one: Box, other: Box) -> bool:
    """Whether two boxes share a pixel."""
    return all(one[axis] < other[axis] + other[axis + 2] and other[axis] < one[axis] + one[axis + 2] for axis in (0, 1))


def with_logo(picture: Picture, place: tuple[int, int]) -> Picture:
    """Draw a ring and a bar around a place, half transparent."""
    layer = picture.copy()
    cv2.circle(layer, place, 11, (255, 255, 255), 3)
    cv2.line(layer, (place[0] - 5, place[1]), (place[0] + 5, place[1]), (255, 255, 255), 3)
    return np.asarray(cv2.addWeighted(layer, 0.7, picture, 0.3, 0), np.uint8)
