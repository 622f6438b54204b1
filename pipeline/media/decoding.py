"""Decoding a video stream into deinterlaced frames with increasing times, for any container, clock and damage."""

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal, NamedTuple

import av
from av.filter import Graph
from av.video.frame import VideoFrame

# This much may be missing at the end without a fault (edit lists, rounding of the last frame's duration).
_END_TOLERANCE_S = 1.0
# A longer step between two frames is a gap, except in films whose frame rate varies.
_GAP_S = 0.5
_CONSTANT_RATE_SHARE = 0.98
# A clock that jumps back by more than this was reset (joined recordings); at a smaller jump the frame is skipped.
_CLOCK_RESET_S = 1.0
_MAX_FPS = 240
_HELD = 8  # frames looked back on when a damaged one is seen: more are rarely decoded after one that they are shown before

# Frames to decode: all; "reference", those that others are predicted from, which leaves out most B-frames (the ones coded with
# the fewest bits) and half of the work; "key", those coded on their own (I-frames), a draft that may miss most shots.
Selection = Literal["all", "reference", "key"]
# With fewer frames a second all are decoded, as a short shot would be left with one or two.
_MIN_SELECTIVE_FPS = 20
_SKIP_FRAME = {"all": "DEFAULT", "reference": "NONREF", "key": "NONKEY"}


class DecodedFrame(NamedTuple):
    """A frame as the decoder gives it."""

    raw: VideoFrame
    time_s: float
    damaged: bool  # or predicted from a damaged frame: it may show anything
    order: int = 0  # in which it was decoded
    aspect: float = 1.0  # width by height as displayed, but for what the container says of the film's pixels


class MissingFrames(NamedTuple):
    """Frames that a container promises and that could not be decoded."""

    seconds: float
    text: str


@dataclass
class DamageLog:
    """Collects what went wrong while a film is decoded."""

    damaged: int = 0  # packets and frames
    spoiled: int = 0  # frames that are damaged or predicted from such,
    spoiled_s: float = 0.0  # and how long they are seen
    gaps: list[tuple[float, float]] = field(default_factory=list)  # start and length, seconds
    last_s: float = 0.0  # time of the last frame
    other_streams_end_s: float = 0.0
    _steps: int = 0
    _regular_steps: int = 0

    def advance(self, time_s: float, frame_s: float, skipped: Sequence[float] = ()) -> None:
        """Record the time of the next frame in seconds, and a gap if the step to it is long.

        Args:
            frame_s: usual seconds between two frames.
            skipped: times of the frames before it that were deliberately not decoded.
        """
        for now_s in (*skipped, time_s):
            step_s = now_s - self.last_s
            self._steps += 1
            self._regular_steps += 0.5 * frame_s <= step_s <= 1.5 * frame_s
            if step_s > _GAP_S + frame_s:
                self.gaps.append((self.last_s + frame_s, step_s - frame_s))
            self.last_s = now_s

    def missing_frames(self, container: Any, stream: Any) -> Iterator[MissingFrames]:
        """Yield what damage cost inside a film that was decoded to its end, and what is missing at its end, if anything."""
        frame_s = float(1 / frame_rate(stream))
        gaps = self.gaps if self._regular_steps >= _CONSTANT_RATE_SHARE * self._steps else []
        if gaps or self.damaged:
            seconds = max(self.damaged * frame_s, self.spoiled_s + sum(length_s for _, length_s in gaps))
            where = f", a gap at {', '.join(f'{start_s:.1f}' for start_s, _ in gaps[:5])} s" if gaps else ""
            spoiled = f" spoil {self.spoiled} frames" if self.spoiled else ""
            text = f"{self.damaged} damaged packets or frames{spoiled}{where}: about {seconds:.1f} s of pictures are lost"
            yield MissingFrames(seconds, text)
        promised_s = duration_s(container, stream)
        # The duration of a whole container is that of its longest stream, which may be the sound.
        end_s = self.last_s if _stream_duration_s(stream) is not None else max(self.last_s, self.other_streams_end_s)
        if promised_s is not None and promised_s - end_s > _END_TOLERANCE_S + frame_s:
            text = f"ends at {end_s:.1f} s, but should last {promised_s:.1f} s: the last {promised_s - end_s:.1f} s are missing"
            yield MissingFrames(promised_s - end_s, text)


