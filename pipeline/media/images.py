"""The only door to pictures: files to arrays and back, arrays to tensors and back, contact sheets.

Inside the project a picture is uint8 RGB, height x width x 3, in sRGB; for models it is float32 NCHW in [-1, 1].
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import secrets
import struct
import warnings
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import deflate
import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageDraw, ImageFile, ImageFont, ImageOps, UnidentifiedImageError

from pipeline.core import files
from pipeline.core.errors import UserError

if TYPE_CHECKING:
    import torch

Picture = NDArray[np.uint8]

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".heic", ".heif", ".bmp", ".gif", ".ppm"})
UNDECODED = frozenset({".jxl"})  # pictures too, but nothing here decodes them
DEFAULT_MAX_MEGAPIXELS = 100.0
SHEET_GAP_PX = 4
SHEET_GREY = 24
_SRGB = ImageCms.createProfile("sRGB")
_LUMA_709 = np.array([0.2126, 0.7152, 0.0722], np.float32)
# What the suffixes stand for. Content decides and not the name, so others are kept out: an EPS would start Ghostscript.
_FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "HEIF", "BMP", "DIB", "GIF", "PPM")
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
# Of a photo's metadata what is not for a copy: how and where its file keeps pixels, how they are turned, and its preview.
_OF_THE_FILE = frozenset(range(0x00FE, 0x010E)) | frozenset(range(0x0111, 0x011E)) | frozenset(range(0x0140, 0x0216))
_OF_THE_FILE |= {0x02BC, 0x83BB, 0x8649, 0x8769, 0x8773, 0x8825, 0xA005}
_MAKER_NOTE, _PIXELS_ACROSS, _PIXELS_DOWN = 0x927C, 0xA002, 0xA003

# Our own limit is checked before any pixel is decoded, so Pillow's global one would only say the same less clearly.
Image.MAX_IMAGE_PIXELS = None
pillow_heif.register_heif_opener(thumbnails=False)
ImageFile.LOAD_TRUNCATED_IMAGES = False


def find(root: Path, allow_empty: bool = False, undecoded: bool = False) -> list[Path]:
    """All picture files under a folder (or the one file given), by suffix in any case, sorted.

    Hidden files and folders are passed over, and folders that are links (as DVC does, which would not see them change).

    Args:
        undecoded: name pictures that nothing here decodes too, so that they are told rather than missed.

    Raises:
        UserError: nothing is there, or (unless `allow_empty`) no file in it looks like a picture.
    """
    if root.is_file():
        return [root]
    if not root.is_dir():
        raise UserError(f"{root} does not exist: give a folder of photographs, or a photograph")
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
        raise UserError(f"{root} holds no pictures: put some there ({', '.join(sorted(SUFFIXES))}){foreign}")
    return files


class Photo(NamedTuple):
    """A picture with what else its file holds."""

    picture: Picture
    alpha: NDArray[np.uint8] | None
    """How much of each pixel is seen, H x W; None where all of all."""
    exif: Image.Exif | None


def read(path: Path, max_megapixels: float = DEFAULT_MAX_MEGAPIXELS, data: bytes | None = None) -> Picture:
    """Decode a picture as a viewer would show it: turned upright (EXIF), in sRGB (ICC), transparency on white, first frame.

    Args:
        data: the file's bytes, where they are not in a file of their own; `path` then only names them.

    Returns:
        uint8 RGB, height x width x 3.

    Raises:
        UserError: missing, no picture, damaged, or larger than `max_megapixels`.
    """
    photo = read_photo(path, max_megapixels, data)
    return photo.picture if photo.alpha is None else _on_white(photo.picture, photo.alpha)


def read_photo(path: Path, max_megapixels: float = DEFAULT_MAX_MEGAPIXELS, data: bytes | None = None) -> Photo:
    """As `read`, but transparency and metadata apart; colours of what is not seen at all are anything."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about odd metadata, which is none of the user's business here
            with Image.open(path if data is None else io.BytesIO(data), formats=_FORMATS) as image:
                megapixels = image.width * image.height / 1e6
                if megapixels > max_megapixels:
                    size = f"{image.width}x{image.height} ({megapixels:.3g} megapixels)"
                    raise UserError(f"{path} is {size}, over the limit of {max_megapixels:g}: shrink it, or raise the limit")
                image.load()
                return _upright_srgb(image)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder: name a picture in it") from None
    except PermissionError:
        raise UserError(f"{path} may not be read: allow it (chmod +r)") from None
    except UnidentifiedImageError:
        raise UserError(f"{path} {_unidentified(path, data)}") from None
    except UserError:
        raise
    except Exception as error:  # decoders that are fed damage raise nearly anything
        text = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path} is damaged ({text}): remove it or put a whole copy back") from None


