"""ComfyUI node: redraws images with a generator that Genga exported (generator.onnx), without Genga itself.

Copy this folder into ComfyUI/custom_nodes, and generators into ComfyUI/models/genga.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import folder_paths
import numpy as np
import torch
from PIL import Image

# Read when onnxruntime is imported: it would report the model's name and hash to its maker.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime

MODELS = Path(folder_paths.models_dir) / "genga"
DEFAULT_WORKING_PX = 640


@lru_cache(maxsize=2)
def load(path: str, modified_ns: int) -> onnxruntime.InferenceSession:
    """Load a generator, on the GPU if this onnxruntime can use it; again when the file has changed."""
    return onnxruntime.InferenceSession(path, providers=onnxruntime.get_available_providers())


class GengaRedraw:
    """Redraw images in the look that the generator learned."""

    CATEGORY = "image/stylize"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "redraw"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Describe the inputs as ComfyUI asks for them."""
        names = sorted(path.name for path in MODELS.glob("*.onnx"))
        working = {"default": 0, "min": 0, "max": 8192, "tooltip": "long side that the network sees; 0: as its file states"}
        return {
            "required": {
                "image": ("IMAGE",),
                "model": (names,),
                "working_px": ("INT", working),
                "strength": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.05}),
            }
        }

    def redraw(self, image: torch.Tensor, model: str, working_px: int, strength: float) -> tuple[torch.Tensor]:
        """Redraw a batch of images, float RGB in 0..1, B x H x W x 3, at the working size, and enlarge the drawings."""
        path = MODELS / model
        session = load(str(path), path.stat().st_mtime_ns)
        stated = int(session.get_modelmeta().custom_metadata_map.get("working_px", DEFAULT_WORKING_PX))
        drawings = [draw(session, one, working_px or stated) for one in (image.cpu().numpy() * 255).round().astype(np.uint8)]
        return (torch.lerp(image.cpu(), torch.from_numpy(np.stack(drawings)).float() / 255, strength),)


def draw(session: onnxruntime.InferenceSession, pixels: np.ndarray[Any, Any], working_px: int) -> np.ndarray[Any, Any]:
    """Redraw uint8 RGB, H x W x 3; images larger than the working size are shrunk to it and the drawing is enlarged."""
    photo = Image.fromarray(pixels)
    small = photo.copy()
    small.thumbnail((working_px, working_px), Image.Resampling.LANCZOS)
    (drawn,) = session.run(None, {"photo": np.asarray(small)[None]})
    return np.asarray(Image.fromarray(drawn[0]).resize(photo.size, Image.Resampling.LANCZOS))


NODE_CLASS_MAPPINGS = {"GengaRedraw": GengaRedraw}
NODE_DISPLAY_NAME_MAPPINGS = {"GengaRedraw": "Redraw (Genga)"}
