"""Films through a stylizer: decoded, redrawn, encoded, with everything else of the file as it was.

Four parts, each on a thread of its own, so that the slowest alone sets the rate: decoding, the network, steadying, encoding.
Pictures are encoded in segments that each stand alone and lie in a hidden folder beside the result until the film is whole;
a run that was killed goes on after the last one. Then the segments are joined, and sound, subtitles and chapters copied, by
packets: nothing is encoded twice.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import shutil
import time
from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, NamedTuple

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from pipeline.core import files
from pipeline.core.errors import UserError
from pipeline.core.lock import alone
from pipeline.core.stage import bar
from pipeline.film.deflicker import steadied
from pipeline.film.segments import FORMATS, OTHERWISE, Form, Part, Segments, end_of, form_of, join
from pipeline.inference.photos import BATCH_MEGAPIXELS, Accelerates, Look, Redraws
from pipeline.media import decoding, encoding, video
from pipeline.media.frame import Frame
from pipeline.media.images import Photo, Picture
from pipeline.media.prefetch import prefetch

SEGMENT_S = 10.0
"""Seconds of film that a kill costs at most."""
MOST_AT_ONCE = 16
VP9_CRF_MORE = 10  # of its scale to 63, for what H.264 looks like at a number of its scale to 51

log = logging.getLogger("genga")

Spent = defaultdict[str, float]
"""Seconds that each part was at work."""


@dataclass(frozen=True)
class Films:
    """How films are redrawn, for `redraw.redraw_files`."""

    steady: float = 0.0
    """How much flicker is taken out, 0 to 1 (`pipeline.film.deflicker`)."""
    crf: int = 18
    """Of H.264: 0 loses nothing, 18 is hard to tell from it, 51 is worst."""
    segment_s: float = SEGMENT_S

    suffixes: ClassVar[frozenset[str]] = video.SUFFIXES

    @property
    def how(self) -> str:
        """What tells results apart, besides film, model and look."""
        return json.dumps(asdict(self), sort_keys=True)

    def suffix(self, film: PurePosixPath) -> str:
        """Of the result: the film's own where we write that, else `OTHERWISE`."""
        return film.suffix.lower() if film.suffix.lower() in FORMATS else OTHERWISE

    def megapixels(self, film: Path) -> float:
        """Of all its pictures, roughly; 0 where it cannot be opened, which `redraw` says."""
        try:
            with video.open_film(film) as container:
                stream = video.main_video_stream(container, film)
                frames = (decoding.duration_s(container, stream) or 0.0) * decoding.frame_rate(stream)
                return float(frames * stream.width * stream.height / 1e6)
        except (UserError, av.FFmpegError):
            return 0.0

    def redraw(self, film: Path, target: Path, stylizer: Redraws, look: Look, how: str) -> str:
        """Redraw a film, going on where a run with the same `how` was stopped; `target` is there whole or not at all.

        Returns:
            The digest of the result.

        Raises:
            UserError: it is no film, cannot be decoded, or the disk refuses.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        with alone(target.with_name(f".{target.name}.lock")) as ours:
            if not ours:
                raise UserError(f"{film}: another run is at work on {target}: let it end, or give another folder")
            return self._redraw(film, target, stylizer, look, how)

    def _redraw(self, film: Path, target: Path, stylizer: Redraws, look: Look, how: str) -> str:
        """As `redraw`, with nobody else at work on the same target."""
        try:
            kept = Segments(target.with_name(f".{target.name}.parts"), files.digest(f"{files.digest(film)} {how}".encode()))
            form = form_of(film)
            self._draw(film, form, kept, stylizer, look, vp9=target.suffix.lower() == ".webm")
            whole = kept.folder / f"whole{target.suffix}"
            join(film, form, kept, whole, look)
            os.replace(whole, target)
        except (av.FFmpegError, OSError) as error:
            text = getattr(error, "strerror", None) or error
            raise UserError(f"{film}: {target} cannot be written ({text}): make room, or give another folder") from None
        shutil.rmtree(kept.folder, ignore_errors=True)
        return files.digest(target)

    def _draw(self, film: Path, form: Form, kept: Segments, stylizer: Redraws, look: Look, vp9: bool) -> None:
        """Make the segments that are not there yet."""
        spent: Spent = defaultdict(float)
        if isinstance(stylizer, Accelerates):
            stylizer.expect(form.height, form.width)
        at_once = max(1, min(MOST_AT_ONCE, int(BATCH_MEGAPIXELS * 1e6 / (form.width * form.height))))
        moments = prefetch(_decoded(film, form, kept.parts, self.segment_s, spent), 2 * at_once)
        drawn = prefetch(_drawn(moments, stylizer, at_once, spent), at_once)
        if self.steady > 0:
            drawn = prefetch(_steadied(drawn, self.steady, kept.state(), spent), at_once)
        began, count = time.perf_counter(), 0
        try:
            with bar(film.name, "frames", form.frames, initial=sum(len(part.pts) for part in kept.parts)) as shown:
                for number, group in itertools.groupby(drawn, key=lambda one: one.moment.segment):
                    with kept.new(number) as segment:
                        encoder = _Encoder(segment.path, form, self.crf, vp9)
                        try:
                            for one in group:
                                start = time.perf_counter()
                                encoder.add(look.finish(Photo(one.moment.picture, None, None), one.picture), one.moment.pts)
                                spent["encoding"] += time.perf_counter() - start
                                count += 1
                                shown.update()
                        finally:
                            encoder.close()
                        ends = one.moment.picture, one.picture
                        segment.close(encoder.pts, ends[0], ends if self.steady > 0 else None)
        finally:
            drawn.close()
        wall_s = time.perf_counter() - began
        if count:
            parts = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in sorted(spent.items(), key=lambda part: -part[1]))
            log.info("%s: %d frames in %.1f s (%.2f a second); at work: %s", film.name, count, wall_s, count / wall_s, parts)


# The four parts


class Moment(NamedTuple):
    """A picture of the film."""

    segment: int
    pts: int
    picture: Picture  # upright


class Drawn(NamedTuple):
    """And what it became."""

    moment: Moment
    picture: Picture


class _Shown(NamedTuple):
    """A frame of the film."""

    segment: int
    pts: int
    frame: Frame


def _decoded(film: Path, form: Form, done: Sequence[Part], segment_s: float, spent: Spent) -> Generator[Moment]:
    """The pictures after the segments that are done."""
    start = time.perf_counter()
    shown = _after(film, form, done[-1], segment_s) if done else _shown(film, form, segment_s)
    for segment, pts, frame in shown:
        picture = frame.storage_rgb(form.width, form.height)
        spent["decoding"] += time.perf_counter() - start
        yield Moment(segment, pts, picture)
        start = time.perf_counter()


def _after(film: Path, form: Form, last: Part, segment_s: float) -> Iterator[_Shown]:
    """The frames after a segment that is done, decoded from the key frame before it on.

    Films lie: about key frames, clocks, what a frame is made from. So the segment is decoded once more, and only where it comes
    out as it was is what follows believed; else the film is decoded from its start.
    """
    rest = _shown(film, form, segment_s, float((last.pts[0] - form.start) * form.time_base))
    try:
        beyond = _beyond(rest, form, last)
    except (av.FFmpegError, UserError):  # of seeking, or of where it led to
        beyond = None
    if beyond is None:
        log.info("%s: cannot be entered in its middle, and is decoded from its start", film)
        rest.close()
        rest, beyond = _shown(film, form, segment_s), []
    yield from (one for one in itertools.chain(beyond, rest) if one.segment > last.number)


def _beyond(frames: Iterator[_Shown], form: Form, last: Part) -> list[_Shown] | None:
    """Go through frames to the end of a segment: what was read beyond it; None if its times or end are not as they were."""
    times: list[int] = []
    end, beyond = None, list[_Shown]()
    for one in frames:
        if one.segment > last.number:
            beyond = [one]
            break
        if one.segment == last.number:
            times.append(one.pts)
            end = one.frame
    same = times == last.pts and end is not None and end_of(end.storage_rgb(form.width, form.height)) == last.end
    return beyond if same else None


def _shown(film: Path, form: Form, segment_s: float, from_s: float = 0.0) -> Generator[_Shown]:
    before = -1
    for frame in video.frames(film, lambda loss: log.warning("%s", loss.text), from_s=from_s):
        before = max(form.start + round(Fraction(frame.time_s) / form.time_base), before + 1)
        yield _Shown(int(frame.time_s / segment_s), before, frame)


def _drawn(moments: Generator[Moment], stylizer: Redraws, at_once: int, spent: Spent) -> Generator[Drawn]:
    try:
        for _, group in itertools.groupby(moments, key=lambda moment: moment.segment):
            while batch := list(itertools.islice(group, at_once)):
                start = time.perf_counter()
                drawn = stylizer.batch([moment.picture for moment in batch])
                spent["network"] += time.perf_counter() - start
                yield from map(Drawn, batch, drawn)
    finally:
        moments.close()


def _steadied(drawn: Generator[Drawn], amount: float, before: tuple[Picture, Picture] | None, spent: Spent) -> Generator[Drawn]:
    try:
        for moment, picture in drawn:
            start = time.perf_counter()
            if before is not None:
                picture = steadied(*before, moment.picture, picture, amount)
            before = moment.picture, picture
            spent["steadying"] += time.perf_counter() - start
            yield Drawn(moment, picture)
    finally:
        drawn.close()


class _Encoder:
    """Pictures to a file that stands alone."""

    def __init__(self, path: Path, form: Form, crf: int, vp9: bool) -> None:
        self._form, self._crf, self._vp9 = form, crf, vp9
        self._container = av.open(str(path), "w", format="nut")
        self._stream: Any = None
        self._converter = VideoReformatter()
        self.pts: list[int] = []

    def add(self, upright: Picture, pts: int) -> None:
        """Encode a picture to be shown at this time."""
        picture = np.ascontiguousarray(np.rot90(upright, -self._form.turns))
        if self._stream is None:
            self._stream = self._open(picture.shape[1], picture.shape[0])
        full = self._form.tags[3] == ColorRange.JPEG
        raw = self._converter.reformat(
            VideoFrame.from_ndarray(picture, format="rgb24"),
            format=self._stream.codec_context.pix_fmt,
            dst_colorspace=self._form.matrix,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
            interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP,
            threads=1,
        )
        raw.pts, raw.time_base = pts, self._form.time_base
        self.pts.append(pts)
        self._container.mux(self._stream.encode(raw))

    def close(self) -> None:
        """Write what the encoder still holds."""
        with self._container:
            if self._stream is not None:
                self._container.mux(self._stream.encode())

    def _open(self, width: int, height: int) -> Any:
        if self._vp9:
            options = {
                "crf": str(min(63, self._crf + VP9_CRF_MORE)),
                "b:v": "0",
                "deadline": "good",
                "cpu-used": "4",
                "row-mt": "1",
            }
        else:
            options = encoding.X264_OPTIONS | {"crf": str(self._crf)}
        stream: Any = self._container.add_stream(
            "libvpx-vp9" if self._vp9 else "libx264", rate=self._form.rate, options=options
        )
        context = stream.codec_context
        context.width, context.height = width, height
        # 4:2:0 of H.264 has even sides only.
        context.pix_fmt = "yuv420p" if self._vp9 or (width % 2 == 0 and height % 2 == 0) else "yuv444p"
        context.time_base = self._form.time_base
        context.gop_size = max(1, min(250, round(5 * self._form.rate)))
        context.sample_aspect_ratio = self._form.aspect
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = self._form.tags
        return stream
