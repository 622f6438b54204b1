"""Colors of stills that are stated by codes (ITU-T H.273) instead of an ICC profile: HDR, and primaries other than sRGB's."""

import io
from typing import NamedTuple

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.media import hdr
from pipeline.media.soundness import Content

_PNG_CHUNK = b"\0\0\0\x04cICP"  # with its length
_SRGB_PRIMARIES = 1


class ColorTags(NamedTuple):
    """Codes of color primaries and transfer function (ITU-T H.273, tables 2 and 3)."""

    primaries: int
    transfer: int

    @property
    def is_hdr(self) -> bool:
        """Whether the transfer function is PQ or HLG, so that the picture has to be tone-mapped."""
        return hdr.transfer(self.transfer, _SRGB_PRIMARIES) is not None


def find(content: Content, format: str | None) -> ColorTags | None:
    """Find the color codes in a picture file; None if it states none that call for a conversion to sRGB.

    Args:
        content: the whole file.
        format: Pillow's name of the file's format; only PNG, HEIF and AVIF are searched.
    """
    tags = None
    if format == "PNG":
        head = content[: max(0, content.find(b"IDAT"))]
        if _PNG_CHUNK in head:
            tags = ColorTags(*head.partition(_PNG_CHUNK)[2][:2])
    elif format in ("HEIF", "AVIF"):
        tags = _find_in_film(content)
    return tags if tags and (tags.is_hdr or tags.primaries in hdr.PRIMARIES.keys() - {_SRGB_PRIMARIES}) else None


def _find_in_film(content: Content) -> ColorTags | None:
    """Ask FFmpeg, to which HEIF and AVIF are films, for the color codes; None if it cannot read the file."""
    try:
        with av.open(io.BytesIO(content), options={"format_whitelist": "mov"}) as container:
            stated = container.streams.video[0].codec_context
            return ColorTags(int(stated.color_primaries), int(stated.color_trc))
    except (av.FFmpegError, IndexError):
        return None


def to_srgb(picture: NDArray[np.uint8], tags: ColorTags) -> NDArray[np.uint8]:
    """Convert a picture (uint8 RGB HxWx3) from the colors that `tags` state to sRGB: HDR is tone-mapped, the rest clipped."""
    kind = hdr.transfer(tags.transfer, _SRGB_PRIMARIES)
    if kind:
        return hdr.to_sdr(picture.astype(np.uint16) * 257, kind, tags.primaries)
    codes = np.arange(256) / 255
    table = np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4).astype(np.float32)
    light = np.clip(cv2.transform(table[picture], hdr.to_rec709(tags.primaries)), 0, 1)
    coded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(255 * coded), np.uint8)
