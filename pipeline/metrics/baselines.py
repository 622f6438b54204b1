"""OpenCV's filters, measured beside a trained generator for comparison."""

from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np

from pipeline.media.images import Picture

Stylize = Callable[[Sequence[Picture]], list[Picture]]


def stylization(picture: Picture) -> Picture:
    """Apply OpenCV's stylization with default values: edge-aware smoothing, darkened edges (Gastal and Oliveira 2011)."""
    return np.asarray(cv2.stylization(picture, sigma_s=60, sigma_r=0.45), np.uint8)


def edge_preserving(picture: Picture) -> Picture:
    """Apply OpenCV's recursive edge-preserving filter with default values (Gastal and Oliveira 2011)."""
    return np.asarray(cv2.edgePreservingFilter(picture, flags=cv2.RECURS_FILTER, sigma_s=60, sigma_r=0.4), np.uint8)


def _to_each(filter: Callable[[Picture], Picture]) -> Stylize:
    return lambda pictures: [filter(picture) for picture in pictures]


BASELINES: Mapping[str, Stylize] = {"stylization": _to_each(stylization), "edge_preserving": _to_each(edge_preserving)}
"""Name in tables -> filter of a list of pictures."""
