"""Photos as if laid on with a broad brush: shading stays, texture goes, borders come out crisp.

The generalised Kuwahara filter (Papari, Petkov, Campisi: Artistic Edge and Corner Enhancing Smoothing, IEEE Transactions on
Image Processing 2007): of eight sectors around each pixel the calmest give it their mean.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.media.images import Picture

_SECTORS = 8
_REACH = 2  # radii: where the Gaussian window has faded to a tenth
_SIGMA = 0.9  # of the window, radii
# How much more a calm sector counts. At 8 every speck gets a border of its own; at 2 borders turn soft (docs/log.md).
_CHOICE = 4


def brush(picture: Picture, radius_px: int) -> Picture:
    """Redraw with a brush of this radius: uint8 RGB HxWx3, any size; 0 gives the picture back."""
    if radius_px == 0:
        return picture
    image = picture.astype(np.float32)
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.float32)
    grey -= grey.mean()  # float32 loses small variances beside large crops
    stack = np.dstack([image, grey, grey**2])
    painted, weights = np.zeros_like(image), np.zeros((*grey.shape, 1), np.float32)
    for sector in _sectors(radius_px):
        means = cv2.filter2D(stack, -1, sector, borderType=cv2.BORDER_REPLICATE)
        spread = np.sqrt(np.maximum(means[..., 4] - means[..., 3] ** 2, 0))
        weight = ((1 + spread) ** -_CHOICE)[..., None]
        painted += weight * means[..., :3]
        weights += weight
    return np.asarray(np.clip(np.rint(painted / weights), 0, 255), np.uint8)


@cache
def _sectors(radius_px: int) -> tuple[NDArray[np.float32], ...]:
    """A kernel for each sector, of sum 1: a Gaussian window times a wedge that fades towards its neighbours' axes."""
    reach = _REACH * radius_px
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float64)
    window = np.exp(-(x**2 + y**2) / (2 * (_SIGMA * radius_px) ** 2))
    angle, step = np.arctan2(y, x), 2 * np.pi / _SECTORS
    kernels = []
    for sector in range(_SECTORS):
        away = np.abs((angle - sector * step + np.pi) % (2 * np.pi) - np.pi)
        wedge = np.clip(1 - away / step, 0, 1)
        wedge[reach, reach] = 1 / _SECTORS  # the centre belongs to all
        kernel = window * wedge
        kernels.append((kernel / kernel.sum()).astype(np.float32))
    return tuple(kernels)
