"""Whether a film is interlaced though its file does not say so: combs where something moves, on frames spread over it.

A comb alternates from line to line. Fine detail does so too, but each field alone is as fine, while it holds no comb: so places
of a frame are held against the same places of its two fields.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

# The comb filter of Decomb and of FFmpeg's fieldmatch: a line against its first and second neighbours, luma levels.
_KERNEL = np.array([[1], [-3], [4], [-3], [1]], np.float32) / 6
_DIFFERENCE = 9
# A place is combed when so much of it is, and so many times what its fields show. No frame of Big Buck Bunny and Sintel has
# such a place, 3 % of photographs have three; woven from neighbouring frames of Big Buck Bunny, 72 % have.
_PLACE_PX, _LEAST_SHARE, _TIMES_FIELDS, _LEAST_PLACES = 32, 0.15, 1.5, 3
# Telecine combs two frames of five, and what stands still is not combed.
_LEAST_FRAMES, _LEAST_OF_FILM = 3, 0.1


def combed(luma: NDArray[np.uint8]) -> bool:
    """Whether a frame holds two moments, one in each field: luma uint8 HxW, every line of the frame."""
    size = (max(1, luma.shape[1] // _PLACE_PX), max(1, luma.shape[0] // _PLACE_PX))
    whole = _shares(luma, size)
    fields = np.maximum(_shares(luma[::2], size), _shares(luma[1::2], size))
    return int(((whole >= _LEAST_SHARE) & (whole >= _TIMES_FIELDS * fields)).sum()) >= _LEAST_PLACES


def of_film(frames: Sequence[bool]) -> bool:
    """Whether a film is interlaced (or telecined), by whether frames spread over it are combed."""
    return sum(frames) >= max(_LEAST_FRAMES, _LEAST_OF_FILM * len(frames))


def _shares(luma: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.float32]:
    """How much of each place looks combed; `size` is their number across and down."""
    found = (np.abs(cv2.filter2D(luma, cv2.CV_32F, _KERNEL)) > _DIFFERENCE).astype(np.float32)
    return np.asarray(cv2.resize(found, size, interpolation=cv2.INTER_AREA), np.float32)
