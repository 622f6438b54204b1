"""From a film's packets to its frames, each with its second and whether it can be trusted. Part of the door that is video.py.

Containers tell time in four ways, decoders give damaged pictures without a word, and broadcasts are interlaced: all that ends
here, so that the rest sees whole pictures whose times grow.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal, NamedTuple

import av
from av.filter import Graph
from av.video.frame import VideoFrame

# A decoder may lose this much at the end without anything being wrong (edit lists, rounding of the last frame's duration).
_TAIL_TOLERANCE_S = 1.0
# This long between two frames is a hole, except in films whose frames often come out of step (variable rate).
_HOLE_S = 0.5
_STEADY_SHARE = 0.98
# A clock that goes back by more than this was set anew (joined recordings); by less, the frame is passed over.
_NEW_CLOCK_S = 1.0
_MAX_FPS = 240

# Which pictures are decoded: all; those from which others are predicted, which costs half in most films and leaves out only
# pictures that encoders spend the fewest bits on; or those that stand alone, a draft that may miss most shots.
Which = Literal["all", "reference", "key"]
# With fewer frames a second a short shot would be left with one or two.
_SPARSE_FPS = 20
_SKIPPED = {"all": "DEFAULT", "reference": "NONREF", "key": "NONKEY"}


class Decoded(NamedTuple):
    """A decoded picture."""

    raw: VideoFrame
    time_s: float
    damaged: bool  # or made from a damaged one: it may show anything


@dataclass
class Tally:
    """What went wrong, filled in while a film is decoded."""

    damaged: int = 0  # packets and frames
    holes: list[tuple[float, float]] = field(default_factory=list)  # second, and seconds without a picture
    last_s: float = 0.0  # of the pictures
    others_end_s: float = 0.0  # of the other streams
    _steps: int = 0
    _steady: int = 0

    def step(self, time_s: float, frame_s: float, left_out: Sequence[float] = ()) -> None:
        """A frame came at this second; those at the seconds before it were there, and were left out on purpose."""
        for at_s in (*left_out, time_s):
            step_s = at_s - self.last_s
            self._steps += 1
            self._steady += 0.5 * frame_s <= step_s <= 1.5 * frame_s
            if step_s > _HOLE_S + frame_s:
                self.holes.append((self.last_s + frame_s, step_s - frame_s))
            self.last_s = at_s

    def lost_inside(self, frame_s: float) -> tuple[float, str] | None:
        """Seconds of pictures that damage cost, and how that showed."""
        holes = self.holes if self._steady >= _STEADY_SHARE * self._steps else []
        if not holes and not self.damaged:
            return None
        seconds = max(self.damaged * frame_s, sum(length for _, length in holes))
        where = f", a hole at {', '.join(f'{at:.1f}' for at, _ in holes[:5])} s" if holes else ""
        return seconds, f"{self.damaged} damaged packets or frames{where}: about {seconds:.1f} s of pictures are lost"

    def lost_at_end(self, container: Any, stream: Any, frame_s: float) -> tuple[float, str] | None:
        """Seconds that the container promises beyond the last picture."""
        promised_s = duration_s(container, stream)
        if promised_s is None:
            return None
        # A whole film's duration is that of its longest stream, which may be the sound.
        end_s = self.last_s if _own_duration(stream) is not None else max(self.last_s, self.others_end_s)
        missing_s = promised_s - end_s
        if missing_s <= _TAIL_TOLERANCE_S + frame_s:
            return None
        return missing_s, f"ends at {end_s:.1f} s, but should last {promised_s:.1f} s: the last {missing_s:.1f} s are missing"


def rate(stream: Any) -> Fraction:
    """Frames a second, as near as the container says."""
    said = (stream.average_rate, stream.guessed_rate, stream.base_rate)
    return next((Fraction(one) for one in said if one and 0 < one <= _MAX_FPS), Fraction(24))


def start_s(stream: Any) -> float:
    """Where the pictures begin on the container's clock."""
    return float(stream.start_time * stream.time_base) if stream.start_time else 0.0


def duration_s(container: Any, stream: Any) -> float | None:
    """Seconds from the first picture to the end, as far as the container says."""
    own = _own_duration(stream)
    if own is None:
        own = container.duration / av.time_base if container.duration else None
    # Matroska gives the second at which it ends, whenever its pictures begin.
    return own - start_s(stream) if own is not None and "matroska" in container.format.name else own


def _own_duration(stream: Any) -> float | None:
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    text = next((value for key, value in stream.metadata.items() if key.split("-")[0] == "DURATION"), "")
    try:
        hours, minutes, seconds = text.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return None


def decode(container: Any, stream: Any, tally: Tally, which: Which = "all", combed: bool = False) -> Iterator[Decoded]:
    """The pictures of a stream in order of time; `combed`: interlaced, whatever they say.

    Of an interlaced stream all, because each is made whole by its neighbours, of AVI, whose clock counts every picture, and of
    a film with few frames a second.
    """
    every = combed or _is_avi(container) or (which == "reference" and rate(stream) < _SPARSE_FPS)
    stream.codec_context.skip_frame = _SKIPPED["all" if every else which]
    return _whole(_timed(container, stream, tally), stream, combed)


