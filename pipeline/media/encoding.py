"""Writing films."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.codec.context import Flags
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation, VideoReformatter

from pipeline.media.images import Picture

# Settings of libx264 wherever we encode. Without MB-tree, because its AVX-512 code reads memory that nobody wrote: on such
# machines the same pictures gave other bytes one time in three, so a resumed film differed from an uninterrupted one.
X264_OPTIONS = {"preset": "veryfast", "tune": "animation", "mbtree": "0"}


def film_url(path: Path) -> str:
    """Return a file's path as FFmpeg reads it; plain, a name such as `http:a.mp4` would be an address."""
    return f"file:{path}"


def write_film(path: Path, frames: Iterable[Picture], *, fps: int, crf: int) -> int:
    """Encode pictures (uint8 RGB HxWx3, even sides, all of one size) as H.264 in 4:2:0, Rec. 709, video range.

    Bytes depend only on pictures and libraries: the file holds no creation time, and the number of threads is fixed.

    Args:
        path: its suffix chooses the container.
        crf: constant rate factor of H.264, 0 (lossless) to 51 (worst).

    Returns:
        The number of frames written.

    Raises:
        ValueError: there are no pictures.
    """
    count = 0
    with av.open(film_url(path), "w", container_options={"fflags": "+bitexact", "movflags": "+faststart"}) as container:
        # Four threads on any machine, because the number of threads changes x264's decisions.
        stream = container.add_stream("libx264", rate=fps, options=X264_OPTIONS | {"crf": str(crf), "threads": "4"})
        context = stream.codec_context
        context.pix_fmt, context.gop_size = "yuv420p", 2 * fps
        context.flags |= Flags.bitexact
        context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        reformatter = VideoReformatter()
        for count, picture in enumerate(frames, 1):
            if count == 1:
                stream.height, stream.width = picture.shape[:2]
            raw = reformatter.reformat(
                VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24"),
                format="yuv420p",
                dst_colorspace=Colorspace.ITU709,
                src_color_range=ColorRange.JPEG,
                dst_color_range=ColorRange.MPEG,
                # By area, so that no chroma bleeds from the picture into black bars.
                interpolation=Interpolation.AREA
                | Interpolation.ACCURATE_RND
                | Interpolation.BITEXACT
                | Interpolation.FULL_CHR_H_INP,
                threads=1,
            )
            raw.pts = count - 1
            raw.time_base = Fraction(1, fps)
            container.mux(stream.encode(raw))
        if not count:
            raise ValueError(f"{path}: no pictures to write")
        container.mux(stream.encode())
    return count
