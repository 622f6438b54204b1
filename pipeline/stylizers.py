"""The one way from a model's file, of whatever kind, to something that redraws pictures by it."""

from __future__ import annotations

from pathlib import Path

from pipeline.onnx_stylizer import SUFFIX, OnnxStylizer
from pipeline.stylize import DEFAULT_MAX_MEGAPIXELS, Stylizer

AnyStylizer = Stylizer | OnnxStylizer


def open_model(model: Path, device: str | None = None, max_megapixels: float = DEFAULT_MAX_MEGAPIXELS) -> AnyStylizer:
    """A generator's safetensors file, or an ONNX file (then torch is never imported).

    Raises:
        Fault: the file is missing or is no model, or the device is not there.
    """
    if model.suffix.lower() == SUFFIX:
        return OnnxStylizer(model, device, max_megapixels)
    return Stylizer(model, device, max_megapixels)
