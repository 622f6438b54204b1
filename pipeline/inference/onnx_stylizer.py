"""Pictures redrawn by an ONNX file, without torch: the same interface as `stylize.Stylizer`.

What the file takes and gives is bytes (see `models.generators.portable`), so nothing here scales a pixel.
"""

from __future__ import annotations

import hashlib
import logging
import math
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core.errors import UserError
from pipeline.inference import openvino
from pipeline.inference.openvino import PHOTO, PICTURE, Engine
from pipeline.media import arrays
from pipeline.media.images import Picture

SUFFIX = ".onnx"
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
DEFAULT_MAX_MEGAPIXELS = 25.0  # the whole picture goes through at once

log = logging.getLogger("genga")


class OnnxStylizer:
    """An ONNX file ready to redraw pictures. Threads may share one; their calls wait for one another, as with `Stylizer`."""

    def __init__(
        self, model: Path | str, device: str | None = None, max_megapixels: float = DEFAULT_MAX_MEGAPIXELS, threads: int = 0
    ) -> None:
        """Load a file that `genga export` wrote.

        Args:
            device: cpu, cuda or cuda:1; None is the GPU when this onnxruntime can use one, else the processor.
            max_megapixels: larger pictures are refused.
            threads: cores to work on; 0 is all.

        Raises:
            UserError: onnxruntime is not installed, the file is missing or no such file, or the device is not there.
        """
        self.max_megapixels = max_megapixels
        self._session, self.metadata = _open(Path(model), device, threads)
        self._graph, self._threads = Path(model).read_bytes(), threads
        self._engine: Engine | None = None
        self._turn = threading.Lock()

    @property
    def identity(self) -> str:
        """Digest of the file and its arithmetic: equal for equal results."""
        digest = hashlib.blake2b(self._graph, digest_size=16).hexdigest()
        return digest if self._engine is None else f"{digest}-{self._engine.precision}"

    def accelerate(self, megapixels: float = math.inf) -> None:
        """From now on redraw by OpenVINO in place of onnxruntime, as `OpenVinoStylizer.accelerate`; there is nothing to prepare."""
        if self._engine is not None or self._session.get_providers() != [CPU] or not openvino.available():
            return
        try:
            self._engine = Engine(self._graph, self._threads)
        except UserError as fault:
            log.info("%s; onnxruntime draws it", fault)

    def expect(self, height: int, width: int) -> None:
        """Say that many pictures of this size are to come, so that what `accelerate` set up is made ready for them."""
        if self._engine is not None:
            with self._turn:
                self._engine.expect(height, width)

    def __call__(self, picture: Picture) -> Picture:
        """Redraw one picture: uint8 RGB HxWx3, H and W from 1 up, to the same size.

        Raises:
            UserError: over the limit, or out of memory.
        """
        return self.batch([picture])[0]

    def batch(self, pictures: Sequence[Picture]) -> list[Picture]:
        """Redraw pictures of one size together, in order; the limit holds for each."""
        if not pictures:
            return []
        height, width = arrays.check_batch(pictures, self.max_megapixels)
        try:
            with self._turn:
                if self._engine is not None:
                    return [self._engine(picture) for picture in pictures]
                drawn = self._session.run([PICTURE], {PHOTO: np.stack(pictures)})[0]
        except Exception as error:  # onnxruntime's are of classes of its own, and so many
            if "alloc" not in str(error).lower():
                raise
            raise UserError(f"out of memory at {width}x{height}: shrink the picture") from None
        return [np.ascontiguousarray(one) for one in drawn]


def _open(path: Path, device: str | None, threads: int) -> tuple[Any, dict[str, str]]:
    try:
        import onnxruntime
    except ImportError:
        raise UserError(f"{path} needs onnxruntime, which is not installed: pip install onnxruntime") from None
    if not path.is_file():
        raise UserError(f"{path} does not exist: genga export writes such files; or name a .safetensors file")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what matters is raised
    providers = _providers(device, onnxruntime.get_available_providers())
    try:
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=providers)
    except Exception as error:
        detail = " ".join(str(error).split())[:160]
        raise UserError(
            f"{path} is no ONNX file that this onnxruntime can run ({detail}): export it anew, or upgrade"
        ) from None
    told = [(one.name, one.type, len(one.shape)) for one in (*session.get_inputs(), *session.get_outputs())]
    if told != [(PHOTO, "tensor(uint8)", 4), (PICTURE, "tensor(uint8)", 4)]:
        raise UserError(f"{path} takes and gives something other than pictures in bytes: give a file that genga export wrote")
    return session, dict(session.get_modelmeta().custom_metadata_map)


def _providers(device: str | None, there: Sequence[str]) -> list[Any]:
    if device is None:
        return [CUDA, CPU] if CUDA in there else [CPU]
    kind, _, number = device.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdecimal()):
        raise UserError(f"device {device!r} is none that onnxruntime knows: use cpu, cuda or cuda:1")
    if kind == "cpu":
        return [CPU]
    if CUDA not in there:
        raise UserError(f"device {device} is not here (this onnxruntime has no CUDA): use cpu, or pip install onnxruntime-gpu")
    return [(CUDA, {"device_id": number or "0"}), CPU]
