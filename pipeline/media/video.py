"""Opening films and reading their frames: all in order, or a few spread over the film."""

import contextlib
from collections.abc import Callable, Generator, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.sidedata.sidedata import Type as SideData
from av.video.frame import VideoFrame

from pipeline.core.errors import UserError
from pipeline.media import decoding, kinds
from pipeline.media.encoding import film_url
from pipeline.media.frame import FilmInfo, Frame

# Dolby Vision profile 5, which has no picture for other players: codec tags, and matrices (ITU-T H.273, table 4) of ICtCp, from
# which no linear step leads to RGB.
_DOLBY_VISION_TAGS = frozenset({"dvh1", "dvhe", "dva1", "dvav", "dav1"})
_ICTCP_MATRICES = frozenset({14, 15})
_UNSPECIFIED_TRANSFER = 2
# FFmpeg's containers that hold their pictures themselves. Others, such as playlists (concat, hls, dash) and numbered stills
# (image2), open further files or addresses that a hostile "film" names.
_CONTAINERS = (
    *("mov", "matroska", "webm", "avi", "mpeg", "mpegts", "mpegvideo", "asf", "flv", "ogg", "nut", "mxf", "rm", "wtv", "dv"),
    *("gif", "apng", "webp", "ivf", "obu", "av1", "h264", "hevc", "vvc", "m4v", "vc1", "cavsvideo", "dirac", "mjpeg", "swf"),
    *("yuv4mpegpipe", "gxf", "nsv", "bink", "smk", "flic", "amv", "roq", "film_cpk", "4xm", "lmlm4", "pva", "ty", "nuv"),
)
_ONLY_THIS_FILE = {"protocol_whitelist": "file", "format_whitelist": ",".join(_CONTAINERS)}
_MAX_PIXELS = 80_000_000  # of a frame as shown, beyond 12K: damaged headers and bombs state sizes that fill the memory
_MIN_SIDE_PX = 16
# A film in which seeking reaches fewer frames than this is decoded whole by `sample_frames`.
_MIN_SAMPLED_FRAMES = 12


def probe(path: Path) -> FilmInfo:
    """Read a film's properties; its first frame is decoded to be sure that it can be.

    Raises:
        UserError: the file is missing, no film, has no video, or has colors that cannot be converted (Dolby Vision profile 5).
    """
    with contextlib.closing(frames(path, lambda missing: None)) as first:
        return next(first).info


def frames(
    path: Path,
    on_missing: Callable[[decoding.MissingFrames], None],
    select: decoding.Selection = "all",
    deinterlace_all: bool = False,
    from_s: float = 0.0,
) -> Generator[Frame]:
    """Decode the frames of a film in order, deinterlaced.

    Times are presentation times relative to the first frame and strictly increase. Damaged parts are skipped.

    Args:
        on_missing: called after the last frame if frames were lost to damage, or the film ends before the duration that its
            container states.
        select: see `decoding.Selection`.
        deinterlace_all: treat every frame as interlaced, for files that do not mark them.
        from_s: start at the codec's key frame before this second, as far as the container can find it. Callers have to check
            that times and pictures agree with those of a run from the start.

    Raises:
        UserError: the file is missing, no film, or has no video; or no frame can be decoded, or frames are too small, too large
            or in colors that cannot be converted (Dolby Vision profile 5).
    """
    with open_film(path) as container:
        stream = main_video_stream(container, path)
        stream.thread_type = "AUTO"
        if from_s > 0:
            container.seek(round((from_s + decoding.start_s(stream)) / float(stream.time_base)), stream=stream)
        info: FilmInfo | None = None
        aspect = 1.0
        damage = decoding.DamageLog()
        for index, picture in enumerate(decoding.decode(container, stream, damage, select, deinterlace_all)):
            if info is None:
                info, aspect = _info(container, stream, picture.raw, path), picture.aspect
            yield Frame(index, picture.time_s, picture.raw, info, picture.damaged, picture.aspect / aspect)
        if info is None:
            raise UserError(f"{path}: not one frame can be decoded: the file is damaged, or empty")
        for missing in damage.missing_frames(container, stream):
            on_missing(missing._replace(text=f"{path}: {missing.text}"))


