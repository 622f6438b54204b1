"""Video files through a stylizer: decoded, redrawn, optionally deflickered, encoded; everything else of the file is kept.

Decoding, the network, deflickering and encoding run on threads of their own, so that the slowest of them sets the rate. Frames
are encoded in segments that lie in a hidden folder beside the result until all are there.
"""

import itertools
import math
import os
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import av

from pipeline.core import files
from pipeline.core.errors import UserError, log
from pipeline.core.stage import progress_bar
from pipeline.film.deflicker import deflicker
from pipeline.film.encoder import SegmentEncoder
from pipeline.film.remux import DEFAULT_SUFFIX, FORMATS, remux
from pipeline.film.segments import SegmentStore
from pipeline.film.source_frames import read_frames
from pipeline.film.video_format import VideoFormat, probe_format
from pipeline.inference.render_options import RenderOptions
from pipeline.inference.stylizer import Stylizer, batch_size
from pipeline.media import decoding, video
from pipeline.media.images import Photo, Picture
from pipeline.media.prefetch import prefetch


@dataclass(frozen=True)
class VideoOptions:
    """How videos are redrawn, besides `RenderOptions`."""

    deflicker: float = 0.0
    """Amount of flicker to remove, 0 to 1 (`pipeline.film.deflicker`)."""
    crf: int = 18
    """Constant rate factor of H.264: 0 is lossless, 18 looks like it, 51 is the worst."""
    segment_s: float = 10.0
    """Seconds of video that are lost at most when a run is killed."""


def result_suffix(path: Path) -> str:
    """Return the suffix of a video's result: its own in lower case if it is one of `FORMATS`, else `.mp4`."""
    return path.suffix.lower() if path.suffix.lower() in FORMATS else DEFAULT_SUFFIX


def total_megapixels(path: Path, most_per_frame: float = math.inf) -> float:
    """Estimate the megapixels of all frames of a video together, each counted as at most `most_per_frame`.

    0 if the video cannot be opened, or states no duration.
    """
    try:
        with video.open_film(path) as container:
            stream = video.main_video_stream(container, path)
            frames = (decoding.duration_s(container, stream) or 0.0) * decoding.frame_rate(stream)
            return float(frames * min(stream.width * stream.height / 1e6, most_per_frame))
    except (UserError, av.FFmpegError):
        return 0.0


def stylize_video(
    source: Path,
    target: Path,
    stylizer: Stylizer,
    render: RenderOptions,
    options: VideoOptions,
    made_by: str,
    before_visible: Callable[[Path, Path, str], None] | None = None,
) -> str:
    """Redraw a video; `target` is written whole or not at all, and replaces a file that is there.

    Args:
        target: the file to write, with a suffix of `FORMATS`, which chooses the container; its folder is created.
        made_by: identifies model and options; a run that was stopped is resumed if it has the same.
        before_visible: called with source, target and digest before the result appears.

    Returns:
        The digest of the result (`files.digest`).

    Raises:
        UserError: the source is no video or cannot be decoded, another process is redrawing it into the same target, or the
            target cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    busy = f"{source}: another run is writing {target}: wait for it, or give another folder"
    with files.locked(target.with_name(f".{target.name}.lock"), busy):
        try:
            format = probe_format(source)
            fingerprint = files.digest(f"{files.digest(source)} {made_by}".encode())
            store = SegmentStore(target.with_name(f".{target.name}.parts"), fingerprint)
            _write_segments(source, format, store, stylizer, render, options, vp9=target.suffix.lower() == ".webm")
            complete = store.folder / f"complete{target.suffix}"
            remux(source, format, store, complete, render.metadata)
            digest = files.digest(complete)
            if before_visible is not None:
                before_visible(source, target, digest)
            os.replace(complete, target)
        except (av.FFmpegError, OSError) as error:
            text = getattr(error, "strerror", None) or error
            raise UserError(f"{source}: {target} cannot be written ({text}): make room, or give another folder") from None
        shutil.rmtree(store.folder, ignore_errors=True)
        return digest


class _Frame(NamedTuple):
    segment: int
    pts: int
    source: Picture
    drawing: Picture


class _Timer(defaultdict[str, float]):
    """Maps each part of the work to the seconds that it took."""

    @contextmanager
    def measure(self, part: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self[part] += time.perf_counter() - start


def _write_segments(
    source: Path, format: VideoFormat, store: SegmentStore, stylizer: Stylizer, render: RenderOptions, options: VideoOptions,
    vp9: bool,
) -> None:  # fmt: skip
    """Redraw and encode the segments that are missing in `store`."""
    timer = _Timer(float)
    stylizer.prepare(format.height, format.width)
    depth = batch_size(format.height, format.width)
    decoded = prefetch(_decode(source, format, store, options.segment_s, timer), 2 * depth)
    frames = prefetch(_stylize(decoded, stylizer, depth, timer), depth)
    if options.deflicker > 0:
        frames = prefetch(_deflicker(frames, options.deflicker, store.last_pair(), timer), depth)
    start, count = time.perf_counter(), 0
    try:
        with progress_bar(source.name, "frames", format.frame_count, initial=store.frame_count) as progress:
            for number, group in itertools.groupby(frames, key=lambda frame: frame.segment):
                with SegmentEncoder(store.partial, format, options.crf, vp9) as encoder:
                    for frame in group:
                        with timer.measure("encoding"):
                            encoder.add(render.render(Photo(frame.source, None, None), frame.drawing), frame.pts)
                        count += 1
                        progress.update()
                store.finish(number, encoder.pts, frame.source, frame.drawing if options.deflicker > 0 else None)
    finally:
        frames.close()
    elapsed_s = time.perf_counter() - start
    if count:
        parts = ", ".join(f"{part} {seconds:.1f} s" for part, seconds in sorted(timer.items(), key=lambda item: -item[1]))
        log.info("%s: %d frames in %.1f s (%.2f/s); busy: %s", source.name, count, elapsed_s, count / elapsed_s, parts)


class _Decoded(NamedTuple):
    segment: int
    pts: int
    picture: Picture


def _decode(source: Path, format: VideoFormat, store: SegmentStore, segment_s: float, timer: _Timer) -> Generator[_Decoded]:
    frames = read_frames(source, format, segment_s, store.segments[-1] if store.segments else None)
    while True:
        with timer.measure("decoding"):
            frame = next(frames, None)
            if frame is None:
                return
            picture = frame.picture(format)
        yield _Decoded(frame.segment, frame.pts, picture)


def _stylize(decoded: Generator[_Decoded], stylizer: Stylizer, at_once: int, timer: _Timer) -> Generator[_Frame]:
    try:
        for _, group in itertools.groupby(decoded, key=lambda frame: frame.segment):
            while batch := list(itertools.islice(group, at_once)):
                with timer.measure("network"):
                    drawings = stylizer.stylize_batch([frame.picture for frame in batch])
                for frame, drawing in zip(batch, drawings, strict=True):
                    yield _Frame(*frame, drawing)
    finally:
        decoded.close()


def _deflicker(
    frames: Generator[_Frame], amount: float, previous: tuple[Picture, Picture] | None, timer: _Timer
) -> Generator[_Frame]:
    try:
        for frame in frames:
            with timer.measure("deflickering"):
                drawing = deflicker(*previous, frame.source, frame.drawing, amount) if previous else frame.drawing
            previous = frame.source, drawing
            yield frame._replace(drawing=drawing)
    finally:
        frames.close()
