"""Picture of any size to picture of the same size, by a trained generator. Files and folders: `pipeline.inference.photos`.

Not a stage: `predict`, `evaluate`, the command line and the web page all redraw through here.

A picture that memory allows goes through the network at once; a larger one in strips whose norms share the statistics of the
whole picture (`models.streaming.strips`), so that the result is the same, without seams. What the maps of a large picture take beyond the
memory allowed lies in temporary files meanwhile.
"""

from __future__ import annotations

import copy
import hashlib
import tempfile
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import psutil
import torch
from torch import Tensor, nn

from models.generators.animegan import AnimeGan
from models.generators.table import AnyGenerator, Generator
from models.generators.vgg_decoder import ENCODER_STRIDE, VggDecoder
from models.streaming import strips
from pipeline.core.errors import UserError
from pipeline.inference.offload import Room
from pipeline.media import arrays, tensors
from pipeline.media.images import Picture
from pipeline.networks import devices
from pipeline.networks.weights import load_generator

DEFAULT_MAX_MEGAPIXELS = 200.0
MEMORY_SHARE = 0.6
"""Of the memory that is free when a picture comes, what its redrawing may take if nothing else is said."""
STEPS = (128, 96, 64, 48, 32, 16, 8)
"""Rows of a strip; the first that memory allows. More gain nothing: 64 rows are as fast as all."""
MB = 1e6


class Stylizer:
    """A generator ready to redraw pictures: arrays in, arrays out.

    Threads may share one; their calls wait for one another, since one uses all cores as it is and two would need twice the
    memory. The same picture gives the same result on the same machine; another device or number of threads may move single
    values by one level.
    """

    def __init__(
        self,
        model: Path | str | nn.Module,
        device: torch.device | str | None = None,
        max_megapixels: float = DEFAULT_MAX_MEGAPIXELS,
        memory_mb: float | None = None,
    ) -> None:
        """Take a generator's file, or a generator: of that a copy, so that its mode, device and layout stay its owner's.

        Args:
            device: where to work; None is the GPU when there is one, else the processor.
            max_megapixels: larger pictures are refused.
            memory_mb: what redrawing may take besides the program, the photo and the result, in megabytes of 10^6 bytes (of the
                GPU's memory where that works). None is 60 % of what is free when a picture comes.

        Raises:
            UserError: the file is missing or is no generator, or the device is not there.
        """
        self.device = _device(device)
        self.max_megapixels = max_megapixels
        self.memory_mb = memory_mb
        self.metadata: dict[str, str] = {}
        if isinstance(model, nn.Module):
            module = copy.deepcopy(model)
        else:
            module, self.metadata = load_generator(Path(model), self.device)
        self._turn = threading.Lock()
        self.module = devices.to_device(module, self.device).eval().requires_grad_(False)
        """The network, which is nobody else's to change."""
        self._layout = _layout(self.module, self.device)
        self.module.to(memory_format=self._layout)
        devices.accelerate(self.module, self.device)

    def __call__(self, picture: Picture) -> Picture:
        """Redraw one picture: uint8 RGB HxWx3, H and W from 1 up, to the same size.

        Raises:
            UserError: over the limit, out of memory, or the network's numbers are not finite.
        """
        return self.batch([picture])[0]

    def batch(self, pictures: Sequence[Picture]) -> list[Picture]:
        """Redraw pictures of one size together, in order; the limit holds for each."""
        if not pictures:
            return []
        height, width = arrays.check_batch(pictures, self.max_megapixels)
        fits = int(self.free_bytes() // (_bytes_a_pixel(self.module) * height * width))
        if fits < 1 and strips.able(self.module):
            return [self._in_strips(picture) for picture in pictures]
        at_once = max(1, fits)
        try:
            return [one for first in range(0, len(pictures), at_once) for one in self._whole(pictures[first : first + at_once])]
        except torch.OutOfMemoryError:  # of a GPU that others use too
            return [self._in_strips(picture) for picture in pictures]

    def _whole(self, pictures: Sequence[Picture]) -> list[Picture]:
        with self._turn, torch.inference_mode():
            x = devices.shown(torch.from_numpy(np.stack(pictures)), self.device, self._layout)
            return [np.ascontiguousarray(one) for one in _to_pixels(self.module(x))]

    def _in_strips(self, picture: Picture) -> Picture:
        if not strips.able(self.module):
            raise UserError(
                "out of memory: this network cannot work in strips; shrink the picture, or use the processor (device cpu)"
            )
        height, width = picture.shape[:2]
        free = self.free_bytes()
        step = next((rows for rows in STEPS if _bytes_of_strips(self.module, width, rows) <= free / 2), STEPS[-1])
        working = _bytes_of_strips(self.module, width, step)
        if working > free:
            raise UserError(
                f"{free / MB:.0f} MB are too little for a picture {width} pixels wide, which takes {working / MB:.0f} MB: "
                "raise the memory limit, or shrink the picture"
            )
        result = np.empty_like(picture)

        def photo(top: int, bottom: int) -> Tensor:
            return devices.shown(torch.from_numpy(picture[None, top:bottom]), self.device, self._layout)

        def write(top: int, rows: Tensor) -> None:
            result[top : top + rows.shape[2]] = _to_pixels(rows)[0]

        try:
            with self._turn, torch.inference_mode():
                strips.redraw(self.module, photo, height, width, Room(free - working, self.device), step, write)
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
        """What a picture may take now."""
        if self.memory_mb is not None:
            return self.memory_mb * MB
        if self.device.type == "cuda":
            held = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
            return MEMORY_SHARE * (torch.cuda.mem_get_info(self.device)[0] + held)
        return MEMORY_SHARE * float(psutil.virtual_memory().available)

    @cached_property
    def identity(self) -> str:
        """Digest of the network and its weights: equal for equal results."""
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


# Measured in float32, as the peak of the process over what it held before.


def _bytes_a_pixel(module: nn.Module) -> int:
    """Of memory for a picture made at once: genga-s 801, genga-m 1,620, cartoongan 1,970, animegan-v2 2,850 (measured)."""
    if isinstance(module, AnimeGan):
        return 90 * module.size.width
    if not isinstance(module, Generator):  # the decoder 780; of a stranger nothing is known
        return 1000
    size = module.size
    if size.units == "shuffle":
        return 30 * size.width
    return (53 if size.skips or size.padding == "reflect" else 31) * size.width


def _bytes_of_strips(module: AnyGenerator, width: int, step: int) -> int:
    """Of memory that strips take besides what is kept: of genga-s 64 KB a column for 8 rows, 123 for 64."""
    if isinstance(module, AnimeGan):
        column = (140 * step + 960) * module.size.width
    elif isinstance(module, VggDecoder):
        column = 3500 * step + 50_000
    elif module.size.units == "shuffle":
        column = (52 * step + 260) * module.size.width
    else:
        behind = strips.FILL_REACH * module.size.fills  # rows that fills wait for
        column = step * (400 + 45 * module.size.width) + 260 * behind + 1500 * module.size.width
        column += 160 * strips.FILL_STEP if behind else 0
    return (width + ENCODER_STRIDE) * column


def _layout(module: nn.Module, device: torch.device) -> torch.memory_format:
    """The device's own, but on processors not for networks that reflect borders: in it they take up to 1.4 times as long."""
    reflects = isinstance(module, Generator) and module.size.padding == "reflect" and module.size.units == "residual"
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
