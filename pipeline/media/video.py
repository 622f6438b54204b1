"""The only door to films: what a file holds, its frames in order, and a few of them spread out.

A frame stays as the decoder gave it until somebody asks for pixels, because converting 1080p frames costs as much as decoding
them and most are never kept (PIPELINE_FACTS: 271 frames/s decoding alone, 132 with conversion).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import av
import cv2
import numpy as np
from av.codec.context import Flags
from av.sidedata.sidedata import Type as SideData
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation, VideoReformatter
from numpy.typing import NDArray

from pipeline.core.errors import UserError
from pipeline.media import decoding, hdr
from pipeline.media.images import Picture

SUFFIXES = frozenset(
    {".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".m2ts", ".wmv", ".flv", ".ogv", ".vob"}
)

# Dolby Vision without a picture for others (profile 5), as containers name it; its colours are in a space of Dolby's own.
_DOLBY_TAGS = frozenset({"dvh1", "dvhe", "dva1", "dvav", "dav1"})
_ICTCP_MATRICES = frozenset({14, 15})  # ITU-T H.273, table 4: no linear step leads from them to RGB
_DOLBY_SIDE_DATA = SideData.DOVI_RPU_BUFFER
_UNSPECIFIED = 2  # transfer
# Formats whose first plane is luma alone, and those whose chroma has planes of its own too.
_LUMA_FIRST = re.compile(r"(yuvj?a?\d{3}p|gray)(\d+le)?|nv12")
_PLANAR = re.compile(r"yuvj?a?\d{3}p(\d+le)?")
_UNSPECIFIED_MATRIX = frozenset({0, 2, 3})
_CODES = np.arange(256, dtype=np.float32)
_FULL_LUMA = np.clip(np.rint((_CODES - 16) * (255 / 219)), 0, 255).astype(np.uint8)
_FULL_CHROMA = np.clip(np.rint((_CODES - 128) * (255 / 224) + 128), 0, 255).astype(np.uint8)
_VIDEO_LUMA = np.rint(_CODES * (219 / 255) + 16).astype(np.uint8)
# Small pictures are made from this one, so that a large frame's memory is gone through once.
_PREVIEW_WIDTH = 480
# Settings of libx264 wherever we encode. Without MB-tree, because its AVX-512 code reads memory that nobody wrote: on such
# machines the same pictures gave other bytes one time in three, so a resumed film differed from an uninterrupted one.
X264_OPTIONS = {"preset": "veryfast", "tune": "animation", "mbtree": "0"}
# With fewer of the codec's key frames than this a film is gone through for frames spread out.
_LEAST_SPREAD = 12


@dataclass(frozen=True)
class FilmInfo:
    """What the container says of a film's pictures."""

    path: Path
    width_px: int  # as shown: square pixels, turned upright
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
    damaged: bool = False  # or made from a damaged one: it may show anything

    @property
    def flagged(self) -> bool:
        """Whether the file says that it is interlaced, as it was decoded."""
        return bool(self.raw.interlaced_frame)

    def luma(self, width: int | None = None) -> NDArray[np.uint8]:
        """Luma in video range (16 black, 235 white) as shown, uint8 HxW; shrunk to `width` by area where given."""
        if not _LUMA_FIRST.fullmatch(self.raw.format.name):
            grey = np.asarray(cv2.cvtColor(self.rgb(), cv2.COLOR_RGB2GRAY), np.uint8)
            return _shrink(np.asarray(cv2.LUT(grey, _VIDEO_LUMA), np.uint8), *self._size(width))
        shown_width, shown_height = self._size(width)
        turned = self.raw.rotation % 180 != 0
        small = width is not None and shown_width <= self._preview_size[turned]
        plane, bits = (self._preview, 8) if small else _plane(self.raw, 0)
        plane = _shrink(plane, *((shown_height, shown_width) if turned else (shown_width, shown_height)))
        if bits > 8:
            plane = _eight_bits(plane, bits)
        if self.raw.color_range == ColorRange.JPEG:
            plane = np.asarray(cv2.LUT(plane, _VIDEO_LUMA), np.uint8)
        if self.light:
            plane = np.asarray(cv2.LUT(plane, hdr.luma_table(self.light)), np.uint8)
        return self._upright(plane)

    def small_bgr(self, width: int) -> Picture:
        """A small BGR picture for detectors, not turned upright. Colors are near, not exact. uint8 HxWx3."""
        size = _within(self._preview_size, width)
        if not _PLANAR.fullmatch(self.raw.format.name):
            if self.light:
                return np.ascontiguousarray(_shrink(self._rgb(), *size)[..., ::-1])
            small = self.raw.reformat(
                width=size[0], height=size[1], format="bgr24", interpolation=Interpolation.AREA, threads=1
            )
            return np.asarray(small.to_ndarray(), np.uint8)
        luma, chroma = _shrink(self._preview, *size), []
        for index in (2, 1):
            plane, bits = _plane(self.raw, index)
            # Linear is cheaper than by area, and chroma has been smoothed by its own subsampling.
            plane = np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR), plane.dtype)
            chroma.append(_eight_bits(plane, bits))
        if self.light:
            luma = np.asarray(cv2.LUT(luma, hdr.luma_table(self.light)), np.uint8)
            chroma = [np.asarray(cv2.LUT(plane, hdr.chroma_table(self.light)), np.uint8) for plane in chroma]
        if self.raw.color_range != ColorRange.JPEG:
            # Video range to full range, or every detector would see seven eighths of the contrast and miss faint cuts.
            luma = np.asarray(cv2.LUT(luma, _FULL_LUMA), np.uint8)
            chroma = [np.asarray(cv2.LUT(plane, _FULL_CHROMA), np.uint8) for plane in chroma]
        return np.asarray(cv2.cvtColor(cv2.merge([luma, *chroma]), cv2.COLOR_YCrCb2BGR), np.uint8)

    def thumb(self, width: int) -> Picture:
        """A small picture to look at, upright; colours as `small_bgr`. uint8 RGB HxWx3."""
        return np.ascontiguousarray(self._upright(self.small_bgr(width))[..., ::-1])

    def rgb(self) -> Picture:
        """The whole frame as shown: its own colours and range (HDR as Rec. 709), square pixels, upright. uint8 RGB HxWx3."""
        return self._upright(self._rgb())

    def stored(self, width: int, height: int) -> Picture:
        """As `rgb`, but upright only: pixels as the file has them, `width` x `height` before it is turned."""
        return self._upright(self._converted(width, height))

    @property
    def matrix(self) -> int:
        """By which its colours are coded (ITU-T H.273, table 4)."""
        if self.raw.colorspace not in _UNSPECIFIED_MATRIX:
            return int(self.raw.colorspace)
        if self.light:
            return int(Colorspace.BT2020)
        # What players do when a file does not say: high definition is Rec. 709, the rest Rec. 601.
        return int(Colorspace.ITU709 if self.raw.height > 576 else Colorspace.ITU601)

    def _rgb(self) -> Picture:
        """As `rgb`, not turned."""
        width, height = self.info.width_px, self.info.height_px
        return self._converted(*((height, width) if self.raw.rotation % 180 else (width, height)))

    def _converted(self, width: int, height: int) -> Picture:
        converted = VideoReformatter().reformat(
            self.raw,
            width=width,
            height=height,
            format="gbrp16le" if self.light else "gbrp",  # the same numbers as rgb24 in a third of the time
            src_colorspace=self.matrix,
            src_color_range=ColorRange.JPEG if self.raw.color_range == ColorRange.JPEG else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
            interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT,
            threads=1,
        )
        coded = cv2.merge([_plane(converted, index)[0] for index in (2, 0, 1)])
        if self.light:
            return hdr.to_sdr(coded.astype(np.uint16, copy=False), self.light, self.raw.color_primaries)
        return np.asarray(coded, np.uint8)

    @cached_property
    def light(self) -> hdr.Transfer | None:
        """How its light is coded where that is not Rec. 709's way or near it."""
        return hdr.transfer(self.raw.color_trc, self.raw.color_primaries)

    def _size(self, width: int | None) -> tuple[int, int]:
        shown = (self.info.width_px, self.info.height_px)
        return shown if width is None else _within(shown, width)

    def _upright(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        turns = round(self.raw.rotation / 90) % 4
        return np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture

    @cached_property
    def _preview_size(self) -> tuple[int, int]:
        # Of the film, not of this frame: a broadcast may change its frame size on the way.
        shown = (self.info.width_px, self.info.height_px)
        return _within(shown[::-1] if self.raw.rotation % 180 else shown, _PREVIEW_WIDTH)

    @cached_property
    def _preview(self) -> NDArray[np.uint8]:
        """Luma as coded, 8 bits, square pixels, not turned."""
        plane, bits = _plane(self.raw, 0)
        return _eight_bits(_shrink(plane, *self._preview_size), bits)


class Loss(NamedTuple):
    """Pictures of a film that could not be had, though its container promises them."""

    seconds: float
    text: str


def find(path: Path) -> list[Path]:
    """The film, or the episodes of a folder by suffix, sorted by name.

    Raises:
        UserError: nothing is there.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UserError(f"{path} does not exist: put the film there, or mend its path under films: in params.yaml")
    episodes = sorted(item for item in path.rglob("*") if item.suffix.lower() in SUFFIXES and item.is_file())
    if not episodes:
        raise UserError(f"{path} holds no films ({', '.join(sorted(SUFFIXES))}): put some there")
    return episodes


def probe(path: Path) -> FilmInfo:
    """What a film file says of itself, its first frame decoded to be sure.

    Raises:
        UserError: missing, no film, no pictures in it, or colours that cannot be made out (Dolby Vision profile 5).
    """
    with contextlib.closing(frames(path, lambda loss: None)) as first:
        return next(first).info


def frames(
    path: Path, on_loss: Callable[[Loss], None], which: decoding.Which = "all", combed: bool = False, from_s: float = 0.0
) -> Generator[Frame]:
    """The frames of a film in order, decoded with all cores, interlaced ones made whole.

    Times are the film's own (presentation time stamps), 0 where its pictures begin, and always grow. Damage in the middle is
    passed over and told to `on_loss`, as is a film that ends before its container says it does.

    Args:
        which: all frames; those from which others are predicted (B-frames are mostly left out, for half the work); or those
            that stand alone.
        combed: make every frame whole, as the file does not say which are interlaced.
        from_s: begin at the codec's key frame before this second, as far as the container can find it. Whether times and
            pictures are those of a run from the start is for the caller to see.

    Raises:
        UserError: as `probe`.
    """
    with open_film(path) as container:
        stream = picture_stream(container, path)
        stream.thread_type = "AUTO"
        if from_s > 0:
            container.seek(round((from_s + decoding.start_s(stream)) / float(stream.time_base)), stream=stream)
        info: FilmInfo | None = None
        tally = decoding.Tally()
        for index, picture in enumerate(decoding.decode(container, stream, tally, which, combed)):
            info = info or _info(container, stream, picture.raw, path)
            yield Frame(index, picture.time_s, picture.raw, info, picture.damaged)
        if info is None:
            raise UserError(f"{path}: not one frame can be decoded: the file is damaged, or empty")
        frame_s = float(1 / info.fps)
        for lost in (tally.lost_inside(frame_s), tally.lost_at_end(container, stream, frame_s)):
            if lost:
                on_loss(Loss(lost[0], f"{path}: {lost[1]}"))


def spread(path: Path, count: int) -> Iterator[Frame]:
    """Up to `count` frames at evenly spread places, by seeking to the codec's key frames: quick, and not every place is hit.

    A film with very few of those is gone through instead. Frames may be interlaced.
    """
    found = 0
    with open_film(path) as container:
        stream = picture_stream(container, path)
        info: FilmInfo | None = None
        duration_s = decoding.duration_s(container, stream) or 0.0
        seen: set[int | None] = set()
        for step in range(count if duration_s else 0):
            try:
                target_s = decoding.start_s(stream) + duration_s * (step + 0.5) / count
                container.seek(round(target_s / float(stream.time_base)), stream=stream)
                packet = next(container.demux(stream))
                if packet.pts in seen:
                    continue
                seen.add(packet.pts)
                # Drained at once: a decoder would first want the pictures that follow.
                raw = next(iter([*packet.decode(), *stream.codec_context.decode(None)]))
            except (av.FFmpegError, StopIteration):
                continue
            if raw.pts is None:
                continue
            info = info or _info(container, stream, raw, path)
            # What is drained has no time base of its own.
            yield Frame(step, float(raw.pts * stream.time_base) - decoding.start_s(stream), raw, info)
            found += 1
    if found < min(_LEAST_SPREAD, count):
        gap_s, next_s = duration_s / count, 0.0
        with contextlib.closing(frames(path, lambda loss: None)) as every:
            for frame in every:
                if frame.time_s >= next_s:
                    yield frame
                    next_s = frame.time_s + gap_s


def write_film(path: Path, frames: Iterable[Picture], *, fps: int, crf: int) -> int:
    """Encode pictures (uint8 RGB HxWx3, even sides, all of one size) as H.264 in 4:2:0, Rec. 709, video range.

    The file depends on the pictures and the libraries alone: a fixed number of threads, no time of writing in it.

    Returns:
        The number of frames written.

    Raises:
        ValueError: there are no pictures.
    """
    count = 0
    with av.open(str(path), "w", container_options={"fflags": "+bitexact", "movflags": "+faststart"}) as container:
        # Four threads whatever the machine: the number of threads changes what x264 decides.
        stream = container.add_stream("libx264", rate=fps, options=X264_OPTIONS | {"crf": str(crf), "threads": "4"})
        context = stream.codec_context
        context.pix_fmt, context.gop_size = "yuv420p", 2 * fps
        context.flags |= Flags.bitexact
        context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        shrinker = VideoReformatter()
        for count, picture in enumerate(frames, 1):
            if count == 1:
                stream.height, stream.width = picture.shape[:2]
            raw = shrinker.reformat(
                VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24"),
                format="yuv420p",
                dst_colorspace=Colorspace.ITU709,
                src_color_range=ColorRange.JPEG,
                dst_color_range=ColorRange.MPEG,
                # By area, so that no chroma crosses from the picture into the bars.
                interpolation=Interpolation.AREA
                | Interpolation.ACCURATE_RND
                | Interpolation.BITEXACT
                | Interpolation.FULL_CHR_H_INP,
                threads=1,
            )
            raw.pts = count - 1
            raw.time_base = Fraction(1, fps)
            container.mux(stream.encode(raw))
        if not count:
            raise ValueError(f"{path}: no pictures to write")
        container.mux(stream.encode())
    return count


def open_film(path: Path) -> Any:
    """A film's container, to be closed.

    Raises:
        UserError: it is not there, or is no film.
    """
    if not path.is_file():
        raise UserError(f"{path} does not exist: put the film there, or mend its path")
    try:
        return av.open(str(path), metadata_errors="replace")
    except av.FFmpegError as error:
        raise UserError(f"{path} is not a film that FFmpeg can open ({error.strerror or error}): give another file") from None


def picture_stream(container: Any, path: Path) -> Any:
    """The stream of a film that shows it: the largest that is no cover.

    Raises:
        UserError: there is none.
    """
    pictures = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    if not pictures:
        raise UserError(f"{path} has no video stream (audio only?): give a film with pictures")
    return max(pictures, key=lambda s: (s.codec_context.width * s.codec_context.height, -s.index))


def _info(container: Any, stream: Any, raw: VideoFrame, path: Path) -> FilmInfo:
    untold = raw.color_trc == _UNSPECIFIED
    dolby = stream.codec_context.codec_tag in _DOLBY_TAGS or _DOLBY_SIDE_DATA in raw.side_data
    if raw.colorspace in _ICTCP_MATRICES or (dolby and untold):
        raise UserError(
            f"{path} is Dolby Vision without a picture for other players (profile 5), or ICtCp, whose colours would come out "
            "green and purple: take a release in HDR10, HLG or SDR"
        )
    aspect = stream.sample_aspect_ratio or Fraction(1)
    width, height = raw.width, raw.height
    if aspect > 0 and aspect != 1:
        width = max(1, round(width * aspect))
    if raw.rotation % 180 != 0:
        width, height = height, width
    return FilmInfo(
        path, width, height, decoding.rate(stream), decoding.duration_s(container, stream), stream.codec_context.name
    )


def _plane(raw: VideoFrame, index: int) -> tuple[NDArray[Any], int]:
    """A plane as coded and the bits of its values: uint8 or uint16 HxW."""
    plane = raw.planes[index]
    bits = raw.format.components[0].bits
    lines = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return (lines if bits == 8 else lines.view("<u2"))[: plane.height, : plane.width], bits


def _eight_bits(plane: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    return np.asarray(plane if bits == 8 else cv2.convertScaleAbs(plane, alpha=0.5 ** (bits - 8)), np.uint8)


def _within(size: tuple[int, int], width: int) -> tuple[int, int]:
    """The width and height of a picture shrunk to a width, or its own when that is no wider."""
    return size if size[0] <= width else (width, max(2, round(width * size[1] / size[0])))


def _shrink(plane: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    """Resize by area. By halves first, which is ten times as fast as one odd step."""
    while plane.shape[1] >= 2 * width and plane.shape[0] >= 2 * height:
        size = (plane.shape[1] // 2, plane.shape[0] // 2)
        plane = cv2.resize(plane[: 2 * size[1], : 2 * size[0]], size, interpolation=cv2.INTER_AREA)
    if plane.shape != (height, width):
        plane = cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA)
    return plane
