"""Redraws large pictures at the scale that a generator learned at, and enlarges the drawing to their size.

A generator redraws features of a certain size in pixels. In a picture much larger than its training crops it finds few of
them, and changes hardly anything.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from pipeline.inference.stylizer import DEFAULT_MAX_MEGAPIXELS, Stylizer
from pipeline.inference.upscaling import upscale_drawing
from pipeline.media import arrays
from pipeline.media.images import Picture

KEY = "working_px"
"""Entry of a model's metadata."""
DEFAULT_WORKING_PX = 640
"""For models whose file does not state its own."""
MAX_ASPECT = 16 / 9
"""Of longer pictures the short side counts, as it does for training crops: a panorama is drawn as finely as a photo."""

WorkingPx = int | Literal["auto"]
"""Long side of the pictures that the network sees; "auto" for the one that the model's file states."""


class ScaledStylizer(Stylizer):
    """Another stylizer at a working size; photos that are no larger than that are drawn at their own size.

    Here `max_megapixels` bounds the photo; the limit of the other stylizer applies to the working size.
    """

    def __init__(
        self, stylizer: Stylizer, working_px: WorkingPx = "auto", max_megapixels: float = DEFAULT_MAX_MEGAPIXELS
    ) -> None:
        """Wrap a stylizer, which gets photos shrunk to `working_px` ("auto": as its model's file states)."""
        self._stylizer = stylizer
        self.working_px = stated_working_px(stylizer.metadata) if working_px == "auto" else working_px
        self.max_megapixels = max_megapixels
        self.metadata = stylizer.metadata

    @property
    def identity(self) -> str:
        """See `Stylizer.identity`."""
        return f"{self._stylizer.identity}-{self.working_px}px"

    def stylize_batch(self, pictures: Sequence[Picture]) -> list[Picture]:
        """See `Stylizer.stylize_batch`."""
        if not pictures:
            return []
        height, width = arrays.check_batch(pictures, self.max_megapixels)
        size = working_size(width, height, self.working_px)
        drawings = self._stylizer.stylize_batch([arrays.resize(picture, *size) for picture in pictures])
        return [upscale_drawing(drawing, picture) for drawing, picture in zip(drawings, pictures, strict=True)]

    def network_megapixels(self, height: int, width: int) -> float:
        """See `Stylizer.network_megapixels`."""
        return math.prod(working_size(width, height, self.working_px)) / 1e6

    def prepare(self, height: int, width: int) -> None:
        """See `Stylizer.prepare`."""
        width, height = working_size(width, height, self.working_px)
        self._stylizer.prepare(height, width)


def stated_working_px(metadata: Mapping[str, str]) -> int:
    """Return the working size that a model's metadata states, a long side in pixels, else `DEFAULT_WORKING_PX`."""
    return int(metadata.get(KEY, DEFAULT_WORKING_PX))


def working_megapixels(working_px: WorkingPx) -> float:
    """Return how many megapixels of a large photo of 4:3 go through the network ("auto": assuming `DEFAULT_WORKING_PX`)."""
    long_side = DEFAULT_WORKING_PX if working_px == "auto" else working_px
    return long_side**2 * 3 / 4 / 1e6


def working_size(width: int, height: int, working_px: int) -> tuple[int, int]:
    """Return the width and height at which a picture goes through the network: at most its own.

    The long side is `working_px`, or more if the picture is longer than `MAX_ASPECT`.
    """
    scale = working_px / min(max(width, height), MAX_ASPECT * min(width, height))
    return (width, height) if scale >= 1 else (max(1, round(width * scale)), max(1, round(height * scale)))
