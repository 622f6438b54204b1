"""A decoded frame whose pixels are converted when asked for, in the form and size asked for.

Converting 1080p frames costs as much as decoding them, and most are never kept (271 frames/s decoding alone, 132 with
conversion).
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from pipeline.core.errors import UserError
from pipeline.media import hdr
from pipeline.media.images import Picture

# Pixel formats whose first plane is luma alone, and those with separate planes for luma and chroma.
_LUMA_PLANE_FORMATS = re.compile(r"(yuvj?a?\d{3}p|gray)(\d+le)?|nv12")
_PLANAR_FORMATS = re.compile(r"yuvj?a?\d{3}p(\d+le)?")
_UNSPECIFIED_MATRICES = frozenset({0, 2, 3})  # ITU-T H.273, table 4
_CODES = np.arange(256, dtype=np.float32)
_LUMA_TO_FULL_RANGE = np.clip(np.rint((_CODES - 16) * (255 / 219)), 0, 255).astype(np.uint8)
_CHROMA_TO_FULL_RANGE = np.clip(np.rint((_CODES - 128) * (255 / 224) + 128), 0, 255).astype(np.uint8)
_LUMA_TO_VIDEO_RANGE = np.rint(_CODES * (219 / 255) + 16).astype(np.uint8)
# Small pictures are made from one of this width, so that the memory of a large frame is read once.
_PREVIEW_WIDTH = 480


@dataclass(frozen=True)
class FilmInfo:
    """Properties of a film's video stream."""

    path: Path
    width_px: int  # as displayed: square pixels, upright
    height_px: int
    fps: Fraction
    duration_s: float | None
    codec: str


