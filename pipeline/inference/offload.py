"""Stores for the feature maps of a large picture: in memory up to a limit, beyond it in temporary files.

The files are unnamed, so they disappear with the process however it ends. They lie in the folder of temporary files (TMPDIR).
Their contents do not count as memory of the process, as they would if they were mapped.
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
from numpy.typing import NDArray
from torch import Tensor

FLOAT_BYTES = 4


class Offloader:
    """Makes stores for float32 feature maps (`models.streaming`), in the device's memory as long as there is room."""

    def __init__(self, limit_bytes: float, device: torch.device | str = "cpu") -> None:
        """Limit the memory that the stores may take together at any time."""
        self._free_bytes, self._device, self._lock = limit_bytes, torch.device(device), threading.Lock()
        self.file_bytes = 0
        """Size of all stores in files so far."""

    def __call__(self, channels: int, height: int, width: int) -> MemoryStore | FileStore:
        """Make a store for `channels` x `height` x `width` values."""
        size = channels * height * width * FLOAT_BYTES
        with self._lock:
            fits = size <= self._free_bytes
            self._free_bytes -= size if fits else 0
            self.file_bytes += 0 if fits else size
        if not fits:
            return FileStore(channels, width, self._device)
        store = MemoryStore(channels, height, width, self._device)
        weakref.finalize(store, self._release, size)
        return store

    def _release(self, size: int) -> None:
        with self._lock:
            self._free_bytes += size


class MemoryStore:
    """Feature maps in memory, row after row."""

    def __init__(self, channels: int, height: int, width: int, device: torch.device) -> None:
        self._maps = torch.empty(1, height, width, channels, device=device).permute(0, 3, 1, 2)

    def write(self, top: int, rows: Tensor) -> None:
        """Store 1 x C x rows x W, from row `top` on."""
        self._maps[:, :, top : top + rows.shape[2]] = rows

    def read(self, top: int, bottom: int) -> Tensor:
        """Return a view of the rows from `top` up to but not `bottom`."""
        return self._maps[:, :, top:bottom]


class FileStore:
    """Feature maps in an unnamed file, row after row."""

    def __init__(self, channels: int, width: int, device: torch.device) -> None:
        self._channels, self._width, self._device = channels, width, device
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        weakref.finalize(self, self._file.close)

    def write(self, top: int, rows: Tensor) -> None:
        """Store 1 x C x rows x W, from row `top` on."""
        values = rows.permute(0, 2, 3, 1).float().contiguous().cpu().numpy()
        self._transfer(os.pwrite, values, top)

    def read(self, top: int, bottom: int) -> Tensor:
        """Return a copy of the rows from `top` up to but not `bottom`."""
        values = np.empty((1, bottom - top, self._width, self._channels), np.float32)
        self._transfer(lambda file, data, offset: os.preadv(file, [data], offset), values, top)
        return torch.from_numpy(values).to(self._device).permute(0, 3, 1, 2)

    def _transfer(self, call: Callable[[int, memoryview, int], int], values: NDArray[np.float32], top: int) -> None:
        """Read or write all values, from row `top` on; one call transfers 2 GB at most."""
        data, offset = values.reshape(-1).view(np.uint8).data, top * self._width * self._channels * FLOAT_BYTES
        while data:
            count = call(self._file.fileno(), data, offset)
            if not count:
                raise OSError(0, "a temporary file ended early")
            data, offset = data[count:], offset + count
