"""Small video files for tests, and functions that read them back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame

from pipeline.commands.stylize import stylize_files
from pipeline.film.videos import VideoOptions
from pipeline.inference.render_options import RenderOptions
from pipeline.inference.stylizer import Stylizer
from pipeline.media import video
from pipeline.media.images import Picture
from tests.conftest import no_loss, scene
from tests.support.stylizers import Unchanged

REGULAR_TIMES = tuple(range(0, 24 * 24, 24))  # in 1/600 s: 25 frames per second
IRREGULAR_TIMES = (0, 24, 48, 98, 99, 200, 224, 248, 272, 300, 620, 644, 668, 692)


@dataclass
class Clip:
    """A video to be written: a picture that moves sideways, with the given streams, times and tags."""

    times: Sequence[int] = REGULAR_TIMES
    size: tuple[int, int] = (48, 64)
    rotation: int = 0
    tags: tuple[int, int, int, int] = (2, 2, 2, 0)
    sound: bool = False
    subtitles: bool = False
    aspect: Fraction = Fraction(1)
    seed: int = 0
    keyframe_interval: int = 250

    def write(self, path: Path) -> Path:
        """Write the file in the container that its suffix names, and return its path."""
        webm = path.suffix == ".webm"
        with av.open(str(path), "w") as container:
            stream: Any = container.add_stream("libvpx-vp9" if webm else "libx264", rate=25)
            context = stream.codec_context
            context.options = {"crf": "8", "g": str(self.keyframe_interval)}
            context.height, context.width = self.size
            context.pix_fmt = "yuv420p" if webm or not any(side % 2 for side in self.size) else "yuv444p"
            context.time_base, context.sample_aspect_ratio = Fraction(1, 600), self.aspect
            context.color_primaries, context.color_trc, context.colorspace, context.color_range = self.tags
            if self.rotation:
                stream.set_display_rotation(self.rotation)
            sound: Any = container.add_stream("libopus" if webm else "aac", rate=48000) if self.sound else None
            subtitles: Any = container.add_mux_stream("mov_text") if self.subtitles else None
            if subtitles is not None:
                subtitles.time_base = Fraction(1, 1000)
                subtitles.metadata["language"] = "fra"
            container.metadata["title"] = "A walk"
            container.start_encoding()
            for index, pts in enumerate(self.times):
                picture = np.roll(scene(self.seed, 64, 48), index, 1)[: self.size[0], : self.size[1]]
                frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24").reformat(
                    format=context.pix_fmt,
                    dst_colorspace=self.tags[2] if self.tags[2] != 2 else 5,
                    src_color_range=2,
                    dst_color_range=self.tags[3] or 1,
                )
                frame.pts, frame.time_base = pts, Fraction(1, 600)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
            if sound is not None:
                tone = np.sin(np.arange(960 * 40) / 20).astype(np.float32) * 0.3
                for index in range(40):
                    block = (
                        av.AudioFrame.from_ndarray(
                            np.ascontiguousarray(np.tile(tone[960 * index : 960 * (index + 1)], (2, 1))), "fltp", "stereo"
                        )
                        if not webm
                        else av.AudioFrame.from_ndarray(
                            np.repeat(tone[960 * index : 960 * (index + 1)], 2)[None], "flt", "stereo"
                        )
                    )
                    block.sample_rate, block.pts, block.time_base = 48000, 960 * index, Fraction(1, 48000)
                    container.mux(sound.encode(block))
                container.mux(sound.encode())
            if subtitles is not None:
                for at in (100, 500):
                    packet: Packet[Any] = Packet(b"\x00\x05hello")
                    packet.stream, packet.pts, packet.dts, packet.duration = subtitles, at, at, 300
                    packet.time_base = Fraction(1, 1000)
                    container.mux(packet)
        return path


def times_of(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        return [Fraction(frame.pts or 0) * Fraction(frame.time_base or 0) for frame in container.decode(video=0)]


def packets_of(path: Path, kind: str) -> list[tuple[Fraction, bytes]]:
    with av.open(str(path)) as container:
        streams = [stream for stream in container.streams if stream.type == kind]
        return [(p.pts * p.time_base, bytes(p)) for p in container.demux(streams) if p.size and p.pts is not None]


def pictures_of(path: Path) -> list[Picture]:
    return [frame.rgb() for frame in video.frames(path, no_loss)]


def stylize_clip(
    clip: Path,
    out: Path,
    stylizer: Stylizer | None = None,
    options: VideoOptions | None = None,
    render: RenderOptions | None = None,
) -> Path:
    """Redraw a clip as `genga stylize` does, and return the result."""
    stylizer = stylizer or Unchanged()
    report = stylize_files([clip], out, lambda _: stylizer, film=options or VideoOptions(crf=8), render=render)
    assert not report.failed, report.failed
    return report.done[0][1]
