"""Joins encoded segments into a video, with the source's sound, subtitles, attachments and chapters copied unchanged."""

import heapq
import io
import itertools
import statistics
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from pipeline.core.errors import log
from pipeline.film.segments import SegmentStore
from pipeline.film.video_format import VideoFormat
from pipeline.inference.render_options import Metadata
from pipeline.media import video
from pipeline.media.encoding import film_url

FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
"""Containers that can be written, by suffix."""
DEFAULT_SUFFIX = ".mp4"  # for sources in other containers
_WITHOUT_OWN_START = ("mpegts", "mpeg", "flv", "asf")  # containers whose clock starts anywhere
_LOCATION_KEYS = ("location", "com.apple.quicktime.location")
# Metadata about the source's file, which do not hold for another file.
_FILE_KEYS = ("major_brand", "minor_version", "compatible_brands", "encoder", "duration", "_statistics", "bps", "number_of_")
_STREAM_KEYS = ("language", "title", "handler_name", "filename", "mimetype")

_TimedPackets = Iterator[tuple[Fraction, Any]]  # with their decoding time in seconds


def remux(source_path: Path, format: VideoFormat, store: SegmentStore, target_path: Path, metadata: Metadata) -> None:
    """Write the segments, and everything of the source but its pictures, into one file. No stream is encoded again.

    Streams that the container cannot hold are left out, with a warning unless they are data such as time codes.

    Args:
        format: of the source, with which the segments were encoded.
        store: holds at least one segment.
        target_path: the file to write; its suffix, one of `FORMATS`, chooses the container.
        metadata: which of the container's metadata to copy, as `RenderOptions.metadata` says.

    Raises:
        UserError: the source is missing, no film, or has no video.
    """
    container = FORMATS[target_path.suffix.lower()]
    options = {"movflags": "+faststart"} if container in ("mp4", "mov") else {}
    with (
        video.open_film(source_path) as source,
        av.open(film_url(target_path), "w", format=container, container_options=options) as target,
        av.open(film_url(store.path(store.segments[0]))) as first,
    ):
        source_pictures = video.main_video_stream(source, source_path)
        pictures: Any = target.add_stream_from_template(first.streams.video[0], opaque=True)
        pictures.time_base = format.time_base
        pictures.codec_context.framerate = format.frame_rate  # else that of the segments, whose clock is finer
        if format.display_matrix:
            pictures.set_display_matrix(format.display_matrix)
        _copy_description(source_pictures, pictures)
        copies: dict[int, Any] = {}
        for stream in source.streams:
            if stream.index == source_pictures.index:
                continue
            if _can_hold(container, stream):
                copies[stream.index] = target.add_stream_from_template(stream, opaque=True)
                _copy_description(stream, copies[stream.index])
            elif stream.type != "data":  # time codes and the like, which players do not know
                codec = stream.codec_context.name if stream.codec_context else "unknown"
                dropped = f"stream {stream.index} ({stream.type}, {codec})"
                log.warning("%s: %s cannot hold its %s, which is left out", source_path, container, dropped)
        target.metadata.update(_kept_metadata(source.metadata, metadata))
        if chapters := source.chapters():
            target.set_chapters(chapters)
        shift_s = Fraction(0)
        if source.format.name in _WITHOUT_OWN_START and source.start_time:
            shift_s = -Fraction(source.start_time, av.time_base)
        others = _copied_packets(source, copies, shift_s) if copies else iter(())
        packets = _picture_packets(store, format, pictures, round(shift_s / format.time_base))
        for _, packet in heapq.merge(packets, others, key=lambda timed: timed[0]):
            target.mux_one(packet)


def _kept_metadata(metadata: Mapping[str, str], wanted: Metadata) -> dict[str, str]:
    if wanted == "drop":
        return {}
    dropped = _FILE_KEYS if wanted == "keep" else _FILE_KEYS + _LOCATION_KEYS
    return {key: value for key, value in metadata.items() if not key.lower().startswith(dropped)}


def _copy_description(source: Any, target: Any) -> None:
    """Copy a stream's language, title and disposition."""
    target.metadata.update({key: value for key, value in source.metadata.items() if key.lower() in _STREAM_KEYS})
    target.disposition = source.disposition


def _can_hold(container: str, stream: Any) -> bool:
    """Whether a container can hold a stream unchanged. Found by trying, since muxers complain only when they start."""
    if stream.type == "video" and not stream.disposition & av.stream.Disposition.attached_pic:
        return False
    try:
        with av.open(io.BytesIO(), "w", format=container) as attempt:
            attempt.add_stream_from_template(stream, opaque=True)
            attempt.start_encoding()
    except (ValueError, av.FFmpegError):
        return False
    return True


def _picture_packets(store: SegmentStore, format: VideoFormat, stream: Any, shift: int) -> _TimedPackets:
    """Yield the packets of all segments in decoding order, with the source's presentation times.

    Decoding times start anew in each segment. Here they are made for the whole video: the presentation times in order, delayed
    by as many frames as the encoder reorders.

    Args:
        shift: added to all times, in the format's time base.
    """
    pts = [pts for segment in store.segments for pts in segment.pts]
    orders = [_presentation_ranks(store.path(segment)) for segment in store.segments]
    delay = max(position - rank for order in orders for position, rank in enumerate(order))
    durations = [after - before for before, after in itertools.pairwise(pts)]
    usual = round(statistics.median(durations)) if durations else max(1, round(1 / (format.frame_rate * format.time_base)))
    durations.append(usual)
    dts = [pts[0] - (delay - position) * usual for position in range(delay)] + pts
    first = 0  # frame of the segment
    for segment, order in zip(store.segments, orders, strict=True):
        with av.open(film_url(store.path(segment))) as container:
            packets = (packet for packet in container.demux(video=0) if packet.size)
            for position, (packet, rank) in enumerate(zip(packets, order, strict=True), first):
                packet.time_base = format.time_base
                packet.pts, packet.dts = pts[first + rank] + shift, dts[position] + shift
                packet.duration = durations[first + rank]
                packet.stream = stream
                yield packet.dts * format.time_base, packet
        first += len(order)


def _presentation_ranks(path: Path) -> list[int]:
    """Return, for each packet of a segment in decoding order, its position in presentation order."""
    with av.open(film_url(path)) as segment:
        times = [packet.pts or 0 for packet in segment.demux(video=0) if packet.size]
    ranks = {pts: rank for rank, pts in enumerate(sorted(times))}
    return [ranks[pts] for pts in times]


def _copied_packets(source: Any, copies: Mapping[int, Any], shift_s: Fraction) -> _TimedPackets:
    streams = [source.streams[index] for index in copies if source.streams[index].type != "attachment"]
    for packet in source.demux(streams):
        if packet.size == 0 or packet.dts is None:
            continue
        if shift_s:
            shift = round(shift_s / packet.time_base)
            packet.pts, packet.dts = (packet.dts if packet.pts is None else packet.pts) + shift, packet.dts + shift
        time_s = packet.dts * packet.time_base
        packet.stream = copies[packet.stream.index]
        yield time_s, packet
