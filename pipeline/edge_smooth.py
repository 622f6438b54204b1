"""Stage: the edge-smoothed twin of every crop of a film, which the discriminator learns to refuse (CartoonGAN, section 3.1).

    python -m pipeline.edge_smooth NAME        NAME as under films: in params.yaml

Two variants: `blend` is the loop that the published codes share (Gaussian at every pixel of the dilated edges, truncated to
whole levels), done over whole arrays with the same bytes; `overlay` is the first of Longo and Sigillo's two, which lays blurred
white edges over the picture.
"""

from __future__ import annotations

import functools
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.core import manifest, stage
from pipeline.core.errors import UserError
from pipeline.dataset import pairs
from pipeline.media import arrays
from pipeline.media.images import Picture
from pipeline.params.data import EdgeSmoothParams
from pipeline.params.schema import Params, load

# Kernel weights are whole 256ths (exact for OpenCV's own kernels of 3, 5 and 7), so that a separable float32 filter over uint8
# stays under 2**24 and is exact, whatever the order of additions.
_UNITS = 256
_LARGEST_PX = 63


def scaled(params: EdgeSmoothParams, side_px: int) -> EdgeSmoothParams:
    """The sizes meant for crops of `reference_px`, for crops of `side_px`: the nearest odd ones.

    Raises:
        UserError: they grow too large for a kernel in whole 256ths.
    """
    if side_px == params.reference_px:
        return params
    sizes = {}
    for key, least in (("dilate_px", 1), ("blur_px", 3)):
        size = getattr(params, key)
        sizes[key] = max(least, 2 * (size * side_px // (2 * params.reference_px)) + 1)
        if sizes[key] > _LARGEST_PX:
            raise UserError(
                f"smooth.{key}: {size} at {params.reference_px} px is {sizes[key]} at crop.size_px {side_px}, "
                f"over {_LARGEST_PX}: lower it, or raise smooth.reference_px"
            )
    return params.model_copy(update=sizes)


def gaussian_kernel(size_px: int) -> NDArray[np.float32]:
    """OpenCV's Gaussian of that size (sigma from size) in whole 256ths that sum to 256. float32, `size_px` long."""
    weights = cv2.getGaussianKernel(size_px, 0).ravel() * _UNITS
    whole = np.rint(weights)
    whole[size_px // 2] += _UNITS - whole.sum()
    return whole.astype(np.float32)


def edge_mask(picture: Picture, params: EdgeSmoothParams) -> NDArray[np.uint8]:
    """Dilated Canny edges, 0 or 255, uint8 HxW."""
    edges = cv2.Canny(arrays.luma(picture), params.canny_low, params.canny_high)
    return np.asarray(cv2.dilate(edges, np.ones((params.dilate_px, params.dilate_px), np.uint8)), np.uint8)


def smooth(picture: Picture, params: EdgeSmoothParams) -> Picture:
    """The edge-smoothed twin of a picture. uint8 RGB HxWx3 in and out."""
    mask = edge_mask(picture, params)
    kernel = gaussian_kernel(params.blur_px)
    if params.variant == "blend":
        return np.asarray(cv2.copyTo(_blur(picture, kernel), mask, picture.copy()), np.uint8)
    # White at the opacity of the blurred edges, rounded to the nearest level in whole numbers.
    white = _blur(mask, kernel)[..., None].astype(np.int32)
    return (picture + ((255 - picture.astype(np.int32)) * white + 127) // 255).astype(np.uint8)


def _blur(picture: NDArray[np.uint8], kernel: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Separable blur with mirrored borders (reflect-101), truncated to whole levels as the published loops do."""
    # A 256th is a power of two: dividing the weights rather than the sums is as exact, and a pass over the picture less.
    weights = kernel / _UNITS
    return cv2.sepFilter2D(picture, cv2.CV_32F, weights, weights, borderType=cv2.BORDER_REFLECT_101).astype(np.uint8)


def _draw(crop: Picture, params: EdgeSmoothParams) -> Picture:
    return smooth(crop, scaled(params, len(crop)))


def run(params: Params, out: Path, source: str, data: Path = stage.DATA) -> dict[str, float]:
    """Write the twin of every crop of a film under the crop's own name, manifest.jsonl, and a sheet of pairs."""
    crops = manifest.kept(manifest.read(data / "crop" / stage.ABOUT / "anime" / source))
    draw = functools.partial(_draw, params=params.edge_smooth)
    return {"twins": pairs.make(f"edge_smooth/{source}", crops, draw, out, data, params.workers)}


if __name__ == "__main__":
    stage.main_of_source("edge_smooth", run, load, "a name under films: in params.yaml")
