"""Fingerprints of crops (two hashes and a thumbnail), stored beside them, so that comparing crops opens no picture."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import UserError
from pipeline.core.text import repro_command
from pipeline.frames import perceptual_hashes
from pipeline.media import arrays
from pipeline.media.images import Picture

FILE = "fingerprints.npy"
THUMBNAIL_PX = 16
_RECORD = np.dtype([("hashes", "<u8", 2), ("small", "u1", (THUMBNAIL_PX, THUMBNAIL_PX, 3))])

Fingerprints = NDArray[np.void]
"""Records of n crops: `hashes` (pHash and dHash) and `small` (thumbnail, uint8 RGB 16x16x3)."""


def compute(picture: Picture) -> Fingerprints:
    """Compute the fingerprint of one picture (uint8 RGB HxWx3), an array of one record."""
    gray = arrays.luma(picture)
    record = np.zeros(1, _RECORD)
    record["hashes"] = perceptual_hashes.phash(gray), perceptual_hashes.dhash(gray)
    record["small"] = arrays.resize(picture, THUMBNAIL_PX, THUMBNAIL_PX)
    return record


def concatenate(parts: Iterable[Fingerprints]) -> Fingerprints:
    """Join the fingerprints of several sets of crops, in order; there may be none, and sets may be empty."""
    return np.concatenate([np.zeros(0, _RECORD), *parts])


def hashes(fingerprints: Fingerprints) -> perceptual_hashes.Hashes:
    """Return the hashes of n crops as `hash_index` takes them: uint64, 2 x n (pHash, dHash)."""
    return np.ascontiguousarray(fingerprints["hashes"].T)


def write(folder: Path, parts: Iterable[Fingerprints]) -> None:
    """Join `parts`, given in the order of the folder's rows of kept crops, and write them to its fingerprints.npy."""
    np.save(folder / FILE, concatenate(parts), allow_pickle=False)


def read(folder: Path, count: int) -> Fingerprints:
    """Read a folder's fingerprints.npy: one record for each of its `count` kept crops, in order.

    Raises:
        UserError: the file is missing, damaged, or not of `count` crops.
    """
    path = folder / FILE
    try:
        fingerprints: Fingerprints = np.load(path, allow_pickle=False)
        if fingerprints.dtype != _RECORD or fingerprints.shape != (count,):
            raise ValueError
    except (OSError, ValueError, EOFError):
        raise UserError(f"{path} is missing or damaged: delete {folder} and run {repro_command(path)}") from None
    return fingerprints
