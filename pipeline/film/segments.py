"""The segments of a film being redrawn, and how they become the film.

What its pictures have in common, the folder with its journal, and the joining with sound, subtitles and chapters, by packets.
"""

from __future__ import annotations

import heapq
import io
import itertools
import json
import logging
import os
import shutil
import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from av.packet import Packet
from av.sidedata.sidedata import Type as SideData
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from pipeline.core import files
from pipeline.inference.photos import Look
from pipeline.media import decoding, video
from pipeline.media.images import Picture

FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
"""What films are written as, by suffix; others become `OTHERWISE`."""
OTHERWISE = ".mp4"
JOURNAL = "segments.jsonl"
_UNKNOWN = 2  # in ITU-T H.273, of primaries, transfer and matrix
# Formats without a clock of their own begin anywhere.
_ZEROED = ("mpegts", "mpeg", "flv", "asf")
_PLACES = ("location", "com.apple.quicktime.location")
_OF_THE_FILE = ("major_brand", "minor_version", "compatible_brands", "encoder", "duration", "_statistics", "bps", "number_of_")
_OF_A_STREAM = ("language", "title", "handler_name", "filename", "mimetype")

log = logging.getLogger("genga")


# What a film is


class Form(NamedTuple):
    """What a film's pictures have in common."""

    width: int  # as stored
    height: int
    turns: int  # quarter turns that make a stored picture upright, against the clock
    display: tuple[int, ...] | None  # the container's matrix for that, which may mirror too
    aspect: Fraction  # of a stored pixel
    time_base: Fraction
    start: int
    rate: Fraction
    frames: int | None  # roughly
    matrix: int  # by which pixels are converted
    tags: tuple[int, int, int, int]  # primaries, transfer, matrix, range as the result says them


def form_of(film: Path) -> Form:
    """Look at a film's first picture.

    Raises:
        UserError: there is none.
    """
    with video.open_film(film) as container:
        stream = video.main_video_stream(container, film)
        duration_s, rate = decoding.duration_s(container, stream), decoding.frame_rate(stream)
        time_base, start = stream.time_base, stream.start_time or 0
        aspect = stream.sample_aspect_ratio or Fraction(1)
        count = stream.frames or (round(duration_s * rate) if duration_s else None)
    first = next(frames := video.frames(film, lambda loss: None))
    frames.close()
    raw: Any = first.raw
    display = bytes(raw.side_data[SideData.DISPLAYMATRIX]) if SideData.DISPLAYMATRIX in raw.side_data else None
    matrix, full = first.color_matrix, raw.color_range == ColorRange.JPEG
    said = raw.colorspace if raw.colorspace in (_UNKNOWN, matrix) else matrix
    tags = (int(raw.color_primaries), int(raw.color_trc), int(said), int(ColorRange.JPEG if full else raw.color_range))
    if first.hdr_transfer:  # brought to Rec. 709
        matrix = int(Colorspace.ITU709)
        tags = (int(ColorPrimaries.BT709), int(ColorTrc.BT709), matrix, int(ColorRange.MPEG))
        log.info("%s is HDR: the result is SDR (Rec. 709)", film)
    return Form(
        raw.width,
        raw.height,
        round(raw.rotation / 90) % 4,
        tuple(np.frombuffer(display, np.int32).tolist()) if display else None,
        aspect if aspect > 0 else Fraction(1),
        time_base,
        start,
        rate,
        count,
        matrix,
        tags,
    )


# Segments


@dataclass
class Part:
    """A segment that is whole."""

    number: int
    pts: list[int]
    size: int  # bytes
    end: str  # digest of its last picture, before it was redrawn

    @property
    def name(self) -> str:
        """Of its file."""
        return f"{self.number:06d}.nut"


class Segments:
    """The folder of segments and its journal; what another film, model or option left there is thrown away."""

    def __init__(self, folder: Path, how: str) -> None:
        self.folder, self.parts = folder, list[Part]()
        self._journal = folder / JOURNAL
        lines = self._journal.read_text("utf-8").splitlines() if self._journal.is_file() else []
        if not lines or lines[0] != how:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            lines = [how]
        for line in lines[1:]:
            try:
                part = Part(**json.loads(line))
                if (folder / part.name).stat().st_size != part.size:
                    break
            except (ValueError, TypeError, OSError):
                break
            self.parts.append(part)
        # Written anew, without what a power cut left of its last line.
        aside = folder / f"{JOURNAL}.new"
        aside.write_text("".join(f"{line}\n" for line in lines[: 1 + len(self.parts)]), "utf-8")
        os.replace(aside, self._journal)
        if self.parts:
            log.info("%s: going on after %d frames", folder, sum(len(part.pts) for part in self.parts))

    @property
    def last(self) -> int:
        """Number of the last segment that is whole; -1 for none."""
        return self.parts[-1].number if self.parts else -1

    def state(self) -> tuple[Picture, Picture] | None:
        """The last picture of the segments that are whole, and what it became."""
        if not self.parts:
            return None
        with np.load(self.folder / f"{self.last:06d}.npz") as held:
            return held["picture"], held["drawn"]

    def new(self, number: int) -> Segment:
        """A segment to be filled."""
        return Segment(self, number)

    def add(self, part: Part) -> None:
        """Note a segment that is whole."""
        with self._journal.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(part)) + "\n")
        self.parts.append(part)


def end_of(last: Picture) -> str:
    """What a segment's last picture is known by."""
    return files.digest(last.tobytes())


