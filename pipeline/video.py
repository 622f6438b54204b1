"""The only door to films: what a file holds, its frames in order, and a few of them spread out.

A frame stays as the decoder gave it until somebody asks for pixels, because converting 1080p frames costs as much as decoding
them and most are never kept (PIPELINE_FACTS: 271 frames/s decoding alone, 132 with conversion).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import cv2
import numpy as np
from av.codec.context import Flags
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation, VideoReformatter
from numpy.typing import NDArray

from pipeline.faults import Fault
from pipeline.images import Picture

SUFFIXES = frozenset(
    {".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".m2ts", ".wmv", ".flv", ".ogv", ".vob"}
)

# Transfer characteristics of HDR (ITU-T H.273): PQ and HLG. Shown as SDR they are pale and wrong.
_HDR_TRANSFERS = {16: "PQ (HDR10, Dolby Vision)", 18: "HLG"}
_PLANAR_420 = frozenset({"yuv420p", "yuvj420p"})
_UNSPECIFIED_MATRIX = frozenset({0, 2, 3})
_CODES = np.arange(256, dtype=np.float32)
_FULL_LUMA = np.clip(np.rint((_CODES - 16) * (255 / 219)), 0, 255).astype(np.uint8)
_FULL_CHROMA = np.clip(np.rint((_CODES - 128) * (255 / 224) + 128), 0, 255).astype(np.uint8)
# A decoder may lose this much at the end without anything being wrong (edit lists, rounding of the last frame's duration).
_TAIL_TOLERANCE_S = 1.0


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

    def luma(self, width: int | None = None) -> NDArray[np.uint8]:
        """Luma as coded (video range: 16 black, 235 white), uint8 HxW; shrunk to `width` by area where given."""
        if self.raw.format.name in _PLANAR_420 and self.raw.rotation == 0 and self._square:
            plane = _plane(self.raw, 0)
            return plane if width is None else _shrink(plane, width)
        grey = np.asarray(cv2.cvtColor(self.rgb(), cv2.COLOR_RGB2GRAY), np.float32) * (219 / 255) + 16
        full = np.rint(grey).astype(np.uint8)
        return full if width is None else _shrink(full, width)

    def small_bgr(self, width: int) -> Picture:
        """A small BGR picture for detectors; shrunk before it is converted. Colours are near, not exact. uint8 HxWx3."""
        if self.raw.format.name in _PLANAR_420 and self.raw.width > width:
            luma = _shrink(_plane(self.raw, 0), width)
            size = (luma.shape[1], luma.shape[0])
            chroma = [cv2.resize(_plane(self.raw, index), size, interpolation=cv2.INTER_LINEAR) for index in (2, 1)]
            if self.raw.color_range != ColorRange.JPEG:
                # Video range to full range, or every detector would see seven eighths of the contrast and miss faint cuts.
                luma = np.asarray(cv2.LUT(luma, _FULL_LUMA), np.uint8)
                chroma = [cv2.LUT(plane, _FULL_CHROMA) for plane in chroma]
            return np.asarray(cv2.cvtColor(cv2.merge([luma, *chroma]), cv2.COLOR_YCrCb2BGR), np.uint8)
        height = max(2, round(width * self.raw.height / self.raw.width))
        small = self.raw.reformat(width=width, height=height, format="bgr24", interpolation=Interpolation.AREA, threads=1)
        return np.asarray(small.to_ndarray(), np.uint8)

    def rgb(self) -> Picture:
        """The whole frame as shown: its own colour matrix and range, square pixels, upright. uint8 RGB HxWx3."""
        matrix = self.raw.colorspace
        if matrix in _UNSPECIFIED_MATRIX:
            # What players do when a file does not say: high definition is Rec. 709, the rest Rec. 601.
            matrix = Colorspace.ITU709 if self.raw.height > 576 else Colorspace.ITU601
        turned = self.raw.rotation % 180 != 0
        width, height = self.info.width_px, self.info.height_px
        converted = VideoReformatter().reformat(
            self.raw,
            width=height if turned else width,
            height=width if turned else height,
            format="rgb24",
            src_colorspace=matrix,
            src_color_range=ColorRange.JPEG if self.raw.color_range == ColorRange.JPEG else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
            interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT,
            threads=1,
        )
        picture = np.asarray(converted.to_ndarray(), np.uint8)
        return np.ascontiguousarray(np.rot90(picture, round(self.raw.rotation / 90) % 4)) if self.raw.rotation else picture

    @property
    def _square(self) -> bool:
        return {self.raw.width, self.raw.height} == {self.info.width_px, self.info.height_px}


class Loss(NamedTuple):
    """Pictures of a film that could not be had, though its container promises them."""

    seconds: float
    text: str


def find(path: Path) -> list[Path]:
    """The film, or the episodes of a folder by suffix, sorted by name.

    Raises:
        Fault: nothing is there.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise Fault(f"{path} does not exist: put the film there, or mend its path under films: in params.yaml")
    episodes = sorted(item for item in path.rglob("*") if item.suffix.lower() in SUFFIXES and item.is_file())
    if not episodes:
        raise Fault(f"{path} holds no films ({', '.join(sorted(SUFFIXES))}): put some there")
    return episodes


