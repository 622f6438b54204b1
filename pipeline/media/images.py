"""Reading and writing picture files. In memory a picture is uint8 RGB, height x width x 3, in sRGB."""

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import AvifImagePlugin, Image, ImageCms, ImageFile, ImageOps, UnidentifiedImageError

from pipeline.core import files
from pipeline.core.errors import UserError
from pipeline.media import color_tags, kinds, png, soundness, tiff
from pipeline.media.color_tags import ColorTags

Picture = NDArray[np.uint8]

UNSUPPORTED_SUFFIXES = frozenset({".jxl"})
DEFAULT_MAX_MEGAPIXELS = 100.0
_SRGB = ImageCms.createProfile("sRGB")
# Files are recognized by content. Pillow's other formats are kept out: an EPS would start Ghostscript.
_FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "HEIF", "BMP", "DIB", "GIF", "PPM")
_ANIMATED_FORMATS = ("GIF", "WEBP", "PNG", "TIFF")
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_ENCODER_OPTIONS: dict[str, dict[str, Any]] = {
    ".jpg": {"quality": 95, "subsampling": 0},
    ".jpeg": {"quality": 95, "subsampling": 0},
    ".webp": {"quality": 95},
    ".avif": {"quality": 90, "subsampling": "4:4:4", "speed": 8},
    ".tif": {"compression": "tiff_adobe_deflate"},
    ".tiff": {"compression": "tiff_adobe_deflate"},
}
WRITABLE_SUFFIXES = frozenset({".png", *_ENCODER_OPTIONS})

# `read` checks its own limit before any pixel is decoded, with a clearer message.
Image.MAX_IMAGE_PIXELS = None
pillow_heif.register_heif_opener(thumbnails=False)
ImageFile.LOAD_TRUNCATED_IMAGES = False


class Photo(NamedTuple):
    """A decoded picture with transparency and metadata apart."""

    picture: Picture
    alpha: NDArray[np.uint8] | None
    """Opacity, uint8 HxW; None where every pixel is opaque."""
    exif: Image.Exif | None


def find(root: Path, allow_empty: bool = False, include_unsupported: bool = False) -> list[Path]:
    """List the picture files under a folder, recognized by content or suffix, sorted; a file given is returned unchecked.

    Hidden files and folders are skipped, and so are links to folders, as DVC would not see them change.

    Args:
        include_unsupported: also list formats that cannot be decoded here, so that they can be reported.

    Raises:
        UserError: `root` does not exist, or (unless `allow_empty`) holds no pictures.
    """
    if root.is_file():
        return [root]
    if not root.is_dir():
        raise UserError(f"{root} does not exist: give a folder of photographs, or a photograph")
    visible = kinds.visible_files(root)
    listed = UNSUPPORTED_SUFFIXES if include_unsupported else frozenset()
    found = [path for path in visible if path.suffix.lower() in listed or kinds.kind(path) == "picture"]
    if not found and not allow_empty:
        unsupported = [path for path in visible if path.suffix.lower() in UNSUPPORTED_SUFFIXES]
        why = f"; its {len(unsupported)} {unsupported[0].suffix} cannot be decoded: convert them" if unsupported else ""
        raise UserError(f"{root} holds no pictures: put some there ({', '.join(sorted(kinds.PICTURE_SUFFIXES))}){why}")
    return found


def read(path: Path, max_megapixels: float = DEFAULT_MAX_MEGAPIXELS, data: bytes | None = None) -> Picture:
    """Decode a picture as a viewer shows it: upright (EXIF), in sRGB (ICC, or codes), transparency over white, first frame.

    HDR is tone-mapped as films are.

    Args:
        data: the file's content, where it is in memory; `path` then only serves messages.

    Returns:
        uint8 RGB, height x width x 3.

    Raises:
        UserError: the file is missing, no picture, damaged, or larger than `max_megapixels`.
    """
    photo = read_photo(path, max_megapixels, data)
    return photo.picture if photo.alpha is None else _over_white(photo.picture, photo.alpha)