def frame_rate(stream: Any) -> Fraction:
    """Frames per second as stated by the container; 24 where it states none that is plausible."""
    stated = (stream.average_rate, stream.guessed_rate, stream.base_rate)
    return next((Fraction(rate) for rate in stated if rate and 0 < rate <= _MAX_FPS), Fraction(24))


def start_s(stream: Any) -> float:
    """Time of the stream's first frame on the container's clock, in seconds; 0 where the container does not state it."""
    return float(stream.start_time * stream.time_base) if stream.start_time else 0.0


def duration_s(container: Any, stream: Any) -> float | None:
    """Seconds from the first frame to the end; None where the container does not state them."""
    duration = _stream_duration_s(stream)
    if _is_avi(container) and stream.frames:
        # Of a file that was cut off FFmpeg states the duration of what is there; the header has the number of all frames.
        duration = max(duration or 0.0, float(stream.frames / frame_rate(stream)))
    if duration is None:
        duration = container.duration / av.time_base if container.duration else None
    # Matroska states the end on its clock, wherever the frames begin.
    return duration - start_s(stream) if duration is not None and "matroska" in container.format.name else duration


def _stream_duration_s(stream: Any) -> float | None:
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    text = next((value for key, value in stream.metadata.items() if key.split("-")[0] == "DURATION"), "")
    try:
        hours, minutes, seconds = text.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return None


def decode(
    container: Any, stream: Any, damage: DamageLog, select: Selection = "all", deinterlace_all: bool = False
) -> Iterator[DecodedFrame]:
    """Yield a stream's frames in order of presentation, deinterlaced; times count from its start and strictly increase.

    All frames are decoded, whatever `select` says, where skipping some would do harm: of interlaced films (each frame is
    deinterlaced with its neighbors), of AVI (whose clock counts every frame), and at low frame rates.

    Args:
        damage: records what is damaged or missing meanwhile.
        deinterlace_all: treat every frame as interlaced, for files that do not mark them.
    """
    low_rate = select == "reference" and frame_rate(stream) < _MIN_SELECTIVE_FPS
    stream.codec_context.skip_frame = _SKIP_FRAME["all" if deinterlace_all or _is_avi(container) or low_rate else select]
    return _deinterlace(_mark_spoiled(_decode_timed(container, stream, damage), stream, damage), stream, deinterlace_all)


def _is_avi(container: Any) -> bool:
    """AVI has no presentation times; those that FFmpeg makes up for it jump, while decoding times are in order."""
    return bool(container.format.name == "avi")


def _decode_timed(container: Any, stream: Any, damage: DamageLog) -> Iterator[DecodedFrame]:
    frame_s = float(1 / frame_rate(stream))
    avi = _is_avi(container)
    origin_s = None if avi else start_s(stream)
    reset_s = offset_s = 0.0  # added at clock resets; from the container's clock to ours
    first, suspect = True, False
    bad_stamps: set[int | None] = set()
    orders: dict[int | None, int] = {}  # by time stamp; the clock may be reset, so later ones replace earlier ones
    skipped: list[float] = []  # times of frames not decoded, on the container's clock, not yet recorded
    for number, packet in enumerate(_demux(container, stream, damage)):
        orders[packet.pts] = number
        if packet.is_corrupt:
            damage.damaged += 1
            bad_stamps.add(packet.pts)
        try:
            frames = packet.decode()
        except av.FFmpegError:
            damage.damaged += 1
            suspect = True
            continue
        if stream.codec_context.skip_frame != "DEFAULT" and packet.pts is not None and not packet.is_corrupt:
            skipped.append(float(packet.pts * packet.time_base))
        for raw in frames:
            if not isinstance(raw, VideoFrame):
                continue
            damage.damaged += raw.is_corrupt
            # Damage is carried on by prediction up to the next key frame.
            suspect = raw.is_corrupt or raw.pts in bad_stamps or (suspect and not raw.key_frame)
            stamp = raw.dts if avi else raw.pts
            skipped_before: list[float] = []
            if stamp is None or raw.time_base is None:
                time_s = 0.0 if first else damage.last_s + frame_s
            else:
                clock_s = float(stamp * raw.time_base)
                origin_s = clock_s if origin_s is None else origin_s
                time_s = clock_s - origin_s + reset_s
                offset_s = time_s - clock_s
                skipped_before = [other_s + offset_s for other_s in sorted(skipped) if other_s < clock_s]
                skipped = [other_s for other_s in skipped if other_s > clock_s]
            if first:
                damage.last_s = time_s - frame_s
            elif time_s <= damage.last_s - _CLOCK_RESET_S:
                reset_s += damage.last_s + frame_s - time_s
                time_s = damage.last_s + frame_s
                offset_s, skipped, skipped_before = time_s - clock_s, [], []
            elif time_s <= damage.last_s:
                continue
            first = False
            damage.advance(time_s, frame_s, [other_s for other_s in skipped_before if other_s > damage.last_s])
            aspect = float(stream.codec_context.sample_aspect_ratio or 1) * raw.width / raw.height
            yield DecodedFrame(raw, time_s, suspect, orders.pop(raw.pts, number), aspect)
    for other_s in sorted(skipped):
        if other_s + offset_s > damage.last_s:
            damage.advance(other_s + offset_s, frame_s)


