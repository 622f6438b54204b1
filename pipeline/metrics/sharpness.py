"""How soft the edges of a picture are, and pictures brought to one softness.

A film is often softer than photographs: rendered so, compressed, of fewer pixels than its crops. Judged as they are, photos
would come nearer to it by a mere blur (docs/log.md, Nearness and blur).

The blur of an edge by blurring it again: Zhuo and Sim, Defocus Map Estimation from a Single Image, Pattern Recognition 2011.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.media import arrays
from pipeline.media.images import Picture
from pipeline.metrics import pixels

# The paper blurs once; by two blurs the grain of the pixels drops out.
_FINE_PX, _COARSE_PX = 0.7, 1.6
_SOBEL_PX2 = 0.42  # what the gradient's own differences blur, as a variance: 1/3 across rows and columns, 5/12 across diagonals
_FEWEST = 50  # edge pixels: of fewer nothing is said
_LEAST_PX = 0.3  # a blur that moves a hundredth of a pixel to its neighbours


def edge_blur_px(picture: Picture) -> float | None:
    """Standard deviation of the Gaussian that would make steps as soft as the picture's edges are, in pixels: their median.

    A step blurred by s and again by a has the gradient of one blurred by hypot(s, a) (eq. 4); of two such gradients the
    ratio tells s.

    Args:
        picture: uint8 RGB HxWx3.

    Returns:
        0 and up, sure up to about 3; None for a picture of hardly any edges.
    """
    found = pixels.edges(picture)
    if int(found.sum()) < _FEWEST:
        return None
    grey = arrays.luma(picture).astype(np.float32)
    fine, coarse = (_gradients(grey, sigma)[found].astype(np.float64) + 1e-6 for sigma in (_FINE_PX, _COARSE_PX))
    squared = (fine / coarse) ** 2
    # As soft as can be where the coarse gradient is no smaller, which only noise and neighbouring edges can do.
    variance = (_COARSE_PX**2 - squared * _FINE_PX**2) / np.maximum(squared - 1, 1e-3)
    return float(np.sqrt(max(0.0, float(np.median(variance)) - _SOBEL_PX2)))


def typical_px(pictures: Iterable[Picture]) -> float | None:
    """The median of `edge_blur_px`; None where no picture tells."""
    told = [blur for blur in map(edge_blur_px, pictures) if blur is not None]
    return float(np.median(told)) if told else None


def common_px(photos: Iterable[Picture], film: Iterable[Picture]) -> float:
    """The softness that both sides can be brought to: that of the softer one; 0 where no picture tells."""
    return max((found for found in (typical_px(photos), typical_px(film)) if found is not None), default=0.0)


def soften(picture: Picture, to_px: float) -> Picture:
    """The picture with edges as soft as `to_px`; as it is where they are that soft already, or where there are hardly any."""
    blur = edge_blur_px(picture)
    if blur is None or to_px**2 - blur**2 < _LEAST_PX**2:
        return picture
    missing = float(np.sqrt(to_px**2 - blur**2))
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), missing, borderType=cv2.BORDER_REFLECT), np.uint8)


def _gradients(grey: NDArray[np.float32], sigma_px: float) -> NDArray[np.float32]:
    soft = cv2.GaussianBlur(grey, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT)
    return np.asarray(cv2.magnitude(*(cv2.Sobel(soft, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))), np.float32)
