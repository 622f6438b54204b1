"""Kuwahara filter: removes texture, keeps shading, and makes borders crisp, like paint laid on with a broad brush.

The generalized form of Papari, Petkov, Campisi: Artistic Edge and Corner Enhancing Smoothing, IEEE Transactions on Image
Processing 2007: each pixel becomes a mean of eight sectors around it, in which sectors of low variance count most.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.media.images import Picture

_SECTORS = 8
_EXTENT = 2  # of the kernels, in radii: where the Gaussian window has faded to a tenth
_SIGMA = 0.9  # of the window, in radii
# The paper's q: how strongly calm sectors are preferred. At 8 every speck gets a border; at 2 borders turn soft (docs/log.md).
_SHARPNESS = 4


def kuwahara(picture: Picture, radius_px: int) -> Picture:
    """Filter a picture of any size, uint8 RGB HxWx3; with radius 0 it is returned as it is."""
    if radius_px == 0:
        return picture
    image = picture.astype(np.float32)
    gray = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.float32)
    gray -= gray.mean()  # float32 loses small variances beside large squares
    channels = np.dstack([image, gray, gray**2])
    weighted, weights = np.zeros_like(image), np.zeros((*gray.shape, 1), np.float32)
    for kernel in _sector_kernels(radius_px):
        means = cv2.filter2D(channels, -1, kernel, borderType=cv2.BORDER_REPLICATE)
        deviation = np.sqrt(np.maximum(means[..., 4] - means[..., 3] ** 2, 0))
        weight = ((1 + deviation) ** -_SHARPNESS)[..., None]
        weighted += weight * means[..., :3]
        weights += weight
    return np.asarray(np.clip(np.rint(weighted / weights), 0, 255), np.uint8)


@cache
def _sector_kernels(radius_px: int) -> tuple[NDArray[np.float32], ...]:
    """Build a kernel of sum 1 for each sector: a Gaussian window times a wedge that fades out at its neighbors' axes."""
    extent = _EXTENT * radius_px
    y, x = np.mgrid[-extent : extent + 1, -extent : extent + 1].astype(np.float64)
    window = np.exp(-(x**2 + y**2) / (2 * (_SIGMA * radius_px) ** 2))
    angle, step = np.arctan2(y, x), 2 * np.pi / _SECTORS
    kernels = []
    for sector in range(_SECTORS):
        from_axis = np.abs((angle - sector * step + np.pi) % (2 * np.pi) - np.pi)
        wedge = np.clip(1 - from_axis / step, 0, 1)
        wedge[extent, extent] = 1 / _SECTORS  # the center belongs to all sectors
        kernel = window * wedge
        kernels.append((kernel / kernel.sum()).astype(np.float32))
    return tuple(kernels)
