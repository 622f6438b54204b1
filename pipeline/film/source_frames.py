"""The frames of a video that are still to be redrawn, by segment, decoded from a key frame if possible."""

import itertools
from collections.abc import Generator, Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av

from pipeline.core.errors import UserError, log
from pipeline.film.segments import Segment, frame_digest
from pipeline.film.video_format import VideoFormat
from pipeline.media import video
from pipeline.media.frame import Frame
from pipeline.media.images import Picture


class SourceFrame(NamedTuple):
    """A frame of the source, not converted yet."""

    segment: int
    """Number of the segment it belongs to."""
    pts: int
    """Presentation time, in the format's time base."""
    frame: Frame

    def picture(self, format: VideoFormat) -> Picture:
        """Convert to uint8 RGB HxWx3: upright, otherwise as stored."""
        return self.frame.storage_rgb(format.width, format.height)


def read_frames(path: Path, format: VideoFormat, segment_s: float, last: Segment | None) -> Generator[SourceFrame]:
    """Yield the frames after the segment `last` in order, or all of them if it is None.

    Containers can be wrong about key frames and times. So decoding starts before the last finished segment, and what follows
    is used only if that segment comes out as it did before; otherwise the video is decoded from its start.

    Args:
        segment_s: length of a segment in seconds.

    Raises:
        UserError: the video is missing, no film, or cannot be decoded.
    """
    if last is None:
        yield from _decode(path, format, segment_s)
        return
    frames = _decode(path, format, segment_s, from_s=float((last.pts[0] - format.start_pts) * format.time_base))
    try:
        following = _skip_segment(frames, format, last)
    except (av.FFmpegError, UserError):  # seeking failed, or led to something that cannot be decoded
        following = None
    if following is None:
        log.info("%s: cannot be resumed from a key frame, so it is decoded from its start", path)
        frames.close()
        frames, following = _decode(path, format, segment_s), []
    yield from (frame for frame in itertools.chain(following, frames) if frame.segment > last.number)


def _skip_segment(frames: Iterator[SourceFrame], format: VideoFormat, segment: Segment) -> list[SourceFrame] | None:
    """Read frames to the end of a segment, and compare them with it.

    Returns:
        The frames read that follow it (one; none at the end of the video); None if the times or the last frame differ from it.
    """
    pts: list[int] = []
    last, following = None, list[SourceFrame]()
    for frame in frames:
        if frame.segment > segment.number:
            following = [frame]
            break
        if frame.segment == segment.number:
            pts.append(frame.pts)
            last = frame
    same = pts == segment.pts and last is not None and frame_digest(last.picture(format)) == segment.last_frame
    return following if same else None


def _decode(path: Path, format: VideoFormat, segment_s: float, from_s: float = 0.0) -> Generator[SourceFrame]:
    pts = -1
    for frame in video.frames(path, lambda loss: log.warning("%s", loss.text), from_s=from_s):
        pts = max(format.start_pts + round(Fraction(frame.time_s) / format.time_base), pts + 1)
        yield SourceFrame(int(frame.time_s / segment_s), pts, frame)
