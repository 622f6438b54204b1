"""Quality measures of a picture, computed once, when it is first decoded, and stored in its row.

So the stage dedup, which compares all films, opens no picture: adding a film costs only that film.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import UserError
from pipeline.core.manifest import Row
from pipeline.frames import perceptual_hashes
from pipeline.media import arrays
from pipeline.media.images import Picture

_WIDTH = 480
_STROKE_PX = 9  # strokes thinner than this at the measured width may be lettering,
_STROKE_CONTRAST = 40  # if they are this much brighter than their background
_MIN_STROKES = 0.002  # share of the picture
_LINE_SHARE, _LINE_CONTRAST = 0.25, 6  # length of a straight line, in widths or heights, and contrast across it
_SCORES = ("luma_p95", "luma_std", "sharpness", "lettering", "luma_p5", "chroma", "aspect", "straight_lines")


@dataclass(frozen=True)
class Quality:
    """What a picture is filtered by, rounded to the digits shown to people."""

    luma_p95: float  # 95th percentile of luma, 0-255
    luma_std: float  # standard deviation of luma
    sharpness: float  # variance of the Laplacian of luma at 480 px width
    lettering: float  # share of edges at thin bright strokes; 0 where there are hardly any strokes
    phash: int
    dhash: int
    luma_p5: float = 0.0  # 5th percentile of luma
    chroma: float = 255.0  # mean difference of the largest and the smallest of red, green and blue
    aspect: float = 1.0  # longer side by shorter
    straight_lines: float = 0  # rows with a long edge of one brightness step, or columns if they are fewer
    title_lines: int = 0  # lines of text over the middle of a film frame (`subtitles.title_lines`)

    @property
    def scores(self) -> dict[str, float]:
        """The measures as a row holds them."""
        return {name: getattr(self, name) for name in _SCORES}

    @property
    def hashes(self) -> str:
        """The hashes as a row holds them."""
        return f"{self.phash:016x}{self.dhash:016x}"


def measure(picture: Picture) -> Quality:
    """Measure a picture (uint8 RGB HxWx3); `title_lines`, a measure of film frames, stays 0."""
    full = arrays.luma(picture)
    # Limited, as a picture a few pixels wide would become one of millions of rows.
    height = min(max(9, round(_WIDTH * full.shape[0] / full.shape[1])), 9 * _WIDTH)
    gray = arrays.resize(full, _WIDTH, height)
    color = arrays.resize(picture, _WIDTH, height)
    return Quality(
        luma_p95=round(float(np.percentile(gray, 95)), 1),
        luma_p5=round(float(np.percentile(gray, 5)), 1),
        chroma=round(float((color.max(axis=2) - color.min(axis=2)).mean()), 1),
        aspect=round(max(full.shape) / min(full.shape), 2),
        straight_lines=straight_lines(gray),
        luma_std=round(float(gray.std()), 1),
        sharpness=round(arrays.sharpness(gray), 1),
        lettering=round(lettering_share(gray), 3),
        phash=perceptual_hashes.phash(gray),
        dhash=perceptual_hashes.dhash(gray),
    )


def from_row(row: Row) -> Quality:
    """Read the measures of a row's picture.

    Raises:
        UserError: the row lacks one of them.
    """
    try:
        scores = {name: row.scores[name] for name in _SCORES}
        hashes = row.hashes or ""
        title_lines = int(row.scores.get("title_lines", 0))  # photographs have none
        return Quality(**scores, phash=int(hashes[:16], 16), dhash=int(hashes[16:], 16), title_lines=title_lines)
    except (KeyError, ValueError):
        raise UserError(
            f"{row.id} was not measured: delete data/keyframes and data/photo_index and run dvc repro dedup"
        ) from None


def straight_lines(gray: NDArray[np.uint8]) -> int:
    """Count rows along a quarter of which brightness steps the same way to the next row, or such columns if they are fewer.

    Of 533 photographs and snapshots one has more than 7; a window with a toolbar and a table has some on each axis.

    Args:
        gray: uint8 HxW, 480 wide.
    """
    counts = []
    for steps in (np.diff(gray.astype(np.int16), axis=0), np.diff(gray.astype(np.int16), axis=1).T):
        kernel = np.ones((1, max(1, round(_LINE_SHARE * steps.shape[1]))), np.uint8)
        masks = [np.ascontiguousarray(sign * steps > _LINE_CONTRAST).astype(np.uint8) for sign in (1, -1)]
        counts.append(sum(int(cv2.erode(mask, kernel, borderValue=0).any(axis=1).sum()) for mask in masks))
    return min(counts)


def lettering_share(gray: NDArray[np.uint8]) -> float:
    """Measure how far a picture is nothing but bright lettering on a plain background, 0 to 1, as credits are.

    The share of Canny edges that lie at thin bright strokes (white top-hat). Credits and title cards reach 0.99 on any
    background, other pictures stay under 0.94 (measured on Big Buck Bunny and Sintel). Dark strokes are not looked for, as the
    outlines of drawings would pass for them.

    Args:
        gray: uint8 HxW, 480 wide.
    """
    opened = cv2.morphologyEx(gray, cv2.MORPH_OPEN, np.ones((_STROKE_PX, _STROKE_PX), np.uint8))
    strokes = (cv2.subtract(gray, opened) > _STROKE_CONTRAST).astype(np.uint8)
    edges = cv2.Canny(gray, 100, 200) > 0
    if strokes.mean() < _MIN_STROKES or not edges.any():
        return 0.0
    near_strokes = cv2.dilate(strokes, np.ones((5, 5), np.uint8)) > 0
    return float((edges & near_strokes).sum() / edges.sum())
