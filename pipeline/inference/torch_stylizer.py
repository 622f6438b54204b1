"""Redraws pictures with PyTorch, each whole."""

from __future__ import annotations

import copy
import hashlib
import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import psutil
import torch
from torch import Tensor, nn

from pipeline.core.errors import UserError
from pipeline.inference.stylizer import DEFAULT_MAX_MEGAPIXELS, Stylizer, batch_size, check_memory
from pipeline.media import arrays, tensors
from pipeline.media.images import Picture
from pipeline.networks import devices
from pipeline.networks.weights import load_generator

BYTES_PER_PIXEL = 2700.0
"""Peak memory of the most demanding generators (cartoongan-bilinear, animegan-v2); genga-s takes 800."""


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
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Copy a generator, which itself keeps its mode, device and memory format.

        Args:
            device: where to work; None for GENGA_DEVICE if it is set, else the GPU if there is one, else the processor.
            max_megapixels: larger pictures are refused.
            metadata: what the generator's file states about itself.

        Raises:
            UserError: the device is not there.
        """
        self.device = devices.pick_device(device)
        self.max_megapixels = max_megapixels
        self.metadata = metadata or {}
        self._lock = threading.Lock()
        self.module = devices.to_device(copy.deepcopy(module), self.device).eval().requires_grad_(False)
        """The network; not to be changed."""
        self._memory_format = _memory_format(self.module, self.device)
        self.module.to(memory_format=self._memory_format)
        devices.accelerate(self.module, self.device)

    @classmethod
    def from_file(
        cls,
        path: Path,
        device: torch.device | str | None = None,
        max_megapixels: float = DEFAULT_MAX_MEGAPIXELS,
    ) -> TorchStylizer:
        """Load a generator's safetensors file; `device` and `max_megapixels` are as for the class.

        Raises:
            UserError: the file is missing or is no generator, or the device is not there.
        """
        module, metadata = load_generator(path)
        return cls(module, device, max_megapixels, metadata)

    def stylize_batch(self, pictures: Sequence[Picture]) -> list[Picture]:
        """See `Stylizer.stylize_batch`.

        Raises:
            UserError: also if the network's output is not finite.
        """
        if not pictures:
            return []
        height, width = arrays.check_batch(pictures, self.max_megapixels)
        check_memory(height, width, BYTES_PER_PIXEL, self._free_bytes())
        step = batch_size(height, width)
        try:
            return [one for first in range(0, len(pictures), step) for one in self._stylize(pictures[first : first + step])]
        except torch.OutOfMemoryError:  # of a GPU that other programs use too
            raise UserError(
                f"out of GPU memory at {width}x{height}: end what else uses it, draw at a smaller working size (--working-px), "
                "or use device cpu"
            ) from None

    def _stylize(self, pictures: Sequence[Picture]) -> list[Picture]:
        with self._lock, torch.inference_mode():
            x = devices.to_model_input(torch.from_numpy(np.stack(pictures)), self.device, self._memory_format)
            return [np.ascontiguousarray(one) for one in _to_pixels(self.module(x))]

    def _free_bytes(self) -> float:
        if self.device.type != "cuda":
            return float(psutil.virtual_memory().available)
        held = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
        return torch.cuda.mem_get_info(self.device)[0] + held

    @cached_property
    def identity(self) -> str:
        """See `Stylizer.identity`."""
        found = hashlib.blake2b(repr(getattr(self.module, "size", self.module)).encode(), digest_size=16)
        for name, values in sorted(self.module.state_dict().items()):
            found.update(name.encode() + values.cpu().contiguous().numpy().tobytes())
        return found.hexdigest()


def _to_pixels(drawn: Tensor) -> Picture:
    """Convert the network's output to uint8 RGB N x H x W x 3.

    Raises:
        UserError: the output is not finite.
    """
    if not torch.isfinite(drawn).all():
        raise UserError("the generator's output is not finite: its weights are damaged or its training failed; train it again")
    return tensors.to_pixels(drawn).cpu().numpy()


def _memory_format(module: nn.Module, device: torch.device) -> torch.memory_format:
    """The device's own, but on processors not for networks that reflect borders: in it they take up to 1.4 times as long."""
    convs = [conv for conv in module.modules() if isinstance(conv, nn.Conv2d) and conv.kernel_size != (1, 1)]
    reflects = all(conv.padding_mode == "reflect" for conv in convs)
    return torch.contiguous_format if reflects and device.type == "cpu" else devices.layout(device)
