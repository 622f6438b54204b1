"""Two perceptual hashes of a picture, 64 bits each, which differ in few bits between pictures that look the same."""

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]  # 2 x n: pHash and dHash of n pictures


def phash(gray: NDArray[np.uint8]) -> int:
    """Compute pHash, 64 bits: which of the 8x8 lowest frequencies (DCT of the picture at 32x32) exceed their median."""
    low = cv2.dct(cv2.resize(gray, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32))[:8, :8]
    return _to_int(low > np.median(low))


def dhash(gray: NDArray[np.uint8]) -> int:
    """Compute dHash, 64 bits: where brightness increases from left to right in the picture at 9x8."""
    small = cv2.resize(gray, (9, 8), interpolation=cv2.INTER_AREA)
    return _to_int(small[:, 1:] > small[:, :-1])


def stack(pairs: Iterable[tuple[int, int]]) -> Hashes:
    """Stack the (pHash, dHash) of n pictures into an array of uint64, 2 x n."""
    return np.array(list(pairs), np.uint64).reshape(-1, 2).T.copy()


def _to_int(flags: NDArray[np.bool_]) -> int:
    return int.from_bytes(np.packbits(flags.reshape(-1)).tobytes(), "big")