class Segment:
    def __init__(self, segments: Segments, number: int) -> None:
        self._segments, self._number = segments, number
        self.path = segments.folder / "begun.nut"

    def __enter__(self) -> Segment:
        return self

    def __exit__(self, *_: object) -> None:
        self.path.unlink(missing_ok=True)

    def close(self, pts: list[int], last: Picture, state: tuple[Picture, Picture] | None) -> None:
        part = Part(self._number, pts, self.path.stat().st_size, end_of(last))
        folder = self._segments.folder
        if state is not None:
            np.savez(folder / f"{self._number:06d}.npz", picture=state[0], drawn=state[1])
            (folder / f"{self._segments.last:06d}.npz").unlink(missing_ok=True)
        os.replace(self.path, folder / part.name)
        self._segments.add(part)


# The film


def join(film: Path, form: Form, kept: Segments, whole: Path, look: Look) -> None:
    """Segments and everything of the film but its pictures, by packets, into one file."""
    format = FORMATS[whole.suffix.lower()]
    options = {"movflags": "+faststart"} if format in ("mp4", "mov") else {}
    with (
        video.open_film(film) as source,
        av.open(str(whole), "w", format=format, container_options=options) as target,
        av.open(str(kept.folder / kept.parts[0].name)) as first,
    ):
        shift_s = Fraction(0)
        if source.format.name in _ZEROED and source.start_time:
            shift_s = -Fraction(source.start_time, av.time_base)
        pictures = video.main_video_stream(source, film)
        ours: Any = target.add_stream_from_template(first.streams.video[0], opaque=True)
        ours.time_base = form.time_base
        if form.display:
            ours.set_display_matrix(form.display)
        _name(ours, pictures)
        copies: dict[int, Any] = {}
        for stream in source.streams:
            if stream.index == pictures.index:
                continue
            if _holds(format, stream):
                copies[stream.index] = target.add_stream_from_template(stream, opaque=True)
                _name(copies[stream.index], stream)
            elif stream.type != "data":  # time codes and the like, which players do not know
                name = stream.codec_context.name if stream.codec_context else "unknown"
                log.warning("%s: %s cannot hold its stream %d (%s, %s), which is left out", film, format, *_told(stream, name))
        if look.metadata != "drop":
            target.metadata.update(
                {
                    key: value
                    for key, value in source.metadata.items()
                    if not key.lower().startswith(_OF_THE_FILE)
                    and (look.metadata == "keep" or not key.lower().startswith(_PLACES))
                }
            )
        if chapters := source.chapters():
            target.set_chapters(chapters)
        shift = round(shift_s / form.time_base)
        others = _others(source, copies, shift_s) if copies else iter(())
        for _, packet in heapq.merge(_pictures(kept, form, ours, shift), others, key=lambda timed: timed[0]):
            target.mux_one(packet)


def _told(stream: Any, name: str) -> tuple[int, str, str]:
    return stream.index, stream.type, name


def _name(ours: Any, theirs: Any) -> None:
    """What a stream says of itself: language, title, whether it is shown by default."""
    ours.metadata.update({key: value for key, value in theirs.metadata.items() if key.lower() in _OF_A_STREAM})
    ours.disposition = theirs.disposition


def _holds(format: str, stream: Any) -> bool:
    """Whether a container can hold a stream as it is: tried, since muxers refuse late."""
    if stream.type == "video" and not stream.disposition & av.stream.Disposition.attached_pic:
        return False
    try:
        with av.open(io.BytesIO(), "w", format=format) as trial:
            trial.add_stream_from_template(stream, opaque=True)
            trial.start_encoding()
    except (ValueError, av.FFmpegError):
        return False
    return True


def _pictures(kept: Segments, form: Form, ours: Any, shift: int) -> Iterator[tuple[Fraction, Packet[Any]]]:
    """The packets of all segments, in order of decoding, with times as the film has them.

    Each segment's decoder clock began anew; one for the whole film is made: times in order, late by as many pictures as the
    encoder looks ahead.
    """
    times = [pts for part in kept.parts for pts in part.pts]
    orders = [_orders(kept.folder / part.name) for part in kept.parts]
    late = max(place - rank for order in orders for place, rank in enumerate(order))
    steps = [after - before for before, after in itertools.pairwise(times)]
    step = round(statistics.median(steps)) if steps else max(1, round(1 / (form.rate * form.time_base)))
    decoding_times = [times[0] - (late - place) * step for place in range(late)] + times
    steps.append(step)
    first = 0
    for part, order in zip(kept.parts, orders, strict=True):
        with av.open(str(kept.folder / part.name)) as segment:
            packets = (packet for packet in segment.demux(video=0) if packet.size)
            for place, (packet, rank) in enumerate(zip(packets, order, strict=True), first):
                packet.time_base = form.time_base
                packet.pts, packet.dts = times[first + rank] + shift, decoding_times[place] + shift
                packet.duration = steps[first + rank]
                packet.stream = ours
                yield packet.dts * form.time_base, packet
        first += len(order)


def _orders(path: Path) -> list[int]:
    """Of each packet of a segment, in order of decoding, its place in order of showing."""
    with av.open(str(path)) as segment:
        shown = [packet.pts or 0 for packet in segment.demux(video=0) if packet.size]
    ranks = {pts: rank for rank, pts in enumerate(sorted(shown))}
    return [ranks[pts] for pts in shown]


def _others(source: Any, copies: dict[int, Any], shift_s: Fraction) -> Iterator[tuple[Fraction, Packet[Any]]]:
    for packet in source.demux([source.streams[index] for index in copies if source.streams[index].type != "attachment"]):
        if packet.size == 0 or packet.dts is None:
            continue
        if shift_s:
            shift = round(shift_s / packet.time_base)
            packet.pts, packet.dts = (packet.dts if packet.pts is None else packet.pts) + shift, packet.dts + shift
        at = packet.dts * packet.time_base
        packet.stream = copies[packet.stream.index]
        yield at, packet
