"""Room for the maps of a large picture: in memory as far as a limit allows, beyond it in files that nobody sees.

The files have no name and are gone when they are done with, however the process ends. They lie where temporary files do
(TMPDIR); what was read and written of them counts for no memory of the process.
"""

from __future__ import annotations

import os
import tempfile
import threading
import weakref
from collections.abc import Callable
from typing import IO

import numpy as np
import torch
from torch import Tensor

FLOAT_BYTES = 4


class Room:
    """Makes stores for float32 maps (`models.streaming`), of which `limit_bytes` at a time lie in the device's memory."""

    def __init__(self, limit_bytes: float, device: torch.device | str = "cpu") -> None:
        self._left, self._device, self._turn = limit_bytes, torch.device(device), threading.Lock()
        self.spilled_bytes = 0
        """What went into files, of all stores ever made."""

    def __call__(self, maps: int, height: int, width: int) -> InMemory | InFile:
        """A store for `maps` x `height` x `width` values."""
        size = maps * height * width * FLOAT_BYTES
        with self._turn:
            fits = size <= self._left
            self._left -= size if fits else 0
            self.spilled_bytes += 0 if fits else size
        if fits:
            store = InMemory(maps, height, width, self._device)
            weakref.finalize(store, self._give_back, size)
            return store
        return InFile(maps, width, self._device)

    def _give_back(self, size: int) -> None:
        with self._turn:
            self._left += size


class InMemory:
    """A store in memory, rows one after another."""

    def __init__(self, maps: int, height: int, width: int, device: torch.device) -> None:
        self._all = torch.empty(1, height, width, maps, device=device).permute(0, 3, 1, 2)

    def write(self, top: int, rows: Tensor) -> None:
        """Keep rows from `top` on."""
        self._all[:, :, top : top + rows.shape[2]] = rows

    def read(self, top: int, bottom: int) -> Tensor:
        """Those rows, where they lie."""
        return self._all[:, :, top:bottom]


class InFile:
    """A store in a file without a name, rows one after another."""

    def __init__(self, maps: int, width: int, device: torch.device) -> None:
        self._maps, self._width, self._device = maps, width, device
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        weakref.finalize(self, self._file.close)

    def write(self, top: int, rows: Tensor) -> None:
        """Keep rows from `top` on."""
        values = rows.permute(0, 2, 3, 1).float().contiguous().cpu().numpy()
        _whole(os.pwrite, self._file.fileno(), values.reshape(-1).view(np.uint8).data, self._place(top))

    def read(self, top: int, bottom: int) -> Tensor:
        """A copy of those rows."""
        values = np.empty((1, bottom - top, self._width, self._maps), np.float32)
        _whole(_pread, self._file.fileno(), values.reshape(-1).view(np.uint8).data, self._place(top))
        return torch.from_numpy(values).to(self._device).permute(0, 3, 1, 2)

    def _place(self, row: int) -> int:
        return row * self._width * self._maps * FLOAT_BYTES


def _pread(file: int, into: memoryview, place: int) -> int:
    return os.preadv(file, [into], place)


def _whole(move: Callable[[int, memoryview, int], int], file: int, data: memoryview, place: int) -> None:
    """Read or write all of it: a call moves 2 GB at most."""
    while data:
        moved = move(file, data, place)
        if not moved:
            raise OSError(0, "a temporary file ended early")
        data, place = data[moved:], place + moved