def sample_frames(path: Path, count: int) -> Iterator[Frame]:
    """Yield up to `count` frames evenly spread over a film, by seeking to the codec's key frames; some places may be missed.

    Frames are not deinterlaced. If that reaches fewer than 12 (or `count`), the film is decoded whole in addition: about
    `count` deinterlaced frames follow, from the start again, or all frames if the film states no duration.

    Raises:
        UserError: the file is missing, no film, has no video, or cannot be decoded.
    """
    found = 0
    with open_film(path) as container:
        stream = main_video_stream(container, path)
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
                # Flushed at once: a decoder would otherwise wait for the frames that follow.
                raw = next(iter([*packet.decode(), *stream.codec_context.decode(None)]))
            except (av.FFmpegError, StopIteration):
                continue
            if raw.pts is None:
                continue
            info = info or _info(container, stream, raw, path)
            # A flushed frame has no time base of its own.
            yield Frame(step, float(raw.pts * stream.time_base) - decoding.start_s(stream), raw, info)
            found += 1
    if found < min(_MIN_SAMPLED_FRAMES, count):
        next_s = 0.0
        with contextlib.closing(frames(path, lambda missing: None)) as every:
            for frame in every:
                if frame.time_s >= next_s:
                    yield frame
                    next_s = frame.time_s + duration_s / count


def open_film(path: Path) -> Any:
    """Open a film's container (PyAV), to be closed by the caller.

    Raises:
        UserError: the file is missing or no film.
    """
    if not path.is_file():
        raise UserError(f"{path} does not exist: put the film there, or fix its path")
    try:
        return av.open(film_url(path), metadata_errors="replace", options=_ONLY_THIS_FILE)
    except av.FFmpegError as error:
        reason = "its kind is not known" if isinstance(error, av.ArgumentError) else error.strerror or error
        if kinds.is_picture(path):
            reason = "it is a picture, or an animation in WebP: give a folder of pictures, or convert it to GIF, APNG or MP4"
            raise UserError(f"{path} is not a film that FFmpeg can open: {reason}") from None
        raise UserError(f"{path} is not a film that FFmpeg can open ({reason}): give another file") from None


def main_video_stream(container: Any, path: Path) -> Any:
    """Return the container's video stream with the largest frames, of those that can be decoded and are no cover art.

    Args:
        path: serves messages only.

    Raises:
        UserError: there is none.
    """
    pictures = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    streams = [s for s in pictures if s.codec_context is not None]  # None: of a codec that FFmpeg does not know, or damaged
    if not streams:
        missing = "no video stream that FFmpeg can decode" if pictures else "no video stream (audio only?)"
        raise UserError(f"{path} has {missing}: give a film with pictures")
    largest = max(streams, key=lambda s: (s.codec_context.width * s.codec_context.height, -s.index))
    largest.codec_context.options = {"max_pixels": str(_MAX_PIXELS)}
    return largest


def _info(container: Any, stream: Any, raw: VideoFrame, path: Path) -> FilmInfo:
    dolby_vision = stream.codec_context.codec_tag in _DOLBY_VISION_TAGS or SideData.DOVI_RPU_BUFFER in raw.side_data
    if raw.colorspace in _ICTCP_MATRICES or (dolby_vision and raw.color_trc == _UNSPECIFIED_TRANSFER):
        raise UserError(
            f"{path} is Dolby Vision without a picture for other players (profile 5), or ICtCp, whose colors would come out "
            "green and purple: take a release in HDR10, HLG or SDR"
        )
    aspect = stream.sample_aspect_ratio or Fraction(1)
    width, height = raw.width, raw.height
    if aspect > 0 and aspect != 1:
        width = max(1, round(width * aspect))
    if min(width, height) < _MIN_SIDE_PX:
        raise UserError(f"{path}: its frames are {width}x{height}, too small to show anything: give another film")
    if width * height > _MAX_PIXELS:
        raise UserError(f"{path}: frames of {width}x{height} are over the limit of {_MAX_PIXELS / 1e6:g} megapixels (damaged?)")
    if raw.rotation % 180 != 0:
        width, height = height, width
    duration_s = decoding.duration_s(container, stream)
    return FilmInfo(path, width, height, decoding.frame_rate(stream), duration_s, stream.codec_context.name)
