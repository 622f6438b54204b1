"""L0 gradient smoothing: few, flat areas with sharp borders.

Xu, Lu, Xu, Jia: Image Smoothing via L0 Gradient Minimization, SIGGRAPH Asia 2011.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from pipeline.media.images import Picture

_KAPPA = 2.0  # the paper's rate at which the splitting weight beta grows
_BETA_MAX = 1e5


def l0_smooth(picture: Picture, strength: float) -> Picture:
    """Minimize |S - I|^2 + strength * (number of pixels with a gradient) by half-quadratic splitting (section 3).

    Args:
        picture: uint8 RGB HxWx3.
        strength: the paper's lambda for values in 0-1; 0.01 leaves clouds, 0.02 removes them with the texture, 0.05 faces too.

    Raises:
        ValueError: the strength is not above 0.
    """
    if strength <= 0:  # beta, which starts from it, would never grow
        raise ValueError(f"the strength of L0 smoothing must be above 0, got {strength}")
    image = picture.astype(np.float32) / 255
    spectrum = fft.rfft2(image, axes=(0, 1))
    height, width = image.shape[:2]
    gradient = _difference_power(height)[:, None] + _difference_power(width)[None, : width // 2 + 1]
    smooth, beta = image, 2 * strength
    while beta < _BETA_MAX:
        across, down = np.roll(smooth, -1, 1) - smooth, np.roll(smooth, -1, 0) - smooth
        # Eq. 12: a gradient that costs more than it explains is set to zero.
        kept = ((across**2 + down**2).sum(axis=2, keepdims=True) >= strength / beta).astype(np.float32)
        across, down = across * kept, down * kept
        divergence = np.roll(across, 1, 1) - across + np.roll(down, 1, 0) - down
        # Eq. 8: the picture nearest to the photograph and to these gradients, solved in the Fourier domain.
        solution = (spectrum + beta * fft.rfft2(divergence, axes=(0, 1))) / (1 + beta * gradient)[..., None]
        smooth = fft.irfft2(solution, s=(height, width), axes=(0, 1))
        beta *= _KAPPA
    return np.asarray(np.clip(np.rint(smooth * 255), 0, 255), np.uint8)


def _difference_power(size: int) -> NDArray[np.float32]:
    """Squared magnitude of the spectrum of a circular forward difference over `size` samples."""
    return (2 - 2 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)
