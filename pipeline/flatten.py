"""Stage: the twin of every photo square as cels would show it: few, flat areas with sharp borders, and ink along them.

    python -m pipeline.flatten NAME        NAME as under footage: in params.yaml, or photos

Xu, Lu, Xu, Jia: Image Smoothing via L0 Gradient Minimization, SIGGRAPH Asia 2011. White-box Cartoonization (Wang and Yu,
CVPR 2020) and AnimeGANv3 train towards such pictures; here pretrain.target and loss.target may name them instead of the photos.
Ink by a difference of Gaussians: Winnemoeller, Olsen, Gooch: Real-Time Video Abstraction, SIGGRAPH 2006.
"""

from __future__ import annotations

import functools
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import fft

from pipeline import manifest, stage, twins
from pipeline.images import Picture
from pipeline.params import Params

_KAPPA = 2.0  # the paper's rate at which the splitting weight beta grows
_BETA_MAX = 1e5
# Strokes as models/ink.py has them; torch takes seconds to import in each process.
_SIGMA_PX, _RATIO, _FAINT, _FULL = 1.2, 1.6, 0.012, 0.032
_SPECK_PX = 40  # a stroke of a smaller area is texture that flattening left, and no line


def flatten(picture: Picture, strength: float) -> Picture:
    """Minimise |S - I|^2 + strength * (number of pixels with a gradient) by half-quadratic splitting (section 3).

    Args:
        picture: uint8 RGB HxWx3.
        strength: the paper's lambda for values in 0-1; 0.01 leaves clouds, 0.02 takes them with the texture, 0.05 faces too.
    """
    if strength == 0:
        return picture
    image = picture.astype(np.float32) / 255
    spectrum = fft.rfft2(image, axes=(0, 1))
    height, width = image.shape[:2]
    gradient = _difference_power(height)[:, None] + _difference_power(width)[None, : width // 2 + 1]
    smooth, beta = image, 2 * strength
    while beta < _BETA_MAX:
        across, down = np.roll(smooth, -1, 1) - smooth, np.roll(smooth, -1, 0) - smooth
        # Eq. 12: a gradient worth less than the price of having one is none.
        worth = ((across**2 + down**2).sum(axis=2, keepdims=True) >= strength / beta).astype(np.float32)
        across, down = across * worth, down * worth
        divergence = np.roll(across, 1, 1) - across + np.roll(down, 1, 0) - down
        # Eq. 8: the picture nearest to the photograph and to these gradients, in the Fourier domain.
        wanted = (spectrum + beta * fft.rfft2(divergence, axes=(0, 1))) / (1 + beta * gradient)[..., None]
        smooth = fft.irfft2(wanted, s=(height, width), axes=(0, 1))
        beta *= _KAPPA
    return np.asarray(np.clip(np.rint(smooth * 255), 0, 255), np.uint8)


def strokes(picture: Picture) -> NDArray[np.float32]:
    """Where ink belongs on a flattened picture, uint8 RGB HxWx3: float32 HxW, 0 to 1; specks left out."""
    luma = np.asarray(cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2GRAY), np.float32)
    difference = _blur(luma, _RATIO * _SIGMA_PX) - _blur(luma, _SIGMA_PX)
    found = np.clip((difference - _FAINT) / (_FULL - _FAINT), 0, 1)
    _, names, facts, _ = cv2.connectedComponentsWithStats((found > 0).astype(np.uint8), connectivity=8)
    lines = facts[:, cv2.CC_STAT_AREA] >= _SPECK_PX
    lines[0] = False  # the ground
    return np.asarray(found * lines[names], np.float32)


def _blur(plane: NDArray[np.float32], sigma_px: float) -> NDArray[np.float32]:
    side = 2 * int(np.ceil(3 * sigma_px)) + 1
    return np.asarray(cv2.GaussianBlur(plane, (side, side), sigma_px, borderType=cv2.BORDER_REPLICATE), np.float32)


def cel(picture: Picture, strength: float, ink: float) -> Picture:
    """Flatten a picture, and darken its strokes: `ink` 0 leaves them out, 1 makes them black. uint8 RGB HxWx3."""
    flat = flatten(picture, strength)
    return np.asarray(np.rint(flat * (1 - ink * strokes(flat)[..., None])), np.uint8) if ink else flat


def _difference_power(size: int) -> NDArray[np.float32]:
    """Squared magnitude of the spectrum of a circular forward difference over `size` samples."""
    return (2 - 2 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)


def run(params: Params, out: Path, source: str, data: Path = stage.DATA) -> dict[str, float]:
    """Write the twin of every photo square of a source under the square's own name, manifest.jsonl, and a sheet of pairs.

    With strength 0 there are none: nobody asks for them.
    """
    if params.flatten.strength == 0:
        manifest.write(out, [])
        return {"twins": 0}
    squares = manifest.kept(manifest.read(data / "crop" / stage.ABOUT / "photo" / source))
    draw = functools.partial(cel, strength=params.flatten.strength, ink=params.flatten.ink)
    return {"twins": twins.make(f"flatten/{source}", squares, draw, out, data, params.workers)}


if __name__ == "__main__":
    stage.main_of_source("flatten", run, "a name under footage: in params.yaml, or photos")
