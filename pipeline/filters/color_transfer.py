"""The film's palette: how light, how colourful and of what tint its pictures are, and the grade that brings photos there.

After Reinhard, Ashikhmin, Gooch, Shirley: Color Transfer between Images, IEEE Computer Graphics and Applications 2001, in
CIELAB, with departures. One grade for all photos, from all photos and the whole film: a night stays a night. Lightness by a
gamma: black and white stay where they are. The tint is that of what is nearly grey: a film of meadows is no reason to paint
skies green. It fades towards black and white, as painted darks and lights do.
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

_EVERY_PX = 4
_GREYISH = 20.0  # chroma, CIELAB: about half of a photograph's pixels and more
_DARKEST, _LIGHTEST = 15.0, 85.0  # a film of nights alone is no reason to paint photos black
# Beyond these a grade does harm: pictures look washed out or muddy, noise takes colour (docs/log.md, The palette).
_GAMMAS, _MOST_VIVID = (0.75, 1.35), 2.0
# Steps that nobody sees, so that another episode seldom moves the grade, which would repeat all that follows.
_STEP, _TINT_STEP = 0.05, 1.0


@dataclass(frozen=True)
class ColorStatistics:
    """What the colours of many pictures have in common, in CIELAB."""

    lightness: float
    """Mean, 0 to 100."""
    chroma: float
    """Root of its mean crop."""
    tint: tuple[float, float]
    """Mean a and b of what is nearly grey; 0 where nothing is."""


class ColorTransform(BaseModel):
    """One change of colours for every picture; as it is, none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gamma: Annotated[float, Field(ge=_GAMMAS[0], le=_GAMMAS[1])] = 1.0
    """Of lightness; under 1 is lighter."""
    vividness: Annotated[float, Field(ge=0, le=_MOST_VIVID)] = 1.0
    """What chroma is multiplied by; hues stay."""
    tint: tuple[float, float] = (0.0, 0.0)
    """What is added to a and b of mid-tones."""


IDENTITY = ColorTransform()


def measure(pictures: Iterable[Picture]) -> ColorStatistics:
    """The colours of pictures, uint8 RGB HxWx3, each counted by its size; at least one."""
    parts = (arrays.lab(np.ascontiguousarray(picture[::_EVERY_PX, ::_EVERY_PX])).reshape(-1, 3) for picture in pictures)
    pixels = np.concatenate(list(parts)).astype(np.float64)
    squared = (pixels[:, 1:] ** 2).sum(1)
    greyish = pixels[squared < _GREYISH**2, 1:]
    a, b = greyish.mean(0) if len(greyish) else (0.0, 0.0)
    return ColorStatistics(float(pixels[:, 0].mean()), float(np.sqrt(squared.mean())), (float(a), float(b)))


def color_transform_towards(photos: ColorStatistics, film: ColorStatistics, share: float) -> ColorTransform:
    """The grade that brings photos a share of the way (0 to 1) to the film's palette, as far as that does no harm."""
    here, there = (np.log(np.clip(one.lightness, _DARKEST, _LIGHTEST) / 100) for one in (photos, film))
    vividness = 1 + share * (min(film.chroma / max(photos.chroma, 1.0), _MOST_VIVID) - 1)
    # On top of what vividness leaves of the photos' own.
    tint = [at + share * (to - at) - vividness * at for at, to in zip(photos.tint, film.tint, strict=True)]
    return ColorTransform(
        gamma=_rounded(np.clip(1 + share * (there / here - 1), *_GAMMAS), _STEP),
        vividness=_rounded(vividness, _STEP),
        tint=(_rounded(tint[0], _TINT_STEP), _rounded(tint[1], _TINT_STEP)),
    )


def _rounded(value: float, step: float) -> float:
    return round(round(float(value) / step) * step, 2) + 0.0  # no -0.0


def apply(picture: Picture, grade: ColorTransform) -> Picture:
    """The picture in the film's palette: uint8 RGB HxWx3."""
    if grade == IDENTITY:
        return picture
    lab = arrays.lab(picture)
    light = np.clip(lab[..., 0] / 100, 0, 1) ** grade.gamma
    lab[..., 0] = 100 * light
    fade = 1 - (2 * light - 1) ** 4
    for channel, tint in enumerate(grade.tint, start=1):
        lab[..., channel] = grade.vividness * lab[..., channel] + tint * fade
    return np.asarray(np.clip(np.rint(255 * cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)), 0, 255), np.uint8)