@dataclass(frozen=True)
class Frame:
    """One decoded frame, not yet converted."""

    index: int
    time_s: float
    raw: VideoFrame
    info: FilmInfo
    damaged: bool = False  # or predicted from a damaged frame: it may show anything
    # Where the aspect changes on the way (broadcasts): its own width over that of `info`, in which it is converted like all.
    stretch: float = 1.0

    def luma(self, width: int | None = None) -> NDArray[np.uint8]:
        """Return luma in video range (16 black, 235 white) as displayed, uint8 HxW; shrunk by area if wider than `width`."""
        displayed = (self.info.width_px, self.info.height_px)
        size = displayed if width is None else _fit_width(displayed, width)
        if not _LUMA_PLANE_FORMATS.fullmatch(self.raw.format.name):
            gray = cv2.cvtColor(self.rgb(), cv2.COLOR_RGB2GRAY)
            return _shrink(_look_up(gray, _LUMA_TO_VIDEO_RANGE), *size)
        sideways = self.raw.rotation % 180 != 0
        from_preview = width is not None and size[0] <= self._preview_size[sideways]
        plane, bits = (self._preview, 8) if from_preview else _plane(self.raw, 0)
        plane = _to_eight_bits(_shrink(plane, *(size[::-1] if sideways else size)), bits)
        if self.raw.color_range == ColorRange.JPEG:
            plane = _look_up(plane, _LUMA_TO_VIDEO_RANGE)
        if self.hdr_transfer:
            plane = _look_up(plane, hdr.luma_table(self.hdr_transfer))
        return self._upright(plane)

    def small_bgr(self, width: int) -> NDArray[np.uint8]:
        """Convert to uint8 BGR HxWx3 at most `width` and 480 pixels wide, not turned upright, colors approximate."""
        size = _fit_width(self._preview_size, width)
        if not _PLANAR_FORMATS.fullmatch(self.raw.format.name):
            if self.hdr_transfer:
                return np.ascontiguousarray(_shrink(self._rgb(), *size)[..., ::-1])
            small = self._reformat(*size, format="bgr24", interpolation=Interpolation.AREA)
            return np.asarray(small.to_ndarray(), np.uint8)
        luma, chroma = _shrink(self._preview, *size), []
        for index in (2, 1):
            plane, bits = _plane(self.raw, index)
            # Linear is cheaper than by area, and chroma has been smoothed by its own subsampling.
            plane = np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR), plane.dtype)
            chroma.append(_to_eight_bits(plane, bits))
        if self.hdr_transfer:
            luma = _look_up(luma, hdr.luma_table(self.hdr_transfer))
            chroma = [_look_up(plane, hdr.chroma_table(self.hdr_transfer)) for plane in chroma]
        if self.raw.color_range != ColorRange.JPEG:
            # In video range detectors would see seven eighths of the contrast and miss faint cuts.
            luma = _look_up(luma, _LUMA_TO_FULL_RANGE)
            chroma = [_look_up(plane, _CHROMA_TO_FULL_RANGE) for plane in chroma]
        return np.asarray(cv2.cvtColor(cv2.merge([luma, *chroma]), cv2.COLOR_YCrCb2BGR), np.uint8)

    def thumbnail(self, width: int) -> Picture:
        """Convert to a small upright picture, uint8 RGB HxWx3; size before turning and colors are as of `small_bgr`."""
        return np.ascontiguousarray(self._upright(self.small_bgr(width))[..., ::-1])

    def rgb(self) -> Picture:
        """Convert to a picture as displayed: square pixels, upright, sRGB (HDR tone-mapped to Rec. 709). uint8 RGB HxWx3.

        Raises:
            UserError: FFmpeg cannot convert the frame.
        """
        return self._upright(self._rgb())

    def storage_rgb(self, width: int, height: int) -> Picture:
        """Convert as `rgb` does, but keep the pixels of the file: `width` x `height` before the picture is turned upright."""
        return self._upright(self._converted(width, height))

    @property
    def color_matrix(self) -> int:
        """Code of the matrix from Y'CbCr to RGB (ITU-T H.273, table 4); where it is unspecified, what players assume."""
        if self.raw.colorspace not in _UNSPECIFIED_MATRICES:
            return int(self.raw.colorspace)
        if self.hdr_transfer:
            return int(Colorspace.BT2020)
        return int(Colorspace.ITU709 if self.raw.height > 576 else Colorspace.ITU601)

    @cached_property
    def hdr_transfer(self) -> hdr.Transfer | None:
        """The transfer function that needs tone mapping; None for Rec. 709 and similar ones."""
        return hdr.transfer(self.raw.color_trc, self.raw.color_primaries)

    def _rgb(self) -> Picture:
        """As `rgb`, not turned upright."""
        width, height = self.info.width_px, self.info.height_px
        return self._converted(*((height, width) if self.raw.rotation % 180 else (width, height)))

    def _converted(self, width: int, height: int) -> Picture:
        converted = self._reformat(
            width=width,
            height=height,
            format="gbrp16le" if self.hdr_transfer else "gbrp",  # the same values as rgb24 in a third of the time
            src_colorspace=self.color_matrix,
            src_color_range=ColorRange.JPEG if self.raw.color_range == ColorRange.JPEG else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
            interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT,
        )
        coded = cv2.merge([_plane(converted, index)[0] for index in (2, 0, 1)])
        if self.hdr_transfer:
            return hdr.to_sdr(coded.astype(np.uint16, copy=False), self.hdr_transfer, self.raw.color_primaries)
        return np.asarray(coded, np.uint8)

    def _reformat(self, width: int, height: int, **options: Any) -> VideoFrame:
        try:
            return VideoReformatter().reformat(self.raw, width, height, threads=1, **options)
        except (av.FFmpegError, ValueError) as error:
            kind = f"{self.raw.width}x{self.raw.height} {self.raw.format.name}"
            raise UserError(
                f"{self.info.path}: a frame ({kind}) cannot be converted ({error}): the film is damaged, or of a rare kind"
            ) from None

    def _upright(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        quarter_turns = round(self.raw.rotation / 90) % 4
        return np.ascontiguousarray(np.rot90(picture, quarter_turns)) if quarter_turns else picture

    @cached_property
    def _preview_size(self) -> tuple[int, int]:
        # From the film's size and not this frame's, as the frame size of a broadcast may change on the way.
        displayed = (self.info.width_px, self.info.height_px)
        return _fit_width(displayed[::-1] if self.raw.rotation % 180 else displayed, _PREVIEW_WIDTH)

    @cached_property
    def _preview(self) -> NDArray[np.uint8]:
        """Luma as coded, 8 bits, square pixels, not turned upright."""
        plane, bits = _plane(self.raw, 0)
        return _to_eight_bits(_shrink(plane, *self._preview_size), bits)


def _plane(raw: VideoFrame, index: int) -> tuple[NDArray[Any], int]:
    """One plane as coded, uint8 or uint16 HxW, and the bits of its values."""
    plane = raw.planes[index]
    bits = raw.format.components[0].bits
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return (rows if bits == 8 else rows.view("<u2"))[: plane.height, : plane.width], bits


def _to_eight_bits(plane: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    return np.asarray(plane if bits == 8 else cv2.convertScaleAbs(plane, alpha=0.5 ** (bits - 8)), np.uint8)


def _look_up(plane: NDArray[Any], table: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.LUT(plane, table), np.uint8)


def _fit_width(size: tuple[int, int], width: int) -> tuple[int, int]:
    """Scale a size (width, height) down to a width; a narrower one is returned as it is."""
    return size if size[0] <= width else (width, max(2, round(width * size[1] / size[0])))


def _shrink(plane: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    """Resize by area; by halves first, which is ten times as fast as one odd step."""
    while plane.shape[1] >= 2 * width and plane.shape[0] >= 2 * height:
        size = (plane.shape[1] // 2, plane.shape[0] // 2)
        plane = cv2.resize(plane[: 2 * size[1], : 2 * size[0]], size, interpolation=cv2.INTER_AREA)
    if plane.shape[:2] != (height, width):
        plane = cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA)
    return plane
