"""What pictures are judged by, measured once, where the picture is in hand anyway, and written into its row.

So the cull, which has to see every film, opens no picture: adding a film costs that film.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import UserError
from pipeline.core.manifest import Row
from pipeline.frames import hash_index
from pipeline.media import arrays
from pipeline.media.images import Picture

_WIDTH = 480
_LETTER_PX = 9  # strokes thinner than this at the measuring width may be lettering
_LETTER_LUMA = 40  # and they are this much brighter than what is behind them
_LEAST_LETTERING = 0.002  # share of the picture


@dataclass(frozen=True)
class Measures:
    """What a picture is judged by, in the digits that a person is shown."""

    luma_p95: float  # 95th percentile of luma, 0-255
    luma_std: float  # standard deviation of luma
    sharpness: float  # variance of the Laplacian of luma at 480 px width
    lettering: float  # share of edges that belong to thin bright strokes; 0 where there are hardly any strokes
    phash: int
    dhash: int
    title_lines: int = 0  # of lettering over a film frame's middle (`overlays.title_lines`)

    @property
    def scores(self) -> dict[str, float]:
        """As a row holds them."""
        return {
            "luma_p95": self.luma_p95,
            "luma_std": self.luma_std,
            "sharpness": self.sharpness,
            "lettering": self.lettering,
        }

    @property
    def hashes(self) -> str:
        """As a row holds them."""
        return f"{self.phash:016x}{self.dhash:016x}"


def measure(picture: Picture) -> Measures:
    """Measure a picture (uint8 RGB HxWx3)."""
    full = arrays.luma(picture)
    # A picture a few pixels wide would otherwise become one of millions of rows.
    height = min(max(9, round(_WIDTH * full.shape[0] / full.shape[1])), 9 * _WIDTH)
    grey = arrays.resize(full, _WIDTH, height)
    return Measures(
        luma_p95=round(float(np.percentile(grey, 95)), 1),
        luma_std=round(float(grey.std()), 1),
        sharpness=round(arrays.sharpness(grey), 1),
        lettering=round(lettering(grey), 3),
        phash=hash_index.phash(grey),
        dhash=hash_index.dhash(grey),
    )


def lettering(grey: NDArray[np.uint8]) -> float:
    """How far a picture is nothing but bright lettering on a calm ground: 0 to 1.

    The share of Canny's edges that lie at thin bright strokes (white top-hat). Credits and title cards reach 0.99 on any
    ground, pictures of the world stay under 0.94 (measured on Big Buck Bunny and Sintel). Dark letters on a bright ground
    are not looked for: ink lines of a drawing would pass for them.

    Args:
        grey: uint8 HxW, 480 wide.
    """
    opened = cv2.morphologyEx(grey, cv2.MORPH_OPEN, np.ones((_LETTER_PX, _LETTER_PX), np.uint8))
    strokes = (cv2.subtract(grey, opened) > _LETTER_LUMA).astype(np.uint8)
    edges = cv2.Canny(grey, 100, 200) > 0
    if strokes.mean() < _LEAST_LETTERING or not edges.any():
        return 0.0
    near_strokes = cv2.dilate(strokes, np.ones((5, 5), np.uint8)) > 0
    return float((edges & near_strokes).sum() / edges.sum())


def of(row: Row) -> Measures:
    """What was measured on a row's picture.

    Raises:
        UserError: the row does not say.
    """
    try:
        scores = {name: row.scores[name] for name in ("luma_p95", "luma_std", "sharpness", "lettering")}
        hashes = row.hashes or ""
        lines = int(row.scores.get("title_lines", 0))  # photographs are not asked
        return Measures(**scores, phash=int(hashes[:16], 16), dhash=int(hashes[16:], 16), title_lines=lines)
    except (KeyError, ValueError):
        raise UserError(f"{row.id} was not measured: delete data/keyframes and data/photo_index and run dvc repro") from None
