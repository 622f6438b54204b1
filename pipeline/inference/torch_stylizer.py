"""Redraws pictures of any size with PyTorch.

A picture that fits in memory goes through the network whole. A larger one is streamed through it in rows, with the same
result (`models.streaming`). Feature maps that memory does not hold meanwhile lie in temporary files.
"""

from __future__ import annotations

import copy
import hashlib
import tempfile
import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import psutil
import torch
from torch import Tensor, fx, nn

from models.streaming.graph import UnsupportedOperation, bytes_per_pixel, trace
from models.streaming.stream import RowStream
from pipeline.core.errors import UserError
from pipeline.inference.offload import Offloader
from pipeline.inference.openvino_engine import LARGE_PIXELS
from pipeline.inference.stylizer import Stylizer
from pipeline.media import arrays, tensors
from pipeline.media.images import Picture
from pipeline.networks import devices
from pipeline.networks.weights import load_generator

DEFAULT_MAX_MEGAPIXELS = 200.0
MEMORY_SHARE = 0.6
"""Share of the free memory that redrawing may take by default."""
STREAMED_ROWS = (128, 96, 64, 48, 32, 16, 8)
"""Rows to stream at a time; the first that memory allows is taken."""
MB = 1e6
UNKNOWN_BYTES_PER_PIXEL = 1000.0
"""Peak memory assumed of a network that cannot be traced."""
OPENVINO_BYTES_PER_PIXEL = 650.0
"""Peak memory of a graph compiled for the picture's size: genga-xs 343, genga-s 456, genga-m 638, cartoongan 359, animegan-v2
582, mnicnc404-light 641 (measured)."""


