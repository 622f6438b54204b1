"""The only door to pictures: files to arrays and back, arrays to tensors and back, contact sheets.

Inside the project a picture is uint8 RGB, height x width x 3, in sRGB; for models it is float32 NCHW in [-1, 1].
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import secrets
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageDraw, ImageFile, ImageFont, ImageOps, UnidentifiedImageError

from pipeline.faults import Fault

if TYPE_CHECKING:
    import torch

Picture = NDArray[np.uint8]

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".gif", ".ppm"})
DEFAULT_MAX_MEGAPIXELS = 100.0
SHEET_GAP_PX = 4
SHEET_GREY = 24
_SRGB = ImageCms.createProfile("sRGB")

# Our own limit is checked before any pixel is decoded, so Pillow's global one would only say the same less clearly.
Image.MAX_IMAGE_PIXELS = None
ImageFile.LOAD_TRUNCATED_IMAGES = False


def find(root: Path, allow_empty: bool = False) -> list[Path]:
    """All picture files under a folder (or the one file given), by suffix, sorted; hidden files and folders are passed over.

    Raises:
        Fault: nothing is there, or (unless `allow_empty`) no file in it looks like a picture.
    """
    if root.is_file():
        return [root]
    if not root.is_dir():
        raise Fault(f"{root} does not exist: give a folder of photographs, or a photograph")
    files = sorted(
        path
        for path in root.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    )
    if not files and not allow_empty:
        raise Fault(f"{root} holds no pictures: put some there ({', '.join(sorted(SUFFIXES))})")
    return files


def read(path: Path, max_megapixels: float = DEFAULT_MAX_MEGAPIXELS) -> Picture:
    """Decode a picture as a viewer would show it: turned upright (EXIF), in sRGB (ICC), transparency on white, first frame.

    Returns:
        uint8 RGB, height x width x 3.

    Raises:
        Fault: missing, no picture, damaged, or larger than `max_megapixels`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about odd metadata, which is none of the user's business here
            with Image.open(path) as image:
                megapixels = image.width * image.height / 1e6
                if megapixels > max_megapixels:
                    size = f"{image.width}x{image.height} ({megapixels:.3g} megapixels)"
                    raise Fault(f"{path} is {size}, over the limit of {max_megapixels:g}: shrink it, or raise the limit")
                image.load()
                return _upright_srgb(image)
    except FileNotFoundError:
        raise Fault(f"{path} does not exist") from None
    except IsADirectoryError:
        raise Fault(f"{path} is a folder: name a picture in it") from None
    except PermissionError:
        raise Fault(f"{path} may not be read: allow it (chmod +r)") from None
    except UnidentifiedImageError:
        raise Fault(f"{path} is not a picture, whatever its name says: remove it or put the picture back") from None
    except (OSError, SyntaxError, ValueError, EOFError, RuntimeError) as error:  # what decoders raise, AVIF the last
        raise Fault(f"{path} is damaged ({error}): remove it or put a whole copy back") from None


def _upright_srgb(image: Image.Image) -> Picture:
    profile = image.info.get("icc_profile")
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16") or image.mode == "I":
        deep = np.asarray(image).astype(np.float32) / 257.0
        grey = np.clip(np.rint(deep), 0, 255).astype(np.uint8)
        return np.ascontiguousarray(np.broadcast_to(grey[..., None], (*grey.shape, 3)))
    if image.mode == "F":
        raise ValueError("pixels are floating point numbers without a known range")
    if image.mode in ("P", "LA", "PA", "La", "RGBA", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, layer).convert("RGB")
    if profile and image.mode in ("RGB", "CMYK", "L"):
        # A profile that does not fit its pixels, or is none at all (OSError), is ignored, as browsers do.
        with contextlib.suppress(ImageCms.PyCMSError, OSError):
            image = (
                ImageCms.profileToProfile(image, ImageCms.ImageCmsProfile(io.BytesIO(profile)), _SRGB, outputMode="RGB")
                or image
            )
    return np.array(image.convert("RGB"))


