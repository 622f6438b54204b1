"""What the frames of a video have in common: size, rotation, time base, colors."""

from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from av.sidedata.sidedata import Type as SideData
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from pipeline.core.errors import log
from pipeline.media import decoding, video

_UNSPECIFIED = 2  # in ITU-T H.273, of primaries, transfer and matrix


class ColorTags(NamedTuple):
    """Color description of a video stream, by the numbers of ITU-T H.273."""

    primaries: int
    transfer: int
    matrix: int
    range: int
    """1 for limited range, 2 for full range, 0 if unspecified (as `av.video.reformatter.ColorRange`)."""


class VideoFormat(NamedTuple):
    """Properties that a redrawn video shares with its source."""

    width: int
    """As stored, in pixels."""
    height: int
    quarter_turns: int
    """Counterclockwise turns that make a stored frame upright."""
    display_matrix: tuple[int, ...] | None
    """The container's matrix for that, which may mirror too."""
    sample_aspect_ratio: Fraction
    time_base: Fraction
    start_pts: int
    frame_rate: Fraction
    frame_count: int | None
    """Approximate."""
    matrix: int
    """YUV matrix to encode with, also if the tags leave it unspecified."""
    tags: ColorTags

    @property
    def full_range(self) -> bool:
        """Whether luma spans 0 to 255 rather than 16 to 235."""
        return self.tags.range == ColorRange.JPEG


def probe_format(path: Path) -> VideoFormat:
    """Read the format of a video from its container and its first frame. HDR becomes SDR (Rec. 709).

    Raises:
        UserError: the file is missing, no film, has no video, or no frame of it can be decoded or converted.
    """
    with video.open_film(path) as container:
        stream = video.main_video_stream(container, path)
        duration_s, rate = decoding.duration_s(container, stream), decoding.frame_rate(stream)
        time_base, start_pts = stream.time_base, stream.start_time or 0
        aspect = stream.sample_aspect_ratio or Fraction(1)
        count = stream.frames or (round(duration_s * rate) if duration_s else None)
    first = next(frames := video.frames(path, lambda loss: None))
    frames.close()
    raw: Any = first.raw
    display = bytes(raw.side_data[SideData.DISPLAYMATRIX]) if SideData.DISPLAYMATRIX in raw.side_data else None
    matrix = first.color_matrix
    stated = raw.colorspace if raw.colorspace in (_UNSPECIFIED, matrix) else matrix
    tags = ColorTags(int(raw.color_primaries), int(raw.color_trc), int(stated), int(raw.color_range))
    if first.hdr_transfer:
        matrix = int(Colorspace.ITU709)
        tags = ColorTags(int(ColorPrimaries.BT709), int(ColorTrc.BT709), matrix, int(ColorRange.MPEG))
        log.info("%s is HDR: the result is SDR (Rec. 709)", path)
    return VideoFormat(
        width=raw.width,
        height=raw.height,
        quarter_turns=round(raw.rotation / 90) % 4,
        display_matrix=tuple(np.frombuffer(display, np.int32).tolist()) if display else None,
        sample_aspect_ratio=aspect if aspect > 0 else Fraction(1),
        time_base=time_base,
        start_pts=start_pts,
        frame_rate=rate,
        frame_count=count,
        matrix=matrix,
        tags=tags,
    )
