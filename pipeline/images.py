"""The only door to pictures: files to arrays and back, arrays to tensors and back, contact sheets.

Inside the project a picture is uint8 RGB, height x width x 3, in sRGB; for models it is float32 NCHW in [-1, 1].
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import math
import os
import secrets
import struct
import warnings
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import deflate
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageDraw, ImageFile, ImageFont, ImageOps, UnidentifiedImageError

from pipeline.faults import Fault

if TYPE_CHECKING:
    import torch

Picture = NDArray[np.uint8]

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".gif", ".ppm"})
UNDECODED = frozenset({".heic", ".heif", ".jxl"})  # pictures too, but nothing here decodes them
DEFAULT_MAX_MEGAPIXELS = 100.0
SHEET_GAP_PX = 4
SHEET_GREY = 24
_DIGEST_BYTES = 16
_SRGB = ImageCms.createProfile("sRGB")
# What the suffixes stand for. Content decides and not the name, so others are kept out: an EPS would start Ghostscript.
_FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "BMP", "DIB", "GIF", "PPM")
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")

# Our own limit is checked before any pixel is decoded, so Pillow's global one would only say the same less clearly.
Image.MAX_IMAGE_PIXELS = None
ImageFile.LOAD_TRUNCATED_IMAGES = False


def find(root: Path, allow_empty: bool = False, undecoded: bool = False) -> list[Path]:
    """All picture files under a folder (or the one file given), by suffix in any case, sorted.

    Hidden files and folders are passed over, and folders that are links (as DVC does, which would not see them change).

    Args:
        undecoded: name pictures that nothing here decodes too, so that they are told rather than missed.

    Raises:
        Fault: nothing is there, or (unless `allow_empty`) no file in it looks like a picture.
    """
    if root.is_file():
        return [root]
    if not root.is_dir():
        raise Fault(f"{root} does not exist: give a folder of photographs, or a photograph")
    there = sorted(
        path
        for path in root.rglob("*")
        if path.suffix.lower() in SUFFIXES | UNDECODED
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    )
    files = [path for path in there if undecoded or path.suffix.lower() in SUFFIXES]
    if not files and not allow_empty:
        foreign = f"; nothing here decodes its {len(there)} {there[0].suffix}: convert them to JPEG" if there else ""
        raise Fault(f"{root} holds no pictures: put some there ({', '.join(sorted(SUFFIXES))}){foreign}")
    return files


def read(path: Path, max_megapixels: float = DEFAULT_MAX_MEGAPIXELS, data: bytes | None = None) -> Picture:
    """Decode a picture as a viewer would show it: turned upright (EXIF), in sRGB (ICC), transparency on white, first frame.

    Args:
        data: the file's bytes, where they are not in a file of their own; `path` then only names them.

    Returns:
        uint8 RGB, height x width x 3.

    Raises:
        Fault: missing, no picture, damaged, or larger than `max_megapixels`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about odd metadata, which is none of the user's business here
            with Image.open(path if data is None else io.BytesIO(data), formats=_FORMATS) as image:
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
        raise Fault(f"{path} {_unidentified(path, data)}") from None
    except Fault:
        raise
    except Exception as error:  # decoders that are fed damage raise nearly anything
        text = " ".join(str(error).split()) or type(error).__name__
        raise Fault(f"{path} is damaged ({text}): remove it or put a whole copy back") from None


def _unidentified(path: Path, data: bytes | None) -> str:
    """What a file is that no decoder here takes, by its first bytes, and what to do about it."""
    if data is None:
        with path.open("rb") as file:
            data = file.read(64)
    if not data:
        return "is empty: remove it or put the picture back"
    if data[4:8] == b"ftyp":
        if b"avif" in data[8:64]:
            return "is AVIF, which this Pillow does not decode: pip install --upgrade pillow, or convert it to JPEG or PNG"
        if data[8:12] in _HEIC_BRANDS:
            return "is HEIC, which nothing here decodes: convert it to JPEG or PNG"
        return "is a film, not a picture: name it under footage: in params.yaml"
    if data.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL ")):
        return "is JPEG XL, which nothing here decodes: convert it to JPEG or PNG"
    return "is not a picture, whatever its name says: remove it or put the picture back"


