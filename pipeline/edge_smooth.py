"""Stage: blur each crop of a film along its edges, as a negative example for the discriminator (CartoonGAN, section 3.1).

    python -m pipeline.edge_smooth NAME        a name under films: in params.yaml

Two variants: `blend` gives the bytes of the loop in published CartoonGAN code (at each pixel of the dilated edges a Gaussian,
truncated to whole levels) by whole-array operations; `overlay`, the first of the two by Longo and Sigillo, lays blurred white
edges over the picture.
"""

import functools
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.core import manifest, stage
from pipeline.core.errors import UserError
from pipeline.core.manifest import Row
from pipeline.dataset.crop_files import EDGE_SMOOTH
from pipeline.media import arrays, images, sheets
from pipeline.media.images import Picture
from pipeline.params.data import EdgeSmoothParams
from pipeline.params.schema import Params, load

# Kernel weights are whole 256ths (exact for OpenCV's own kernels of 3, 5 and 7), so that a separable float32 filter over uint8
# stays under 2**24 and is exact, whatever the order of additions.
_UNITS = 256
_MAX_KERNEL_PX = 63
_SHEET_PAIRS = 60


def scale_params(params: EdgeSmoothParams, side_px: int) -> EdgeSmoothParams:
    """Scale dilate_px and blur_px, meant for crops of `reference_px`, to `side_px`: odd numbers; `params` itself if equal.

    Raises:
        UserError: a size exceeds what a kernel in whole 256ths can have.
    """
    if side_px == params.reference_px:
        return params
    sizes = {}
    for key, least in (("dilate_px", 1), ("blur_px", 3)):
        size = getattr(params, key)
        sizes[key] = max(least, 2 * (size * side_px // (2 * params.reference_px)) + 1)
        if sizes[key] > _MAX_KERNEL_PX:
            raise UserError(
                f"edge_smooth.{key}: {size} at {params.reference_px} px is {sizes[key]} at crop.size_px {side_px}, "
                f"over {_MAX_KERNEL_PX}: lower it, or raise edge_smooth.reference_px"
            )
    return params.model_copy(update=sizes)


def gaussian_kernel(size_px: int) -> NDArray[np.float32]:
    """Return OpenCV's Gaussian kernel of an odd size (sigma follows from it) in whole 256ths: 1-D float32 that sums to 256."""
    weights = cv2.getGaussianKernel(size_px, 0).ravel() * _UNITS
    whole = np.rint(weights)
    whole[size_px // 2] += _UNITS - whole.sum()
    return whole.astype(np.float32)


def edge_mask(picture: Picture, params: EdgeSmoothParams) -> NDArray[np.uint8]:
    """Find dilated Canny edges of a picture (uint8 RGB HxWx3): uint8 HxW, 255 on edges and 0 elsewhere."""
    edges = cv2.Canny(arrays.luma(picture), params.canny_low, params.canny_high)
    return np.asarray(cv2.dilate(edges, np.ones((params.dilate_px, params.dilate_px), np.uint8)), np.uint8)


def smooth_edges(picture: Picture, params: EdgeSmoothParams) -> Picture:
    """Return a picture blurred along its edges, or in the variant overlay with blurred white edges: uint8 RGB HxWx3."""
    mask = edge_mask(picture, params)
    kernel = gaussian_kernel(params.blur_px)
    if params.variant == "blend":
        return np.asarray(cv2.copyTo(_blur(picture, kernel), mask, picture.copy()), np.uint8)
    # White at the opacity of the blurred edges, rounded to the nearest level in integers.
    opacity = _blur(mask, kernel)[..., None].astype(np.int32)
    return (picture + ((255 - picture.astype(np.int32)) * opacity + 127) // 255).astype(np.uint8)


def _blur(picture: NDArray[np.uint8], kernel: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Blur by a separable kernel with mirrored borders (reflect-101), truncating to whole levels as the published loops do."""
    weights = kernel / _UNITS  # exact, as 256 is a power of two; dividing the sums would take a pass over the picture
    return cv2.sepFilter2D(picture, cv2.CV_32F, weights, weights, borderType=cv2.BORDER_REFLECT_101).astype(np.uint8)


def _write_copy(row: Row, params: EdgeSmoothParams, out: Path, home: Path) -> Row:
    crop = images.read(manifest.file_of(row))
    digest = images.write(out / f"{row.id}.png", smooth_edges(crop, scale_params(params, len(crop))))
    file = (home / f"{row.id}.png").as_posix()
    return row.model_copy(update={"file": file, "digest": digest, "parent": row.id, "box": None, "scores": {}})


def run(params: Params, out: Path, source: str, data: Path = stage.DATA) -> dict[str, float]:
    """Write an edge-smoothed copy of each crop of a film under the crop's name, manifest.jsonl and a contact sheet of pairs."""
    crops = manifest.kept(manifest.read(data / "crop" / stage.ABOUT / "anime" / source))
    home = data / EDGE_SMOOTH / stage.PICTURES / source
    work = functools.partial(_write_copy, params=params.edge_smooth, out=out / stage.PICTURES, home=home)
    manifest.write(out, stage.parallel(work, crops, params.workers, f"{EDGE_SMOOTH} {source}", "crops"))
    shown = sheets.evenly_spaced(crops, _SHEET_PAIRS)
    pictures = (images.read(path) for row in shown for path in (manifest.file_of(row), out / stage.PICTURES / f"{row.id}.png"))
    images.write(out / "sheet.jpg", sheets.contact_sheet(pictures, columns=12, cell_px=160))
    return {"pictures": len(crops)}


if __name__ == "__main__":
    stage.main_of_source("edge_smooth", run, load, "a name under films: in params.yaml")