def read_photo(path: Path, max_megapixels: float = DEFAULT_MAX_MEGAPIXELS, data: bytes | None = None) -> Photo:
    """Decode a picture as `read` does, but keep transparency and metadata. Colors of invisible pixels are arbitrary.

    Args:
        data: the file's content, where it is in memory; `path` then only serves messages.

    Raises:
        UserError: the file is missing, no picture, damaged, or larger than `max_megapixels`.
    """

    def check_size(width: int, height: int) -> None:
        megapixels = width * height / 1e6
        if megapixels > max_megapixels:
            size = f"{width}x{height} ({megapixels:.3g} megapixels)"
            raise UserError(f"{path} is {size}, over the limit of {max_megapixels:g}: shrink it, or raise the limit")

    source = path if data is None else io.BytesIO(data)
    try:
        with soundness.content_of(source) as content:
            if rare := tiff.read_rare(content, check_size):
                return _to_upright_srgb(rare, None)
        with _open(source) as image:
            check_size(image.width, image.height)
            with soundness.content_of(source) as content:
                soundness.check(content, image.format, image.width * image.height / 1e6)
                tags = color_tags.find(content, image.format)
            image.load()
            return _to_upright_srgb(image, tags)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder: name a picture in it") from None
    except PermissionError:
        raise UserError(f"{path} may not be read: allow it (chmod +r)") from None
    except UnidentifiedImageError:
        raise UserError(f"{path} {_describe_unidentified(path, data)}") from None
    except UserError:
        raise
    except Exception as error:  # decoders raise nearly anything on damaged data
        text = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path} is damaged ({text}): remove it or restore it from a good copy") from None


def megapixels_of(path: Path) -> float:
    """Return a picture's size in megapixels by its header, for planning; 0 where the header cannot be read."""
    try:
        with _open(path) as image:
            return image.width * image.height / 1e6
    except Exception:  # `read` will say what is wrong
        return 0.0


def frame_count(path: Path) -> int:
    """Count the frames of an animation or pages of a TIFF (`read` decodes the first); 1 for others and unreadable files."""
    try:
        with _open(path) as image:
            return getattr(image, "n_frames", 1) if image.format in _ANIMATED_FORMATS else 1
    except Exception:  # `read` will say what is wrong
        return 1


@contextlib.contextmanager
def _open(file: Path | io.BytesIO) -> Iterator[Image.Image]:
    """Open a picture of a supported format during the block, without Pillow's warnings about odd metadata."""
    with soundness.content_of(file) as content:
        soundness.check_header(content)
    with warnings.catch_warnings(action="ignore"), Image.open(file, formats=_FORMATS) as image:
        yield image


def _describe_unidentified(path: Path, data: bytes | None) -> str:
    """Say what a file is that Pillow does not recognize, by its first bytes, and what to do about it, starting with "is"."""
    if data is None:
        with path.open("rb") as file:
            data = file.read(64)
    if not data:
        return "is empty: remove it or restore the picture"
    if data[4:8] == b"ftyp":
        if b"avif" in data[8:64] and AvifImagePlugin.SUPPORTED:
            return "is AVIF that cannot be decoded (truncated?): restore it from a good copy, or convert it to JPEG or PNG"
        if b"avif" in data[8:64]:
            return "is AVIF, which this Pillow does not decode: pip install --upgrade pillow, or convert it to JPEG or PNG"
        if data[8:12] in _HEIC_BRANDS:
            return "is HEIC that cannot be decoded (truncated?): restore it from a good copy, or convert it to JPEG or PNG"
        return "is a film, not a picture: name it under footage: in params.yaml"
    if data.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL ")):
        return "is JPEG XL, which is not supported: convert it to JPEG or PNG"
    return "is not a picture, whatever its name says: remove it or restore the picture"