def megapixels_of(path: Path) -> float:
    """Size of a picture by its first bytes, for planning; 0 where they tell none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=_FORMATS) as image:
                return image.width * image.height / 1e6
    except Exception:  # what is wrong with it, reading it says
        return 0.0


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
            return "is HEIC that cannot be decoded (cut short?): put a whole copy back, or convert it to JPEG or PNG"
        return "is a film, not a picture: name it under footage: in params.yaml"
    if data.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL ")):
        return "is JPEG XL, which nothing here decodes: convert it to JPEG or PNG"
    return "is not a picture, whatever its name says: remove it or put the picture back"


def _upright_srgb(image: Image.Image) -> Photo:
    profile = image.info.get("icc_profile")
    exif: Image.Exif | None = None
    with contextlib.suppress(Exception):  # EXIF that cannot be read turns nothing, whatever it makes the reader raise
        image = ImageOps.exif_transpose(image)
        exif = image.getexif() or None
    if image.mode.startswith("I;16") or image.mode == "I":
        deep = np.asarray(image).astype(np.float32) / 257.0
        image = Image.fromarray(np.clip(np.rint(deep), 0, 255).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("pixels are floating point numbers without a known range")
    alpha = None
    if image.mode in ("P", "LA", "PA", "La", "RGBA", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        alpha = np.array(layer.getchannel("A"))
        image = image.convert("LA").getchannel("L") if image.mode in ("LA", "La") else layer.convert("RGB")
    if profile and image.mode in ("RGB", "CMYK", "L", "LAB"):
        # A profile that does not fit its pixels, or is none at all (OSError), is ignored, as browsers do.
        with contextlib.suppress(ImageCms.PyCMSError, OSError):
            image = (
                ImageCms.profileToProfile(image, ImageCms.ImageCmsProfile(io.BytesIO(profile)), _SRGB, outputMode="RGB")
                or image
            )
    if image.mode == "LAB":
        image = ImageCms.profileToProfile(image, ImageCms.createProfile("LAB"), _SRGB, outputMode="RGB") or image
    return Photo(np.array(image.convert("RGB")), None if alpha is None or alpha.min() == 255 else alpha, exif)


def _on_white(picture: Picture, alpha: NDArray[np.uint8]) -> Picture:
    white = Image.new("RGBA", alpha.shape[::-1], (255, 255, 255, 255))
    return np.array(Image.alpha_composite(white, Image.fromarray(np.dstack([picture, alpha]))).convert("RGB"))


def metadata_of(exif: Image.Exif | None, place: bool) -> bytes | None:
    """What a copy of a photo may say of it, as EXIF bytes: neither orientation nor preview nor the maker's own notes.

    Args:
        place: with where it was taken.
    """
    if exif is None:
        return None
    kept = Image.Exif()
    with contextlib.suppress(Exception):  # damaged metadata is left out as far as it is
        kept.update({tag: value for tag, value in exif.items() if tag not in _OF_THE_FILE})
        shot = exif.get_ifd(ExifTags.IFD.Exif)
        left_out = {_MAKER_NOTE, _PIXELS_ACROSS, _PIXELS_DOWN, 0xA005}
        kept.get_ifd(ExifTags.IFD.Exif).update({tag: value for tag, value in shot.items() if tag not in left_out})
        if place:
            kept.get_ifd(ExifTags.IFD.GPSInfo).update(exif.get_ifd(ExifTags.IFD.GPSInfo))
    try:
        return kept.tobytes() if len(kept) or kept.get_ifd(ExifTags.IFD.Exif) else None
    except Exception:  # values that do not fit their types
        return None


def spread_under(picture: Picture, alpha: NDArray[np.uint8]) -> Picture:
    """The picture with the colours of what is seen carried on where nothing is, so that a network sees no false edges."""
    if alpha.min() > 0:
        return picture
    weight = (alpha > 0).astype(np.float32)
    levels = [np.dstack([picture * weight[..., None], weight])]  # colours times weight, and the weight
    while max(levels[-1].shape[:2]) > 1 and levels[-1][..., 3].min() == 0:
        height, width = (max(1, side // 2) for side in levels[-1].shape[:2])
        levels.append(np.asarray(cv2.resize(levels[-1], (width, height), interpolation=cv2.INTER_AREA), np.float32))
    coarse = levels.pop()
    spread = coarse[..., :3] / np.maximum(coarse[..., 3:], 1e-6)
    for level in reversed(levels):
        height, width = level.shape[:2]
        coarse = np.asarray(cv2.resize(spread, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
        share = level[..., 3:]
        spread = level[..., :3] / np.maximum(share, 1e-6) * share + coarse * (1 - share)
    return np.where(alpha[..., None] > 0, picture, np.clip(np.rint(spread), 0, 255).astype(np.uint8))


def write(path: Path, picture: Picture, exif: bytes | None = None) -> str:
    """Encode by suffix, whole or not at all.

    .png and .tif without loss, .jpg, .webp, .avif at high quality. A fourth channel is transparency, which JPEG lays on white.

    Args:
        exif: metadata to go with it.

    Returns:
        The file's digest.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] not in (3, 4):
        raise ValueError(f"expected uint8 HxWx3 or 4, got {picture.dtype} {picture.shape}")
    suffix = path.suffix.lower()
    if suffix != ".png" and suffix not in _OPTIONS:
        raise UserError(f"{path}: pictures are written as .png, {', '.join(_OPTIONS)}, not {suffix or 'without a suffix'}")
    content = _png(picture, exif) if suffix == ".png" else _pillow(picture, suffix, exif)
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}{suffix}")  # process ids repeat across machines
    try:
        aside.write_bytes(content)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    return files.digest(content)


