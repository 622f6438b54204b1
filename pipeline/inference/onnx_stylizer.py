"""Redraws pictures with ONNX Runtime, without PyTorch.

The files take and give uint8 pixels (see `models.generators.portable`), so nothing is scaled here.
"""

import hashlib
import os
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from pipeline.core.errors import UserError
from pipeline.inference.openvino_engine import PHOTO, PICTURE
from pipeline.inference.stylizer import DEFAULT_MAX_MEGAPIXELS, Stylizer, check_memory
from pipeline.media import arrays
from pipeline.media.images import Picture

SUFFIX = ".onnx"
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
BYTES_PER_PIXEL = 2700.0
"""Peak memory, as of the same networks in PyTorch."""
_REPEATING = re.compile(
    rb"(?:\x22|\xa2\x80{0,8}\x00)(?:[\x04-\x13]|[\x84-\x93]\x80{0,8}\x00)(Loop|Scan|SequenceMap|\w*BeamSearch|GreedySearch|Sampling)"
)
"""Operators that may repeat without end, as a node's operator is encoded: key, length and name."""


class OnnxStylizer(Stylizer):
    """An ONNX file in ONNX Runtime."""

    def __init__(self, path: Path, device: str | None = None, max_megapixels: float = DEFAULT_MAX_MEGAPIXELS) -> None:
        """Load a file that `genga export` wrote.

        Args:
            device: cpu, cuda or cuda:1; None for the GPU if this onnxruntime can use one, else the processor.
            max_megapixels: larger pictures are refused.

        Raises:
            UserError: onnxruntime is not installed, the file is missing or is another kind of file, or the device is not there.
        """
        self.max_megapixels = max_megapixels
        self.graph, self._session, self.metadata = _load(path, device)
        """`graph` is the file's bytes."""
        self._lock = threading.Lock()

    @property
    def identity(self) -> str:
        """See `Stylizer.identity`."""
        return hashlib.blake2b(self.graph, digest_size=16).hexdigest()

    @property
    def on_cpu(self) -> bool:
        """Whether the session runs on the processor alone."""
        return bool(self._session.get_providers() == [CPU])

    def stylize_batch(self, pictures: Sequence[Picture]) -> list[Picture]:
        """See `Stylizer.stylize_batch`; UserError also if the file fails on the pictures."""
        if not pictures:
            return []
        height, width = arrays.check_batch(pictures, self.max_megapixels)
        check_memory(height, width, BYTES_PER_PIXEL, psutil.virtual_memory().available)
        try:
            with self._lock:
                drawings = self._session.run([PICTURE], {PHOTO: np.stack(pictures)})[0]
        except Exception as error:  # onnxruntime raises classes of its own
            if "alloc" in str(error).lower():
                raise UserError(f"out of memory at {width}x{height}: draw at a smaller working size (--working-px)") from None
            detail = " ".join(str(error).split())[:160]
            raise UserError(f"the ONNX file fails at {width}x{height} ({detail}): genga export writes right ones") from None
        if drawings.shape != (len(pictures), height, width, 3):
            raise UserError(f"the ONNX file gives pictures of another size ({drawings.shape}): genga export writes right ones")
        return [np.ascontiguousarray(drawing) for drawing in drawings]


def _load(path: Path, device: str | None) -> tuple[bytes, Any, dict[str, str]]:
    try:
        import onnxruntime
    except ImportError:
        raise UserError(f"{path} needs onnxruntime, which is not installed: pip install onnxruntime") from None
    if not path.is_file():
        raise UserError(f"{path} does not exist: genga export writes such files; or name a .safetensors file")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # fatal: whatever matters is raised
    # Weights beside the file are none of ours, and would be looked for in the working folder.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    providers = _providers(device, onnxruntime.get_available_providers())
    graph = path.read_bytes()
    if repeating := _REPEATING.search(graph):
        raise UserError(f"{path} may never end (operator {repeating[1].decode()}): give a file that genga export wrote")
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=providers, enable_fallback=len(providers) > 1)
        metadata = dict(session.get_modelmeta().custom_metadata_map)
    except Exception as error:  # onnxruntime raises classes of its own
        detail = " ".join(str(error).split())[:160]
        raise UserError(
            f"{path} is no ONNX file that this onnxruntime can run ({detail}): export it again, or upgrade onnxruntime"
        ) from None
    interface = [(tensor.name, tensor.type, len(tensor.shape)) for tensor in (*session.get_inputs(), *session.get_outputs())]
    if interface != [(PHOTO, "tensor(uint8)", 4), (PICTURE, "tensor(uint8)", 4)]:
        raise UserError(f"{path} takes or gives something other than uint8 pictures: give a file that genga export wrote")
    return graph, session, metadata


def _providers(device: str | None, available: Sequence[str]) -> list[Any]:
    if device is None:
        return [CUDA, CPU] if CUDA in available else [CPU]
    kind, _, index = device.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdecimal()):
        raise UserError(f"onnxruntime knows no device {device!r}: use cpu, cuda or cuda:1")
    if kind == "cpu":
        return [CPU]
    if CUDA not in available:
        raise UserError(f"device {device} is not available (this onnxruntime has no CUDA): use cpu, or install onnxruntime-gpu")
    return [(CUDA, {"device_id": index or "0"}), CPU]
