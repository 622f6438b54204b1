"""What redrawn photos are held to: the photo as flat areas or brushwork, in the film's palette, with ink along borders.

White-box Cartoonization (Wang and Yu, CVPR 2020) and AnimeGANv3 train towards such pictures; here pretrain.target and
loss.target may name them instead of the photos. Ink by a difference of Gaussians: Winnemoeller, Olsen, Gooch: Real-Time Video
Abstraction, SIGGRAPH 2006.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.filters import color_transfer, profile
from pipeline.filters.color_transfer import IDENTITY, ColorTransform
from pipeline.filters.kuwahara import brush
from pipeline.filters.l0 import flatten
from pipeline.filters.profile import Filter
from pipeline.media.images import Picture
from pipeline.params.schema import Params

# Strokes as models/ops/xdog.py has them; torch takes seconds to import in each process.
_SIGMA_PX, _RATIO, _FAINT, _FULL = 1.2, 1.6, 0.012, 0.032
_SPECK_PX = 25  # a stroke of a smaller area is texture that flattening left, and no line


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


@dataclass(frozen=True)
class PseudoTarget:
    """What photos are turned into."""

    filter: Filter
    strength: float
    """Of L0 smoothing, in cels too."""
    radius_px: int
    """Of the brush, in cels too: there it takes small shapes before areas are made flat."""
    line_strength: float
    """0 leaves strokes out, 1 makes them black."""
    color_transform: ColorTransform = IDENTITY
    """Of the painted picture's colours, before ink."""


def redraw(picture: Picture, target: PseudoTarget) -> Picture:
    """Flatten or paint a picture, and darken its strokes. uint8 RGB HxWx3."""
    drawn = color_transfer.apply(_paint(picture, target), target.color_transform)
    if not target.line_strength:
        return drawn
    lines = strokes(drawn)
    if target.filter == "abstraction":  # what paint leaves out of a small face, eyes and mouth, the pen puts back
        lines = np.maximum(lines, strokes(color_transfer.apply(flatten(picture, target.strength), target.color_transform)))
    return np.asarray(np.rint(drawn * (1 - target.line_strength * lines[..., None])), np.uint8)


def _paint(picture: Picture, target: PseudoTarget) -> Picture:
    match target.filter:
        case "l0":
            return flatten(picture, target.strength)
        case "abstraction":
            return flatten(brush(picture, target.radius_px), target.strength)
        case "kuwahara":
            return brush(picture, target.radius_px)
        case "none":
            return picture


def chosen(params: Params, data: Path) -> PseudoTarget:
    """The aim that stage aim settled on.

    Raises:
        UserError: data/style_profile is missing or damaged.
    """
    found = profile.read(data)
    section = params.pseudo_targets
    return PseudoTarget(found.filter, section.strength, section.radius_px, found.line_strength, found.color_transform)