_OPTIONS: dict[str, dict[str, Any]] = {
    ".jpg": {"quality": 95, "subsampling": 0},
    ".jpeg": {"quality": 95, "subsampling": 0},
    ".webp": {"quality": 95},
    ".avif": {"quality": 90, "subsampling": "4:4:4", "speed": 8},
    ".tif": {"compression": "tiff_adobe_deflate"},
    ".tiff": {"compression": "tiff_adobe_deflate"},
}


def _pillow(picture: Picture, suffix: str, exif: bytes | None) -> bytes:
    encoded = io.BytesIO()
    if suffix in (".jpg", ".jpeg") and picture.shape[2] == 4:
        picture = _on_white(picture[..., :3], picture[..., 3])
    options = _OPTIONS[suffix]
    if exif is not None:
        # Pillow compresses TIFF by libtiff, which refuses the folders that EXIF keeps in it.
        options = {"exif": exif} if suffix in (".tif", ".tiff") else options | {"exif": exif}
    Image.fromarray(picture).save(encoded, format=Image.registered_extensions()[suffix], **options)
    return encoded.getvalue()


def _png(picture: Picture, exif: bytes | None = None) -> bytes:
    """Encode as PNG: each line as its difference from the one above, by libdeflate.

    Five times as fast as libpng at its quickest, which tries several filters for each line; files as large.
    """
    height, width, channels = picture.shape
    lines = picture.reshape(height, channels * width)
    filtered = np.empty((height, 1 + channels * width), np.uint8)
    filtered[:, 0] = 2  # filter type Up
    filtered[0, 1:] = lines[0]
    np.subtract(lines[1:], lines[:-1], out=filtered[1:, 1:])
    header = struct.pack(
        ">IIBBBBB", width, height, 8, 2 if channels == 3 else 6, 0, 0, 0
    )  # 8 bits, RGB or RGBA, not interlaced
    body = bytes(deflate.zlib_compress(filtered, 1))
    chunks = [(b"IHDR", header), (b"IDAT", body), (b"IEND", b"")]
    if exif is not None:
        chunks.insert(1, (b"eXIf", exif.removeprefix(b"Exif\0\0")))
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


def blend(photo: Picture, drawn: Picture, strength: float) -> Picture:
    """`drawn` over `photo`, as opaque as `strength` says: 0 the photo, 1 the drawing. Of sRGB values, as editors do."""
    return np.asarray(cv2.addWeighted(drawn, strength, photo, 1.0 - strength, 0.0), np.uint8)


def keep_color(photo: Picture, drawn: Picture) -> Picture:
    """The luma of `drawn` with the chroma of `photo` (Y'CbCr, Rec. 709, the primaries of sRGB).

    Where sRGB has no colour of that luma and chroma, chroma is lowered, hue kept: so ink stays black on a blue sky, which
    CIELAB cut to sRGB would turn blue, and luma is that of the drawing everywhere. Y'CbCr because the bounds can be told for
    each pixel at once.
    """
    result = np.empty_like(photo)
    rows = max(1, (1 << 20) // photo.shape[1])  # floats of a large picture would take six times its memory
    for top in range(0, len(photo), rows):
        part = slice(top, top + rows)
        luma = (drawn[part] @ _LUMA_709)[..., None]
        chroma = photo[part] - (photo[part] @ _LUMA_709)[..., None]
        room = np.where(chroma > 0, 255.0 - luma, luma) / np.maximum(np.abs(chroma), 1e-3)
        result[part] = np.rint(luma + np.minimum(room.min(2, keepdims=True), 1.0) * chroma).clip(0, 255)
    return result


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
    """Rows of pictures side by side (photo, result, ...), each fitted to a crop cell."""
    flat = [picture for row in rows for picture in row]
    return sheet(flat, columns=max(len(row) for row in rows), cell_px=cell_px)


def check_batch(pictures: Sequence[Picture], max_megapixels: float) -> tuple[int, int]:
    """Height and width of pictures that are to be redrawn together.

    Raises:
        ValueError: they are no pictures, or not of one size.
        UserError: they are over the limit.
    """
    for picture in pictures:
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
            raise ValueError(f"expected uint8 HxWx3, got {picture.dtype} {picture.shape}")
        if picture.shape != pictures[0].shape:
            raise ValueError(f"a batch is of one size, got {pictures[0].shape} and {picture.shape}")
    height, width = pictures[0].shape[:2]
    if height * width > max_megapixels * 1e6:
        raise UserError(
            f"a picture of {width}x{height} ({height * width / 1e6:.1f} megapixels) is over the limit of "
            f"{max_megapixels:g}: shrink it, or raise the limit if memory allows"
        )
    return height, width