def _to_upright_srgb(image: Image.Image, tags: ColorTags | None) -> Photo:
    profile = image.info.get("icc_profile")
    if tags and profile and not tags.is_hdr and image.format != "PNG":
        tags = None  # of HEIF and AVIF the profile counts, of PNG the codes
    exif: Image.Exif | None = None
    with contextlib.suppress(Exception):  # EXIF that cannot be read is ignored, whatever it makes the reader raise
        ImageOps.exif_transpose(image, in_place=True)  # a copy would double the memory of large pictures
        exif = image.getexif() or None
    if image.mode.startswith("I;16") or image.mode == "I":
        sixteen_bits = np.asarray(image).astype(np.float32) / 257.0
        image = Image.fromarray(np.clip(np.rint(sixteen_bits), 0, 255).astype(np.uint8))
    alpha = None
    if image.mode in ("P", "LA", "PA", "La", "RGBA", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        alpha = np.array(layer.getchannel("A"))
        image = image.convert("LA").getchannel("L") if image.mode in ("LA", "La") else layer.convert("RGB")
    if profile and not tags and image.mode in ("RGB", "CMYK", "L", "LAB"):
        # A profile that does not fit its pixels, or is invalid (OSError), is ignored, as browsers do.
        with contextlib.suppress(ImageCms.PyCMSError, OSError):
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            image = ImageCms.profileToProfile(image, source, _SRGB, outputMode="RGB") or image
    if image.mode == "LAB":
        image = ImageCms.profileToProfile(image, ImageCms.createProfile("LAB"), _SRGB, outputMode="RGB") or image
    if image.mode != "RGB":
        image = image.convert("RGB")
    picture = np.array(image)
    if tags:
        picture = color_tags.to_srgb(picture, tags)
    return Photo(picture, None if alpha is None or alpha.min() == 255 else alpha, exif)


def _over_white(picture: Picture, alpha: NDArray[np.uint8]) -> Picture:
    white = Image.new("RGBA", alpha.shape[::-1], (255, 255, 255, 255))
    return np.array(Image.alpha_composite(white, Image.fromarray(np.dstack([picture, alpha]))).convert("RGB"))


def write(path: Path, picture: Picture, exif: bytes | None = None, before_visible: Callable[[str], None] | None = None) -> str:
    """Encode a picture by suffix and write the file atomically.

    .png and .tif are lossless; .jpg, .webp and .avif are of high quality.

    Args:
        picture: uint8 HxWx3, or HxWx4 with opacity as fourth channel, which JPEG lays over white.
        exif: metadata to store, encoded.
        before_visible: called with the file's digest when the file is written, but not yet there under its name.

    Returns:
        The file's digest (`files.digest`).

    Raises:
        UserError: the suffix is not one of `WRITABLE_SUFFIXES`.
        ValueError: `picture` has another type or shape.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] not in (3, 4):
        raise ValueError(f"expected uint8 HxWx3 or 4, got {picture.dtype} {picture.shape}")
    suffix = path.suffix.lower()
    if suffix not in WRITABLE_SUFFIXES:
        formats = ", ".join([".png", *_ENCODER_OPTIONS])
        raise UserError(f"{path}: pictures are written as {formats}, not {suffix or 'without a suffix'}")
    content = png.encode(picture, exif) if suffix == ".png" else _encode(picture, suffix, exif)
    with files.replacing(path) as temporary:
        temporary.write_bytes(content)
        digest = files.digest(content)
        if before_visible is not None:
            before_visible(digest)
    return digest


def _encode(picture: Picture, suffix: str, exif: bytes | None) -> bytes:
    if suffix in (".jpg", ".jpeg") and picture.shape[2] == 4:
        picture = _over_white(picture[..., :3], picture[..., 3])
    options = _ENCODER_OPTIONS[suffix]
    if exif is not None:
        # Pillow compresses TIFF with libtiff, which refuses EXIF's nested directories.
        options = {"exif": exif} if suffix in (".tif", ".tiff") else options | {"exif": exif}
    encoded = io.BytesIO()
    Image.fromarray(picture).save(encoded, format=Image.registered_extensions()[suffix], **options)
    return encoded.getvalue()


def jpeg(picture: Picture, quality: int = 85) -> bytes:
    """Encode a picture (uint8 RGB HxWx3) as JPEG in memory, for a page to show; `quality` as Pillow's, 0 to 95."""
    encoded = io.BytesIO()
    Image.fromarray(picture).save(encoded, "JPEG", quality=quality)
    return encoded.getvalue()
