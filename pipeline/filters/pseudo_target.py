"""Turn a photo into a pseudo-target: a drawing-like picture that training may use as its target instead of the photo.

Texture is removed (L0, Kuwahara or both: "abstraction"), colors move towards the film's, and dark lines follow borders.
White-box Cartoonization (Wang and Yu, CVPR 2020) and AnimeGANv3 train towards such pictures. Lines by a difference of
Gaussians: Winnemoeller, Olsen, Gooch: Real-Time Video Abstraction, SIGGRAPH 2006.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.filters.color_transfer import IDENTITY, ColorTransform, apply_transform
from pipeline.filters.kuwahara import kuwahara
from pipeline.filters.l0 import l0_smooth
from pipeline.filters.profile import FilterName, StyleProfile
from pipeline.media.images import Picture
from pipeline.params.data import PseudoTargetParams

# As in models/ops/xdog.py, repeated here because torch takes seconds to import in each worker process.
_SIGMA_PX, _SIGMA_RATIO, _FAINT, _FULL = 1.2, 1.6, 0.012, 0.032
_MIN_LINE_AREA_PX = 25  # smaller marks are leftover texture


@dataclass(frozen=True)
class PseudoTargetFilter:
    """A filter that turns photos into pseudo-targets; callable and picklable."""

    filter: FilterName
    l0_strength: float
    """Strength of L0 smoothing, for `l0` and `abstraction`."""
    radius_px: int
    """Kuwahara radius, for `kuwahara` and `abstraction`, where it removes small shapes before areas are made flat."""
    line_strength: float
    """0 draws no lines, 1 makes them black."""
    color_transform: ColorTransform = IDENTITY
    """Applied before lines are drawn, so that they stay dark."""

    @classmethod
    def of_profile(cls, profile: StyleProfile, params: PseudoTargetParams) -> PseudoTargetFilter:
        """Combine what a style profile chose with the strengths that params set."""
        return cls(profile.filter, params.strength, params.radius_px, profile.line_strength, profile.color_transform)

    def __call__(self, photo: Picture) -> Picture:
        """Filter a photo: uint8 RGB HxWx3 in and out."""
        result = apply_transform(self._abstract(photo), self.color_transform)
        if not self.line_strength:
            return result
        lines = dog_lines(result)
        if self.filter == "abstraction":  # Kuwahara removes the eyes and mouth of a small face; lines put them back
            lines = np.maximum(lines, dog_lines(apply_transform(l0_smooth(photo, self.l0_strength), self.color_transform)))
        return np.asarray(np.rint(result * (1 - self.line_strength * lines[..., None])), np.uint8)

    def _abstract(self, photo: Picture) -> Picture:
        match self.filter:
            case "l0":
                return l0_smooth(photo, self.l0_strength)
            case "abstraction":
                return l0_smooth(kuwahara(photo, self.radius_px), self.l0_strength)
            case "kuwahara":
                return kuwahara(photo, self.radius_px)
            case "none":
                return photo


def dog_lines(picture: Picture) -> NDArray[np.float32]:
    """Find dark lines along borders by a soft-thresholded difference of Gaussians, without specks.

    Args:
        picture: uint8 RGB HxWx3, without texture.

    Returns:
        float32 HxW, 0 (no line) to 1.
    """
    luma = np.asarray(cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2GRAY), np.float32)
    difference = _blur(luma, _SIGMA_RATIO * _SIGMA_PX) - _blur(luma, _SIGMA_PX)
    lines = np.clip((difference - _FAINT) / (_FULL - _FAINT), 0, 1)
    _, labels, statistics, _ = cv2.connectedComponentsWithStats((lines > 0).astype(np.uint8), connectivity=8)
    large = statistics[:, cv2.CC_STAT_AREA] >= _MIN_LINE_AREA_PX
    large[0] = False  # the background
    return np.asarray(lines * large[labels], np.float32)


def _blur(luma: NDArray[np.float32], sigma_px: float) -> NDArray[np.float32]:
    side = 2 * int(np.ceil(3 * sigma_px)) + 1
    return np.asarray(cv2.GaussianBlur(luma, (side, side), sigma_px, borderType=cv2.BORDER_REPLICATE), np.float32)
