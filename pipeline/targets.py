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

from pipeline import choice, palette
from pipeline.brush import brush
from pipeline.choice import Filter
from pipeline.images import Picture
from pipeline.l0 import flatten
from pipeline.palette import NO_GRADE, Grade
from pipeline.params import Params

# Strokes as models/ink.py has them; torch takes seconds to import in each process.
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
class Aim:
    """What photos are turned into."""

    filter: Filter
    strength: float
    """Of L0 smoothing, in cels too."""
    radius_px: int
    """Of the brush, in cels too: there it takes small shapes before areas are made flat."""
    ink: float
    """0 leaves strokes out, 1 makes them black."""
    grade: Grade = NO_GRADE
    """Of the painted picture's colours, before ink."""


def redraw(picture: Picture, aim: Aim) -> Picture:
    """Flatten or paint a picture, and darken its strokes. uint8 RGB HxWx3."""
    drawn = palette.apply(_paint(picture, aim), aim.grade)
    if not aim.ink:
        return drawn
    lines = strokes(drawn)
    if aim.filter == "cel":  # what paint leaves out of a small face, eyes and mouth, the pen puts back
        lines = np.maximum(lines, strokes(palette.apply(flatten(picture, aim.strength), aim.grade)))
    return np.asarray(np.rint(drawn * (1 - aim.ink * lines[..., None])), np.uint8)


def _paint(picture: Picture, aim: Aim) -> Picture:
    match aim.filter:
        case "l0":
            return flatten(picture, aim.strength)
        case "cel":
            return flatten(brush(picture, aim.radius_px), aim.strength)
        case "brush":
            return brush(picture, aim.radius_px)
        case "none":
            return picture


def chosen(params: Params, data: Path) -> Aim:
    """The aim that stage aim settled on.

    Raises:
        Fault: data/aim is missing or damaged.
    """
    found = choice.read(data)
    section = params.flatten
    return Aim(found.filter, section.strength, section.radius_px, found.ink, found.grade)
