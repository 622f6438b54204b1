"""Fit and apply one color change that brings photos towards a film's lightness, colorfulness and tint.

After Reinhard, Ashikhmin, Gooch, Shirley: Color Transfer between Images, IEEE Computer Graphics and Applications 2001, in
CIELAB, with departures. One transform serves all photos and is fitted to all of them and the whole film, so a night stays a
night. Lightness changes by a gamma, which keeps black and white. The tint is measured on nearly gray pixels, as a film of
meadows is no reason to paint skies green, and fades towards black and white, as it does in painted darks and lights.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from pipeline.media import arrays
from pipeline.media.images import Picture

_EVERY_PX = 4  # pixels are sampled this far apart
_MAX_GRAY_CHROMA = 20.0  # CIELAB: half of a photograph's pixels and more are below
_LIGHTNESS_RANGE = 15.0, 85.0  # a film of nights alone is no reason to paint photos black
# Beyond these a transform does harm: pictures look washed out or muddy, noise takes color (docs/log.md).
_GAMMA_RANGE, _MAX_CHROMA_SCALE = (0.75, 1.35), 2.0
_TYPICAL_CROPS = 50  # crops of a user's photos that count as much as photographs at large
# Rounding steps too small to see: another episode seldom changes the transform, which would repeat all that follows.
_STEP, _TINT_STEP = 0.05, 1.0


@dataclass(frozen=True)
class ColorStatistics:
    """Color statistics of a set of pictures in CIELAB."""

    lightness: float
    """Mean L, 0 to 100."""
    chroma: float
    """Root mean square of chroma."""
    tint: tuple[float, float]
    """Mean a and b of nearly gray pixels; 0 where there are none."""


class ColorTransform(BaseModel):
    """A color change in CIELAB; the default changes nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gamma: Annotated[float, Field(ge=_GAMMA_RANGE[0], le=_GAMMA_RANGE[1])] = 1.0
    """Exponent of lightness; below 1 is lighter."""
    chroma_scale: Annotated[float, Field(ge=0, le=_MAX_CHROMA_SCALE)] = 1.0
    """Factor of chroma; hues stay."""
    tint: tuple[float, float] = (0.0, 0.0)
    """Added to a and b of mid-tones."""


IDENTITY = ColorTransform()
# Of 300 crops of photographs (people, streets, rooms, landscapes).
TYPICAL_PHOTOGRAPHS = ColorStatistics(lightness=49.6, chroma=20.6, tint=(0.3, 0.1))


def measure_colors(pictures: Iterable[Picture]) -> ColorStatistics:
    """Measure the color statistics of one or more pictures (uint8 RGB HxWx3), each weighted by its size."""
    parts = (arrays.lab(np.ascontiguousarray(picture[::_EVERY_PX, ::_EVERY_PX])).reshape(-1, 3) for picture in pictures)
    pixels = np.concatenate(list(parts)).astype(np.float64)
    chroma_squared = (pixels[:, 1:] ** 2).sum(1)
    grayish = pixels[chroma_squared < _MAX_GRAY_CHROMA**2, 1:]
    a, b = grayish.mean(0) if len(grayish) else (0.0, 0.0)
    return ColorStatistics(float(pixels[:, 0].mean()), float(np.sqrt(chroma_squared.mean())), (float(a), float(b)))


def mix_with_typical(photos: ColorStatistics, crops: int) -> ColorStatistics:
    """Mix the statistics of `crops` photo crops with those of typical photographs, which count more the fewer crops there are.

    A few photos that are dark by chance would otherwise have every photo painted pale.
    """
    share = crops / (crops + _TYPICAL_CROPS)
    own, typical = ((of.lightness, of.chroma, *of.tint) for of in (photos, TYPICAL_PHOTOGRAPHS))
    lightness, chroma, a, b = (share * x + (1 - share) * y for x, y in zip(own, typical, strict=True))
    return ColorStatistics(lightness, chroma, (a, b))


def fit_transform(photos: ColorStatistics, film: ColorStatistics, amount: float) -> ColorTransform:
    """Fit the transform that moves photos' statistics the given share (0 to 1) of the way to a film's, within safe limits."""
    start, goal = (np.log(np.clip(statistics.lightness, *_LIGHTNESS_RANGE) / 100) for statistics in (photos, film))
    chroma_scale = 1 + amount * (min(film.chroma / max(photos.chroma, 1.0), _MAX_CHROMA_SCALE) - 1)
    # Added to what the chroma scale leaves of the photos' own tint.
    tint = [own + amount * (other - own) - chroma_scale * own for own, other in zip(photos.tint, film.tint, strict=True)]
    return ColorTransform(
        gamma=_rounded(np.clip(1 + amount * (goal / start - 1), *_GAMMA_RANGE), _STEP),
        chroma_scale=_rounded(chroma_scale, _STEP),
        tint=(_rounded(tint[0], _TINT_STEP), _rounded(tint[1], _TINT_STEP)),
    )


def _rounded(value: float, step: float) -> float:
    return round(round(float(value) / step) * step, 2) + 0.0  # no -0.0


def apply_transform(picture: Picture, transform: ColorTransform) -> Picture:
    """Apply a color transform to a picture: uint8 RGB HxWx3 in and out; the picture itself if nothing is to change."""
    if transform == IDENTITY:
        return picture
    lab = arrays.lab(picture)
    light = np.clip(lab[..., 0] / 100, 0, 1) ** transform.gamma
    lab[..., 0] = 100 * light
    fade = 1 - (2 * light - 1) ** 4
    for channel, tint in enumerate(transform.tint, start=1):
        lab[..., channel] = transform.chroma_scale * lab[..., channel] + tint * fade
    return np.asarray(np.clip(np.rint(255 * cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)), 0, 255), np.uint8)
