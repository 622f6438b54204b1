"""Encodes redrawn frames as a segment that can be decoded on its own: H.264, or VP9 for WebM."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from pipeline.film.video_format import VideoFormat
from pipeline.media import encoding
from pipeline.media.images import Picture

VP9_CRF_OFFSET = 10  # VP9's scale ends at 63, H.264's at 51: this much more looks alike


class SegmentEncoder:
    """Writes frames to a NUT file; a context manager, whose end completes and closes the file."""

    def __init__(self, path: Path, format: VideoFormat, crf: int, vp9: bool) -> None:
        """Create the file.

        Args:
            format: rotation, times and colors of the frames; their size is that of the first one.
            crf: constant rate factor on H.264's scale, 0 to 51.
            vp9: encode VP9 instead of H.264.
        """
        self.pts: list[int] = []
        """Presentation times of the frames so far."""
        self._format, self._crf, self._vp9 = format, crf, vp9
        self._container = av.open(encoding.film_url(path), "w", format="nut")
        self._stream: Any = None
        self._reformatter = VideoReformatter()

    def __enter__(self) -> SegmentEncoder:
        return self

    def __exit__(self, *_: object) -> None:
        with self._container:
            if self._stream is not None:
                self._container.mux(self._stream.encode())

    def add(self, upright: Picture, pts: int) -> None:
        """Encode a frame.

        Args:
            upright: uint8 RGB HxWx3, all of one size; stored rotated as the source's frames are.
            pts: presentation time, in the format's time base; larger than that of the frame before.
        """
        picture = np.ascontiguousarray(np.rot90(upright, -self._format.quarter_turns))
        if self._stream is None:
            self._stream = self._add_stream(picture.shape[1], picture.shape[0])
        raw = self._reformatter.reformat(
            VideoFrame.from_ndarray(picture, format="rgb24"),
            format=self._stream.codec_context.pix_fmt,
            dst_colorspace=self._format.matrix,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.JPEG if self._format.full_range else ColorRange.MPEG,
            interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP,
            threads=1,
        )
        raw.pts, raw.time_base = pts, self._format.time_base
        self.pts.append(pts)
        self._container.mux(self._stream.encode(raw))

    def _add_stream(self, width: int, height: int) -> Any:
        if self._vp9:
            codec, crf = "libvpx-vp9", min(63, self._crf + VP9_CRF_OFFSET)
            options = {"crf": str(crf), "b:v": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"}
        else:
            codec, options = "libx264", encoding.X264_OPTIONS | {"crf": str(self._crf)}
        stream: Any = self._container.add_stream(codec, rate=self._format.frame_rate, options=options)
        context = stream.codec_context
        context.width, context.height = width, height
        # H.264 has odd sides in 4:4:4 only.
        context.pix_fmt = "yuv420p" if self._vp9 or (width % 2 == 0 and height % 2 == 0) else "yuv444p"
        context.time_base = self._format.time_base
        context.gop_size = max(1, min(250, round(5 * self._format.frame_rate)))
        context.sample_aspect_ratio = self._format.sample_aspect_ratio
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = self._format.tags
        return stream