def write(path: Path, picture: Picture) -> None:
    """Encode by suffix, whole or not at all: .png (lossless, fast), .jpg (quality 95, no chroma subsampling), .webp."""
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"expected uint8 HxWx3, got {picture.dtype} {picture.shape}")
    options: dict[str, dict[str, object]] = {
        ".png": {"compress_level": 1},
        ".jpg": {"quality": 95, "subsampling": 0},
        ".jpeg": {"quality": 95, "subsampling": 0},
        ".webp": {"quality": 95},
    }
    suffix = path.suffix.lower()
    if suffix not in options:
        raise Fault(f"{path}: pictures are written as {', '.join(options)}, not {suffix or 'without a suffix'}")
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}{suffix}")  # process ids repeat across machines
    try:
        Image.fromarray(picture).save(aside, **options[suffix])  # type: ignore[arg-type]
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def resize(picture: Picture, width: int, height: int) -> Picture:
    """Resample without aliasing: area average when shrinking, Lanczos when enlarging."""
    if picture.shape[:2] == (height, width):
        return picture
    shrinking = width < picture.shape[1] or height < picture.shape[0]
    return np.asarray(
        cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LANCZOS4),
        np.uint8,
    )


def shrink(picture: Picture, max_side: int) -> Picture:
    """The picture itself, or a smaller one whose longer side is `max_side` pixels."""
    height, width = picture.shape[:2]
    scale = max_side / max(height, width)
    if scale >= 1:
        return picture
    return resize(picture, max(1, round(width * scale)), max(1, round(height * scale)))


def luma(picture: Picture) -> Picture:
    """Grey as OpenCV makes it (Rec. 601), uint8 HxW."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)


def sharpness(luma: NDArray[np.uint8]) -> float:
    """Variance of the Laplacian of a luma picture (uint8 HxW); the higher the sharper. Blind to whether detail is noise."""
    return float(cv2.Laplacian(luma, cv2.CV_32F).var())


def to_model(pixels: torch.Tensor) -> torch.Tensor:
    """uint8 NHWC (0-255) to float32 NCHW in [-1, 1], channels_last in memory."""
    return pixels.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def from_model(tensor: torch.Tensor) -> torch.Tensor:
    """float NCHW in [-1, 1] (clamped) to uint8 NHWC, rounded."""
    return tensor.detach().float().clamp(-1, 1).add(1).mul(127.5).round().byte().permute(0, 2, 3, 1)


def sheet(pictures: Iterable[Picture], captions: Sequence[str] = (), columns: int = 8, cell_px: int = 192) -> Picture:
    """A contact sheet: pictures shrunk to cells of at most `cell_px` a side in reading order, each with a caption under it."""
    cells = [shrink(picture, cell_px) for picture in pictures] or [np.full((cell_px, cell_px, 3), 24, np.uint8)]
    caption_px, gap_px = (16 if captions else 0), 4
    tallest, widest = max(cell.shape[0] for cell in cells), max(cell.shape[1] for cell in cells)
    pitch_x, pitch_y = widest + gap_px, tallest + gap_px + caption_px
    rows = math.ceil(len(cells) / columns)
    canvas = np.full((rows * pitch_y + gap_px, min(columns, len(cells)) * pitch_x + gap_px, 3), 24, np.uint8)
    for index, cell in enumerate(cells):
        y = gap_px + index // columns * pitch_y + (tallest - cell.shape[0]) // 2
        x = gap_px + index % columns * pitch_x + (widest - cell.shape[1]) // 2
        canvas[y : y + cell.shape[0], x : x + cell.shape[1]] = cell
    if not captions:
        return canvas
    image = Image.fromarray(canvas)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(11)
    for index, caption in enumerate(captions[: len(cells)]):
        place = (gap_px + index % columns * pitch_x, gap_px + index // columns * pitch_y + tallest)
        draw.text(place, caption[: widest // 6], fill=(210, 210, 210), font=font)
    return np.array(image)


def strip(rows: Sequence[Sequence[Picture]], cell_px: int = 256) -> Picture:
    """Rows of pictures side by side (photo, result, ...), each fitted to a square cell."""
    flat = [picture for row in rows for picture in row]
    return sheet(flat, columns=max(len(row) for row in rows), cell_px=cell_px)
