"""The one way from a model's file, of whatever kind, to something that redraws pictures by it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.errors import UserError
from pipeline.inference import onnx_stylizer
from pipeline.inference.onnx_stylizer import SUFFIX, OnnxStylizer

if TYPE_CHECKING:
    from pipeline.inference.openvino_stylizer import OpenVinoStylizer


def open_model(
    model: Path, device: str | None = None, max_megapixels: float | None = None, memory_mb: float | None = None
) -> OpenVinoStylizer | OnnxStylizer:
    """A generator's safetensors file, or an ONNX file (then torch is never imported).

    Args:
        max_megapixels: larger pictures are refused; None is what the kind of model can do.
        memory_mb: what redrawing may take besides the picture; None is a share of what is free.

    Raises:
        UserError: the file is missing or is no model, the device is not there, or the model cannot keep to a limit of memory.
    """
    if model.suffix.lower() == SUFFIX:
        if memory_mb is not None:
            raise UserError(
                f"{model} takes each picture at once: shrink the pictures, or use the .safetensors file with --memory"
            )
        return OnnxStylizer(model, device, onnx_stylizer.DEFAULT_MAX_MEGAPIXELS if max_megapixels is None else max_megapixels)
    from pipeline.inference import openvino_stylizer, stylizer

    limit = stylizer.DEFAULT_MAX_MEGAPIXELS if max_megapixels is None else max_megapixels
    return openvino_stylizer.OpenVinoStylizer(stylizer.Stylizer(model, device, limit, memory_mb))
