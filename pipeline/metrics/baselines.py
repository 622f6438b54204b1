"""What anyone can do to a photo without learning, to be measured beside a trained generator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np

from pipeline.media.images import Picture

Redraw = Callable[[Sequence[Picture]], list[Picture]]


def stylization(picture: Picture) -> Picture:
    """OpenCV's stylization with its own numbers: edge-aware smoothing, darkened along edges (Gastal and Oliveira 2011)."""
    return np.asarray(cv2.stylization(picture, sigma_s=60, sigma_r=0.45), np.uint8)


def edge_preserving(picture: Picture) -> Picture:
    """OpenCV's edge-preserving filter with its own numbers (Gastal and Oliveira 2011, recursive)."""
    return np.asarray(cv2.edgePreservingFilter(picture, flags=cv2.RECURS_FILTER, sigma_s=60, sigma_r=0.4), np.uint8)


def _each(draw: Callable[[Picture], Picture]) -> Redraw:
    return lambda pictures: [draw(picture) for picture in pictures]


BASELINES: Mapping[str, Redraw] = {"stylization": _each(stylization), "edge_preserving": _each(edge_preserving)}
"""By the name that tables give them."""