def _mark_spoiled(frames: Iterable[DecodedFrame], stream: Any, damage: DamageLog) -> Iterator[DecodedFrame]:
    """Mark frames shown before a damaged one but decoded after it, hence perhaps predicted from it; count all in `damage`."""
    held: deque[DecodedFrame] = deque()

    def release() -> DecodedFrame:
        frame = held.popleft()
        if frame.damaged:
            later_s = held[0].time_s if held else frame.time_s + float(1 / frame_rate(stream))
            damage.spoiled += 1
            damage.spoiled_s += min(later_s - frame.time_s, _GAP_S)
        return frame

    for frame in frames:
        if frame.damaged:
            for index, other in enumerate(held):
                if other.order > frame.order:
                    held[index] = other._replace(damaged=True)
        held.append(frame)
        if len(held) > (_HELD if stream.codec_context.has_b_frames else 1):
            yield release()
    while held:
        yield release()


def _demux(container: Any, stream: Any, damage: DamageLog) -> Iterator[Any]:
    """Yield the packets of a stream; note the end of the sound where the container does not state the stream's duration."""
    others = [] if _stream_duration_s(stream) is not None else list(container.streams.audio)
    packets = container.demux(stream, *others)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.FFmpegError:
            damage.damaged += 1
            return
        if packet.stream.index == stream.index:  # the last, empty packet has no stream_index
            yield packet
        elif packet.pts is not None:
            end_s = float((packet.pts + (packet.duration or 0)) * packet.time_base) - start_s(stream)
            damage.other_streams_end_s = max(damage.other_streams_end_s, end_s)


def _deinterlace(frames: Iterable[DecodedFrame], stream: Any, deinterlace_all: bool) -> Iterator[DecodedFrame]:
    """Deinterlace interlaced frames with FFmpeg's bwdif, which weaves what is still and interpolates what moves."""
    graph, shape = None, None
    waiting: deque[DecodedFrame] = deque()
    numbers = itertools.count()
    for frame in frames:
        raw = frame.raw
        if graph is not None and shape != (raw.width, raw.height, raw.format.name):
            yield from _filter(graph, waiting, None)
            graph = None
        if graph is None:
            if not (raw.interlaced_frame or deinterlace_all):
                yield frame
                continue
            stream.codec_context.skip_frame = _SKIP_FRAME["all"]
            graph, shape = _bwdif_graph(raw, deinterlace_all), (raw.width, raw.height, raw.format.name)
        waiting.append(frame)
        # The filter gives one frame for each, a frame late; their order is enough to match them.
        raw.pts, raw.time_base = next(numbers), Fraction(1, 1000)
        yield from _filter(graph, waiting, raw)
    if graph is not None:
        yield from _filter(graph, waiting, None)


def _bwdif_graph(raw: VideoFrame, deinterlace_all: bool) -> Graph:
    graph = Graph()
    source = graph.add_buffer(width=raw.width, height=raw.height, format=raw.format, time_base=Fraction(1, 1000))
    options = f"mode=send_frame:deint={'all' if deinterlace_all else 'interlaced'}"
    graph.link_nodes(source, graph.add("bwdif", options), graph.add("buffersink")).configure()
    return graph


def _filter(graph: Graph, waiting: deque[DecodedFrame], raw: VideoFrame | None) -> Iterator[DecodedFrame]:
    """Push a frame into a filter graph (None: flush it), and yield the frames that come out."""
    graph.vpush(raw)
    while waiting:
        try:
            filtered = graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        yield waiting.popleft()._replace(raw=filtered)