def probe(path: Path) -> FilmInfo:
    """What a film file says of itself, its first frame decoded to be sure.

    Raises:
        Fault: missing, no film, no pictures in it, or HDR.
    """
    with _open(path) as container:
        stream = _video_stream(container, path)
        try:
            first = next(iter(container.decode(stream)))
        except (av.FFmpegError, StopIteration):
            raise Fault(f"{path}: not one frame can be decoded: the file is damaged, or empty") from None
        return _info(container, stream, first, path)


def frames(path: Path, on_loss: Callable[[Loss], None]) -> Iterator[Frame]:
    """Every frame of a film in order, decoded with all cores.

    Damage in the middle is passed over and told to `on_loss`, as is a film that ends before its container says it does.

    Raises:
        Fault: as `probe`.
    """
    with _open(path) as container:
        stream = _video_stream(container, path)
        stream.thread_type = "AUTO"
        info: FilmInfo | None = None
        index, last_s, step_s, damaged = 0, 0.0, 0.0, 0
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
                decoded = packet.decode()
            except StopIteration:
                break
            except av.FFmpegError:
                damaged += 1
                continue
            for raw in decoded:
                if not isinstance(raw, VideoFrame) or raw.pts is None or raw.time_base is None:
                    continue
                if info is None:
                    info = _info(container, stream, raw, path)
                    step_s = float(1 / info.fps)
                damaged += bool(raw.is_corrupt)
                last_s = float(raw.pts * raw.time_base) - _start_s(stream)
                yield Frame(index, last_s, raw, info)
                index += 1
        if info is None:
            raise Fault(f"{path}: not one frame can be decoded: the file is damaged, or empty")
        if damaged:
            lost_s = damaged * step_s
            on_loss(Loss(lost_s, f"{path}: {damaged} damaged packets or frames, about {lost_s:.1f} s of pictures"))
        missing_s = (info.duration_s or 0.0) - last_s
        if missing_s > _TAIL_TOLERANCE_S + step_s:
            ends = f"ends at {last_s:.1f} s, but should last {info.duration_s:.1f} s"
            on_loss(Loss(missing_s, f"{path}: {ends}: the last {missing_s:.1f} s are missing"))


def spread(path: Path, count: int) -> Iterator[Frame]:
    """Up to `count` frames at evenly spread places, by seeking to the codec's key frames: quick, and not every place is hit.

    A file that cannot be sought gives the frames it gives.
    """
    with _open(path) as container:
        stream = _video_stream(container, path)
        info: FilmInfo | None = None
        duration_s = _duration_s(container, stream)
        seen: set[int] = set()
        for step in range(count):
            try:
                if duration_s:
                    target_s = _start_s(stream) + duration_s * (step + 0.5) / count
                    container.seek(round(target_s / float(stream.time_base)), stream=stream)
                raw = next(iter(container.decode(stream)))
            except (av.FFmpegError, StopIteration):
                continue
            if raw.pts is None or raw.time_base is None or raw.pts in seen:
                continue
            seen.add(raw.pts)
            info = info or _info(container, stream, raw, path)
            yield Frame(step, float(raw.pts * raw.time_base) - _start_s(stream), raw, info)


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
        stream = container.add_stream(
            "libx264", rate=fps, options={"crf": str(crf), "preset": "veryfast", "tune": "animation", "threads": "4"}
        )
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


def _open(path: Path) -> Any:
    if not path.is_file():
        raise Fault(f"{path} does not exist: put the film there, or mend its path under films: in params.yaml")
    try:
        return av.open(str(path), metadata_errors="replace")
    except av.FFmpegError as error:
        raise Fault(f"{path} is not a film that FFmpeg can open ({error.strerror or error}): give another file") from None


def _video_stream(container: Any, path: Path) -> Any:
    pictures = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    if not pictures:
        raise Fault(f"{path} has no video stream (audio only?): give a film with pictures")
    return max(pictures, key=lambda s: (s.codec_context.width * s.codec_context.height, -s.index))


def _info(container: Any, stream: Any, raw: VideoFrame, path: Path) -> FilmInfo:
    if raw.color_trc in _HDR_TRANSFERS:
        raise Fault(
            f"{path} is HDR ({_HDR_TRANSFERS[raw.color_trc]}), whose colours would come out pale: convert it to SDR first, "
            "e.g. with ffmpeg's zscale and tonemap filters"
        )
    aspect = stream.sample_aspect_ratio or Fraction(1)
    width, height = raw.width, raw.height
    if aspect > 0 and aspect != 1:
        width = max(1, round(width * aspect))
    if raw.rotation % 180 != 0:
        width, height = height, width
    rate = stream.average_rate or stream.guessed_rate or Fraction(24)
    return FilmInfo(path, width, height, Fraction(rate), _duration_s(container, stream), stream.codec_context.name)


def _duration_s(container: Any, stream: Any) -> float | None:
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else None


def _start_s(stream: Any) -> float:
    return float(stream.start_time * stream.time_base) if stream.start_time else 0.0


def _plane(raw: VideoFrame, index: int) -> NDArray[np.uint8]:
    plane = raw.planes[index]
    lines = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return lines[: plane.height, : plane.width]


def _shrink(plane: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    if plane.shape[1] <= width:
        return plane
    height = max(2, round(width * plane.shape[0] / plane.shape[1]))
    return np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
