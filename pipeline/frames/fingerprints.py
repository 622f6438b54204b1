"""How crops look, kept beside them: two hashes and a small picture each, so that whoever compares them opens no picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import UserError
from pipeline.frames import hash_index
from pipeline.media import arrays
from pipeline.media.images import Picture

FILE = "looks.npy"
SMALL_PX = 16
_LOOK = np.dtype([("hashes", "<u8", 2), ("small", "u1", (SMALL_PX, SMALL_PX, 3))])


@dataclass(frozen=True)
class Fingerprints:
    """The looks of n crops."""

    hashes: hash_index.Hashes  # 2 x n
    small: NDArray[np.uint8]  # n x 16 x 16 x 3

    def __len__(self) -> int:
        return len(self.small)

    def only(self, places: Sequence[int]) -> Fingerprints:
        """Some of them, in that order."""
        index = np.array(places, np.int64)
        return Fingerprints(self.hashes[:, index], self.small[index])


def look(picture: Picture) -> bytes:
    """How a picture (uint8 RGB HxWx3) looks, as a line of the file."""
    grey = arrays.luma(picture)
    one = np.zeros(1, _LOOK)
    one["hashes"] = hash_index.phash(grey), hash_index.dhash(grey)
    one["small"] = arrays.resize(picture, SMALL_PX, SMALL_PX)
    return one.tobytes()


def of(pictures: Sequence[bytes]) -> Fingerprints:
    """Fingerprints of pictures, from what `look` gave for each."""
    table = np.frombuffer(b"".join(pictures), _LOOK)
    return Fingerprints(table["hashes"].T.astype(np.uint64), table["small"])


def joined(parts: Iterable[Fingerprints]) -> Fingerprints:
    """The looks of several sets, one after the other."""
    every = [of([]), *parts]
    return Fingerprints(np.concatenate([one.hashes for one in every], axis=1), np.concatenate([one.small for one in every]))


def write(folder: Path, pictures: Sequence[bytes]) -> None:
    """Write looks.npy, in the order of the rows that were kept."""
    np.save(folder / FILE, np.frombuffer(b"".join(pictures), _LOOK), allow_pickle=False)


def read(folder: Path, count: int) -> Fingerprints:
    """The looks of a folder's crops.

    Raises:
        UserError: they are missing, damaged, or not those of `count` crops.
    """
    path = folder / FILE
    try:
        table = np.load(path, allow_pickle=False)
        if table.dtype != _LOOK or table.shape != (count,):
            raise ValueError
    except (OSError, ValueError, EOFError):
        raise UserError(f"{path} is missing or damaged: delete {folder} and run dvc repro") from None
    return Fingerprints(table["hashes"].T.astype(np.uint64), table["small"])