def _upright_srgb(image: Image.Image) -> Picture:
    profile = image.info.get("icc_profile")
    with contextlib.suppress(Exception):  # EXIF that cannot be read turns nothing, whatever it makes the reader raise
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16") or image.mode == "I":
        deep = np.asarray(image).astype(np.float32) / 257.0
        image = Image.fromarray(np.clip(np.rint(deep), 0, 255).astype(np.uint8))
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


def digest(file: Path | bytes) -> str:
    """What a file (or some bytes) holds, in 32 hexadecimal digits: BLAKE2b, of bytes and not of pixels, as DVC sees files."""
    if isinstance(file, bytes):
        return hashlib.blake2b(file, digest_size=_DIGEST_BYTES).hexdigest()
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, lambda: hashlib.blake2b(digest_size=_DIGEST_BYTES)).hexdigest()


def write(path: Path, picture: Picture) -> str:
    """Encode by suffix, whole or not at all: .png (lossless, fast), .jpg (quality 95, no chroma subsampling), .webp.

    Returns:
        The file's digest.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"expected uint8 HxWx3, got {picture.dtype} {picture.shape}")
    options: dict[str, dict[str, int]] = {
        ".jpg": {"quality": 95, "subsampling": 0},
        ".jpeg": {"quality": 95, "subsampling": 0},
        ".webp": {"quality": 95},
    }
    suffix = path.suffix.lower()
    if suffix != ".png" and suffix not in options:
        raise Fault(f"{path}: pictures are written as .png, {', '.join(options)}, not {suffix or 'without a suffix'}")
    content = _png(picture) if suffix == ".png" else _pillow(picture, suffix, options[suffix])
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}{suffix}")  # process ids repeat across machines
    try:
        aside.write_bytes(content)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    return digest(content)


def _pillow(picture: Picture, suffix: str, options: dict[str, int]) -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(picture).save(encoded, format=Image.registered_extensions()[suffix], **options)
    return encoded.getvalue()


def _png(picture: Picture) -> bytes:
    """Encode as PNG: each line as its difference from the one above, by libdeflate.

    Five times as fast as libpng at its quickest, which tries several filters for each line; files as large.
    """
    height, width = picture.shape[:2]
    lines = picture.reshape(height, 3 * width)
    filtered = np.empty((height, 1 + 3 * width), np.uint8)
    filtered[:, 0] = 2  # filter type Up
    filtered[0, 1:] = lines[0]
    np.subtract(lines[1:], lines[:-1], out=filtered[1:, 1:])
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits, RGB, not interlaced
    body = bytes(deflate.zlib_compress(filtered.tobytes(), 1))
    chunks = [(b"IHDR", header), (b"IDAT", body), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))
        for kind, data in chunks
    )


def jpeg(picture: Picture, quality: int = 85) -> bytes:
    """A picture as a JPEG file's bytes, for a page that shows it."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


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


def saturation(picture: Picture) -> Picture:
    """How far each pixel is from grey (S of HSV, 255 at most), uint8 HxW."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2HSV)[..., 1], np.uint8)


def lab(picture: Picture) -> NDArray[np.float32]:
    """CIELAB (D65): L 0 to 100, a green to red, b blue to yellow. float32 HxWx3."""
    return np.asarray(cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)


def sharpness(luma: NDArray[np.uint8]) -> float:
    """Variance of the Laplacian of a luma picture (uint8 HxW); the higher the sharper. Blind to whether detail is noise."""
    second = cv2.Laplacian(luma, cv2.CV_16S)
    # Of sums, because OpenCV's own meanStdDev takes ten times as long for 16 bits.
    return cv2.norm(second, cv2.NORM_L2SQR) / second.size - (cv2.sumElems(second)[0] / second.size) ** 2


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