class TorchStylizer(Stylizer):
    """A generator in PyTorch.

    The same picture gives the same result on the same machine; another device or number of threads may change single values by
    one level.
    """

    def __init__(
        self,
        module: nn.Module,
        device: torch.device | str | None = None,
        max_megapixels: float = DEFAULT_MAX_MEGAPIXELS,
        memory_mb: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Copy a generator, which itself keeps its mode, device and memory format.

        Args:
            device: where to work; None for the GPU if there is one, else the processor.
            max_megapixels: larger pictures are refused.
            memory_mb: megabytes (10^6 bytes) that redrawing may take besides the program, the photo and the result; on a GPU,
                of its memory. None for 60 % of what is free when a picture comes.

        Raises:
            UserError: the device is not there.
        """
        self.device = _device(device)
        self.max_megapixels = max_megapixels
        self.memory_mb = memory_mb
        self.metadata = metadata or {}
        self._lock = threading.Lock()
        self.module = devices.to_device(copy.deepcopy(module), self.device).eval().requires_grad_(False)
        """The network; not to be changed."""
        self._memory_format = _memory_format(self.module, self.device)
        self.module.to(memory_format=self._memory_format)
        devices.accelerate(self.module, self.device)
        self._traced, self._bytes_per_pixel = _trace(self.module)

    @classmethod
    def from_file(
        cls,
        path: Path,
        device: torch.device | str | None = None,
        max_megapixels: float = DEFAULT_MAX_MEGAPIXELS,
        memory_mb: float | None = None,
    ) -> TorchStylizer:
        """Load a generator's safetensors file.

        Raises:
            UserError: the file is missing or is no generator, or the device is not there.
        """
        module, metadata = load_generator(path)
        return cls(module, device, max_megapixels, memory_mb, metadata)

    def stylize_batch(self, pictures: Sequence[Picture]) -> list[Picture]:
        """See `Stylizer.stylize_batch`.

        Raises:
            UserError: also if the network's output is not finite.
        """
        if not pictures:
            return []
        height, width = arrays.check_batch(pictures, self.max_megapixels)
        fitting = int(self.free_bytes() // (self._bytes_per_pixel * height * width))
        if fitting < 1 and self._traced is not None:
            return [self._streamed(picture) for picture in pictures]
        step = max(1, fitting)
        try:
            return [one for first in range(0, len(pictures), step) for one in self._whole(pictures[first : first + step])]
        except torch.OutOfMemoryError:  # of a GPU that other programs use too
            return [self._streamed(picture) for picture in pictures]

    def _whole(self, pictures: Sequence[Picture]) -> list[Picture]:
        with self._lock, torch.inference_mode():
            x = devices.to_model_input(torch.from_numpy(np.stack(pictures)), self.device, self._memory_format)
            return [np.ascontiguousarray(one) for one in _to_pixels(self.module(x))]

    def _streamed(self, picture: Picture) -> Picture:
        if self._traced is None:
            raise UserError(
                "out of memory: this network cannot be streamed; shrink the picture, or use the processor (device cpu)"
            )
        height, width = picture.shape[:2]
        free = self.free_bytes()
        for rows in STREAMED_ROWS:
            stream = RowStream(self._traced, height, width, rows)
            if stream.working_bytes <= free / 2:
                break
        working = stream.working_bytes
        if working > free:
            raise UserError(
                f"{free / MB:.0f} MB are too little for a picture {width} pixels wide, which takes {working / MB:.0f} MB: "
                "raise the memory limit, or shrink the picture"
            )
        result = np.empty_like(picture)

        def photo(top: int, bottom: int) -> Tensor:
            return devices.to_model_input(torch.from_numpy(picture[None, top:bottom]), self.device, self._memory_format)

        def write(top: int, rows: Tensor) -> None:
            result[top : top + rows.shape[2]] = _to_pixels(rows)[0]

        try:
            with self._lock, torch.inference_mode():
                stream.run(photo, Offloader(free - working, self.device), write)
        except torch.OutOfMemoryError:
            raise UserError(
                f"out of GPU memory at {width}x{height}: end what else uses it, set a lower memory limit, or use device cpu"
            ) from None
        except OSError as error:
            raise UserError(
                f"{tempfile.gettempdir()} has no room for what memory does not hold of {width}x{height} ({error.strerror}): "
                "make room, name another folder (TMPDIR), or raise the memory limit"
            ) from None
        return result

    def free_bytes(self) -> float:
        """Bytes that redrawing a picture may take now."""
        if self.memory_mb is not None:
            return self.memory_mb * MB
        if self.device.type == "cuda":
            held = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
            return MEMORY_SHARE * (torch.cuda.mem_get_info(self.device)[0] + held)
        return MEMORY_SHARE * float(psutil.virtual_memory().available)

    def fits_openvino(self, pixels: int) -> bool:
        """Whether OpenVINO could redraw a picture of so many pixels in the memory that is free now."""
        any_size = 1.5  # a graph compiled for any size takes so much more than one for the picture's own
        return self.free_bytes() >= pixels * OPENVINO_BYTES_PER_PIXEL * (1 if pixels >= LARGE_PIXELS else any_size)

    @cached_property
    def identity(self) -> str:
        """See `Stylizer.identity`."""
        found = hashlib.blake2b(repr(getattr(self.module, "size", self.module)).encode(), digest_size=16)
        for name, values in sorted(self.module.state_dict().items()):
            found.update(name.encode() + values.cpu().contiguous().numpy().tobytes())
        return found.hexdigest()


def _to_pixels(drawn: Tensor) -> Picture:
    """uint8 NHWC.

    Raises:
        UserError: numbers that are none.
    """
    if not torch.isfinite(drawn).all():
        raise UserError("the generator's output is not finite: its weights are damaged or its training failed; train it again")
    return tensors.to_pixels(drawn).cpu().numpy()


def _trace(module: nn.Module) -> tuple[fx.GraphModule | None, float]:
    """Trace a network for streaming, or None if it cannot be; and estimate its peak memory per pixel of a whole picture."""
    try:
        traced = trace(module)
        return traced, bytes_per_pixel(traced)
    except UnsupportedOperation:
        return None, UNKNOWN_BYTES_PER_PIXEL


def _memory_format(module: nn.Module, device: torch.device) -> torch.memory_format:
    """The device's own, but on processors not for networks that reflect borders: in it they take up to 1.4 times as long."""
    convs = [conv for conv in module.modules() if isinstance(conv, nn.Conv2d) and conv.kernel_size != (1, 1)]
    reflects = all(conv.padding_mode == "reflect" for conv in convs)
    return torch.contiguous_format if reflects and device.type == "cpu" else devices.layout(device)


def _device(wish: torch.device | str | None) -> torch.device:
    if wish is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wish)
    except RuntimeError:
        raise UserError(f"device {wish!r} is none that torch knows: use cpu, cuda or cuda:1") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"device {wish} is not here (torch sees no GPU): use cpu")
    return device
