"""TIFF files that Pillow scrambles or does not open: 16 bits in planes, whole numbers of 32 bits, floating point numbers."""

import io
import logging
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from PIL import Image

from pipeline.media.soundness import Content

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_GRAY, _RGB = 1, 2  # photometric interpretations
_IN_PLANES = 2
_PREMULTIPLIED, _OPACITY = 1, 2  # kinds of extra samples
_MAX_SAMPLES = 8  # colors, opacity, some more; a bomb states thousands
_ORIENTATION = 274


def read_rare(content: Content, check_size: Callable[[int, int], None]) -> Image.Image | None:
    """Decode a TIFF file with 16 bits in planes, 32 bits or floating point numbers, which Pillow scrambles or does not open.

    Args:
        content: the whole file.
        check_size: called with width and height before pixels are decoded; what it raises is raised here.

    Returns:
        The first page in 8 bits, with its color profile, and upright or with its orientation in EXIF; None for other files.

    Raises:
        ValueError: colors other than gray and RGB, floating point numbers that are not from 0 to 1, or a rare compression.
    """
    if content[:4] not in _MAGIC:
        return None
    import tifffile  # takes a tenth of a second

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what it says without naming the file, it raises too
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        page: Any = file.pages[0]
        in_planes, floating = page.planarconfig == _IN_PLANES, page.dtype is not None and page.dtype.kind == "f"
        if not (floating or page.bitspersample > 16 or (page.bitspersample > 8 and in_planes)):
            return None
        check_size(page.imagewidth, page.imagelength)
        if page.photometric not in (_GRAY, _RGB) or page.samplesperpixel > _MAX_SAMPLES or page.imagedepth != 1:
            raise ValueError("its colors are neither gray nor RGB: save it with 8 bits a channel")
        chunky = not in_planes and page.dtype != np.float16
        pixels = _decode_chunky(content) if chunky else page.asarray()
        if in_planes:
            pixels = np.moveaxis(pixels, 0, -1)
    extra = page.extrasamples[0] if page.photometric == _RGB and page.extrasamples else 0
    channels = 4 if extra in (_PREMULTIPLIED, _OPACITY) else 3
    pixels = pixels[..., :channels] if page.photometric == _RGB else pixels.reshape(*pixels.shape[:2], -1)[..., 0]
    if floating and not (pixels.min() >= 0 and pixels.max() <= 1):
        raise ValueError("its numbers are not from 0 to 1, so what white is is not known: save it with 16 bits a channel")
    white = 1.0 if floating else float(np.iinfo(pixels.dtype).max)
    levels = pixels.astype(np.float32) * np.float32(255 / white)
    if extra == _PREMULTIPLIED:
        levels[..., :3] = np.minimum(levels[..., :3] * (255 / np.maximum(levels[..., 3:], 1e-6)), 255)
    image = Image.fromarray(np.rint(levels).astype(np.uint8))
    if page.iccprofile:
        image.info["icc_profile"] = page.iccprofile
    if not chunky and (tag := page.tags.get(_ORIENTATION)):
        image.getexif()[_ORIENTATION] = int(tag.value)
    return image


def _decode_chunky(content: Content) -> np.ndarray[Any, Any]:
    """Decode with OpenCV, which knows all usual compressions, and turns pictures upright."""
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None:
        raise ValueError("it is compressed in a rare way: save it without compression")
    return decoded if decoded.ndim == 2 else decoded[..., [2, 1, 0, *range(3, decoded.shape[2])]]
