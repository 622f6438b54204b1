"""Operations on pictures in memory: resizing, luma and other channels, blending. No files, no models."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import UserError
from pipeline.media.images import Picture

_LUMA_709 = np.array([0.2126, 0.7152, 0.0722], np.float32)


def resize(picture: Picture, width: int, height: int) -> Picture:
    """Resample to `width` x `height` without aliasing: area average when shrinking, Lanczos when enlarging.

    A picture that has that size is returned as it is, not copied.
    """
    if picture.shape[:2] == (height, width):
        return picture
    shrinking = width < picture.shape[1] or height < picture.shape[0]
    interpolation = cv2.INTER_AREA if shrinking else cv2.INTER_LANCZOS4
    return np.asarray(cv2.resize(picture, (width, height), interpolation=interpolation), np.uint8)


def shrink(picture: Picture, max_side: int) -> Picture:
    """Shrink a picture so that its longer side is `max_side` pixels; one that is no larger is returned as it is, not copied."""
    height, width = picture.shape[:2]
    scale = max_side / max(height, width)
    if scale >= 1:
        return picture
    return resize(picture, max(1, round(width * scale)), max(1, round(height * scale)))


def luma(picture: Picture) -> Picture:
    """Convert RGB to luma with the weights of Rec. 601, uint8 HxW."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)


def saturation(picture: Picture) -> Picture:
    """Compute the saturation (HSV) of an RGB picture, 0 for gray to 255, uint8 HxW."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2HSV)[..., 1], np.uint8)


def lab(picture: Picture) -> NDArray[np.float32]:
    """Convert sRGB (uint8 HxWx3) to CIELAB (D65), float32 HxWx3: L 0 to 100, a green to red, b blue to yellow, 0 for gray."""
    return np.asarray(cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)


def sharpness(luma: NDArray[np.uint8]) -> float:
    """Variance of the Laplacian of a luma picture (uint8 HxW); higher is sharper. It cannot tell detail from noise."""
    laplacian = cv2.Laplacian(luma, cv2.CV_16S)
    # From sums, because OpenCV's meanStdDev takes ten times as long for 16 bits.
    return cv2.norm(laplacian, cv2.NORM_L2SQR) / laplacian.size - (cv2.sumElems(laplacian)[0] / laplacian.size) ** 2


def blend(photo: Picture, drawn: Picture, strength: float) -> Picture:
    """Lay `drawn` over `photo`, of the same size, with opacity `strength`: 0 (the photo) to 1 (the drawing), in sRGB values."""
    return np.asarray(cv2.addWeighted(drawn, strength, photo, 1.0 - strength, 0.0), np.uint8)


def keep_color(photo: Picture, drawn: Picture) -> Picture:
    """Combine the luma of `drawn` with the chroma of `photo` (Y'CbCr, Rec. 709) into a new picture; both have one size.

    Where sRGB has no color of that luma and chroma, the chroma is reduced and the hue kept, so that black lines stay black on a
    blue sky. CIELAB clipped to sRGB would turn them blue; in Y'CbCr the bounds have a closed form for each pixel.
    """
    result = np.empty_like(photo)
    rows = max(1, (1 << 20) // photo.shape[1])  # floats of a whole large picture would take six times its memory
    for top in range(0, len(photo), rows):
        part = slice(top, top + rows)
        luma = (drawn[part] @ _LUMA_709)[..., None]
        chroma = photo[part] - (photo[part] @ _LUMA_709)[..., None]
        scale = np.where(chroma > 0, 255.0 - luma, luma) / np.maximum(np.abs(chroma), 1e-3)
        result[part] = np.rint(luma + np.minimum(scale.min(2, keepdims=True), 1.0) * chroma).clip(0, 255)
    return result


def fill_transparent(picture: Picture, alpha: NDArray[np.uint8]) -> Picture:
    """Extend the colors of visible pixels (`alpha` above 0) over invisible ones, so that a network sees no false edges.

    Push-pull interpolation over an image pyramid (Gortler et al., The Lumigraph, SIGGRAPH 1996). `alpha` is opacity, uint8 HxW;
    if no pixel is invisible, the picture is returned as it is, and if all are, a black one.
    """
    if alpha.min() > 0:
        return picture
    weight = (alpha > 0).astype(np.float32)
    levels = [np.dstack([picture * weight[..., None], weight])]  # premultiplied colors and weight
    while max(levels[-1].shape[:2]) > 1 and levels[-1][..., 3].min() == 0:
        height, width = (max(1, side // 2) for side in levels[-1].shape[:2])
        levels.append(np.asarray(cv2.resize(levels[-1], (width, height), interpolation=cv2.INTER_AREA), np.float32))
    coarse = levels.pop()
    filled = coarse[..., :3] / np.maximum(coarse[..., 3:], 1e-6)
    for level in reversed(levels):
        height, width = level.shape[:2]
        coarse = np.asarray(cv2.resize(filled, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
        share = level[..., 3:]
        filled = level[..., :3] / np.maximum(share, 1e-6) * share + coarse * (1 - share)
    return np.where(alpha[..., None] > 0, picture, np.clip(np.rint(filled), 0, 255).astype(np.uint8))


def check_batch(pictures: Sequence[Picture], max_megapixels: float) -> tuple[int, int]:
    """Check that pictures, one or more, can be stacked into a batch, and return their common height and width.

    Raises:
        ValueError: an array is no picture (uint8 HxWx3), or sizes differ.
        UserError: a picture exceeds `max_megapixels`.
    """
    for picture in pictures:
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
            raise ValueError(f"expected uint8 HxWx3, got {picture.dtype} {picture.shape}")
        if picture.shape != pictures[0].shape:
            raise ValueError(f"pictures of a batch must have one size, got {pictures[0].shape} and {picture.shape}")
    height, width = pictures[0].shape[:2]
    if height * width > max_megapixels * 1e6:
        raise UserError(
            f"a picture of {width}x{height} ({height * width / 1e6:.1f} megapixels) is over the limit of "
            f"{max_megapixels:g}: shrink it, or raise the limit if memory allows"
        )
    return height, width
