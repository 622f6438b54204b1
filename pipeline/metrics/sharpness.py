"""Measures how blurred the edges of a picture are, and equalizes the blur of pictures.

A film is often softer than photographs, because it was compressed or enlarged. Without equalization a mere blur would raise the
style score of photos.

The blur of an edge is measured by blurring it again: Zhuo and Sim, Defocus Map Estimation from a Single Image, Pattern
Recognition 2011.
"""

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.media import arrays
from pipeline.media.images import Picture
from pipeline.metrics import pixels

# The paper blurs once; with two blurs noise cancels out.
_FINE_PX, _COARSE_PX = 0.7, 1.6
_SOBEL_PX2 = 0.42  # what the gradient's own differences blur, as a variance: 1/3 across rows and columns, 5/12 across diagonals
_MIN_EDGE_PIXELS = 50
_MIN_BLUR_PX = 0.3  # less moves under a hundredth of a pixel's value to its neighbors


def edge_blur_px(picture: Picture) -> float | None:
    """Median blur of a picture's edges: the standard deviation of the Gaussian that would blur a step edge as much, pixels.

    A step blurred by s and again by a has the gradient of a step blurred by hypot(s, a) (eq. 4); the ratio of two such
    gradients gives s.

    Args:
        picture: uint8 RGB HxWx3.

    Returns:
        0 or more, reliable up to about 3; None for a picture with hardly any edges.
    """
    found = pixels.edges(picture)
    if int(found.sum()) < _MIN_EDGE_PIXELS:
        return None
    gray = arrays.luma(picture).astype(np.float32)
    fine, coarse = (_gradients(gray, sigma)[found].astype(np.float64) + 1e-6 for sigma in (_FINE_PX, _COARSE_PX))
    squared = (fine / coarse) ** 2
    # The coarse gradient is not smaller only because of noise or neighboring edges: such edges count as very blurred.
    variance = (_COARSE_PX**2 - squared * _FINE_PX**2) / np.maximum(squared - 1, 1e-3)
    return float(np.sqrt(max(0.0, float(np.median(variance)) - _SOBEL_PX2)))


def typical_px(pictures: Iterable[Picture]) -> float | None:
    """Median of `edge_blur_px` over pictures; None where none of them has edges."""
    blurs = [blur for blur in map(edge_blur_px, pictures) if blur is not None]
    return float(np.median(blurs)) if blurs else None


def common_px(photos: Iterable[Picture], film: Iterable[Picture]) -> float:
    """The blur that photos and film crops can both be brought to: that of the softer side; 0 where no picture has edges."""
    return max((found for found in (typical_px(photos), typical_px(film)) if found is not None), default=0.0)


def soften(picture: Picture, to_px: float) -> Picture:
    """Blur a picture to edges of blur `to_px`; one that is that soft already, or has hardly any edges, is returned as it is."""
    blur = edge_blur_px(picture)
    if blur is None or to_px**2 - blur**2 < _MIN_BLUR_PX**2:
        return picture
    missing = float(np.sqrt(to_px**2 - blur**2))
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), missing, borderType=cv2.BORDER_REFLECT), np.uint8)


def _gradients(gray: NDArray[np.float32], sigma_px: float) -> NDArray[np.float32]:
    soft = cv2.GaussianBlur(gray, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT)
    return np.asarray(cv2.magnitude(*(cv2.Sobel(soft, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))), np.float32)