def _is_avi(container: Any) -> bool:
    """AVI has no presentation times; what FFmpeg makes up for them jumps, while decoding times are in order."""
    return bool(container.format.name == "avi")


def _timed(container: Any, stream: Any, tally: Tally) -> Iterator[Decoded]:
    frame_s = float(1 / rate(stream))
    avi = _is_avi(container)
    origin_s = None if avi else start_s(stream)
    shift_s = ahead_s = 0.0
    first, suspect = True, False
    bad_stamps: set[int | None] = set()
    left_out: list[float] = []  # on the container's clock, not yet passed
    for packet in _packets(container, stream, tally):
        if packet.is_corrupt:
            tally.damaged += 1
            bad_stamps.add(packet.pts)
        try:
            pictures = packet.decode()
        except av.FFmpegError:
            tally.damaged += 1
            suspect = True
            continue
        if stream.codec_context.skip_frame != "DEFAULT" and packet.pts is not None and not packet.is_corrupt:
            left_out.append(float(packet.pts * packet.time_base))
        for raw in pictures:
            if not isinstance(raw, VideoFrame):
                continue
            tally.damaged += raw.is_corrupt
            # Damage is handed on from picture to picture until one stands alone again.
            suspect = raw.is_corrupt or raw.pts in bad_stamps or (suspect and not raw.key_frame)
            stamp = raw.dts if avi else raw.pts
            between: list[float] = []
            if stamp is None or raw.time_base is None:
                time_s = 0.0 if first else tally.last_s + frame_s
            else:
                clock_s = float(stamp * raw.time_base)
                origin_s = clock_s if origin_s is None else origin_s
                time_s = clock_s - origin_s + shift_s
                ahead_s = time_s - clock_s
                between = [at_s + ahead_s for at_s in sorted(left_out) if at_s < clock_s]
                left_out = [at_s for at_s in left_out if at_s > clock_s]
            if first:
                tally.last_s = time_s - frame_s
            elif time_s <= tally.last_s - _NEW_CLOCK_S:
                shift_s += tally.last_s + frame_s - time_s
                time_s = tally.last_s + frame_s
                ahead_s, left_out, between = time_s - clock_s, [], []
            elif time_s <= tally.last_s:
                continue
            first = False
            tally.step(time_s, frame_s, [at_s for at_s in between if at_s > tally.last_s])
            yield Decoded(raw, time_s, suspect)
    for at_s in sorted(left_out):
        if at_s + ahead_s > tally.last_s:
            tally.step(at_s + ahead_s, frame_s)


def _packets(container: Any, stream: Any, tally: Tally) -> Iterator[Any]:
    """The packets of a stream; the end of the sound is noted where the container does not say how long the pictures last."""
    others = [] if _own_duration(stream) is not None else list(container.streams.audio)
    packets = container.demux(stream, *others)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.FFmpegError:
            tally.damaged += 1
            return
        if packet.stream.index == stream.index:  # the last, empty packet has no stream_index
            yield packet
        elif packet.pts is not None:
            end_s = float((packet.pts + (packet.duration or 0)) * packet.time_base) - start_s(stream)
            tally.others_end_s = max(tally.others_end_s, end_s)


def _whole(pictures: Iterable[Decoded], stream: Any, combed: bool) -> Iterator[Decoded]:
    """Interlaced pictures made whole by FFmpeg's bwdif (weaves what is still, interpolates what moves); others as they are."""
    graph, shape = None, None
    waiting: deque[Decoded] = deque()
    numbers = itertools.count()
    for picture in pictures:
        raw = picture.raw
        if graph is not None and shape != (raw.width, raw.height, raw.format.name):
            yield from _drain(graph, waiting, None)
            graph = None
        if graph is None:
            if not (raw.interlaced_frame or combed):
                yield picture
                continue
            stream.codec_context.skip_frame = _SKIPPED["all"]
            graph, shape = _deinterlacer(raw, combed), (raw.width, raw.height, raw.format.name)
        waiting.append(picture)
        # The filter gives one picture for each, one late; their order is enough to know them by.
        raw.pts, raw.time_base = next(numbers), Fraction(1, 1000)
        yield from _drain(graph, waiting, raw)
    if graph is not None:
        yield from _drain(graph, waiting, None)


def _deinterlacer(raw: VideoFrame, combed: bool) -> Graph:
    graph = Graph()
    source = graph.add_buffer(width=raw.width, height=raw.height, format=raw.format, time_base=Fraction(1, 1000))
    options = f"mode=send_frame:deint={'all' if combed else 'interlaced'}"
    graph.link_nodes(source, graph.add("bwdif", options), graph.add("buffersink")).configure()
    return graph


def _drain(graph: Graph, waiting: deque[Decoded], raw: VideoFrame | None) -> Iterator[Decoded]:
    graph.vpush(raw)
    while waiting:
        try:
            whole = graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        yield waiting.popleft()._replace(raw=whole)
