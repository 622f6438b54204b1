"""Stylizers without a network, for tests of the code around stylizers."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from pipeline.core.errors import UserError
from pipeline.inference.stylizer import Stylizer
from pipeline.media import arrays
from pipeline.media.images import Picture
from pipeline.metrics import pixels


def negative(picture: Picture) -> Picture:
    return 255 - picture


class Negative(Stylizer):
    """Returns negatives, and remembers the batches it was given."""

    def __init__(self, name: str = "negative") -> None:
        self._name = name
        self.batches: list[tuple[int, int, int]] = []
        """Number of pictures, height and width of each batch."""

    @property
    def identity(self) -> str:
        return self._name

    @property
    def count(self) -> int:
        """Number of pictures redrawn."""
        return sum(count for count, *_ in self.batches)

    def stylize_batch(self, pictures: Sequence[Picture]) -> list[Picture]:
        self.batches.append((len(pictures), *pictures[0].shape[:2]))
        return [negative(picture) for picture in pictures]


class Unchanged(Negative):
    """Returns the pictures as they are."""

    def stylize_batch(self, pictures: Sequence[Picture]) -> list[Picture]:
        return [negative(picture) for picture in super().stylize_batch(pictures)]


class Failing(Negative):
    """Fails instead of redrawing more than `limit` pictures."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def stylize_batch(self, pictures: Sequence[Picture]) -> list[Picture]:
        if self.count + len(pictures) > self._limit:
            raise UserError("out of memory")
        return super().stylize_batch(pictures)


class Inker(Negative):
    """Draws a dark line of two pixels along every edge, as a generator does whose strokes have a width in pixels."""

    def stylize_batch(self, pictures: Sequence[Picture]) -> list[Picture]:
        return [self._draw(picture) for picture in pictures]

    @staticmethod
    def _draw(picture: Picture) -> Picture:
        lines = cv2.dilate(pixels.edges(picture).astype(np.uint8), np.ones((2, 2), np.uint8))
        return np.where(lines[..., None] > 0, picture // 3, picture)


def hills(seed: int) -> Picture:
    """Draw areas of two levels without lines between them, 512x384."""
    rng = np.random.default_rng(seed)
    heights = arrays.resize(rng.integers(0, 256, (9, 12, 3), np.uint8), 512, 384)
    return np.where(heights > 127, 220, 120).astype(np.uint8)
