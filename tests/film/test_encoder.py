"""Sizes, rotation and colors of encoded segments."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.film.encoder import SegmentEncoder
from pipeline.film.video_format import probe_format
from pipeline.media.images import Picture
from tests.support.clips import REGULAR_TIMES, Clip, pictures_of, stylize_clip
from tests.support.stylizers import Unchanged


@pytest.mark.parametrize("vp9", [False, True])
def test_a_segment_holds_its_frames_at_their_times(vp9: bool, tmp_path: Path) -> None:
    clip = Clip(times=REGULAR_TIMES[:6]).write(tmp_path / "a.mp4")
    format, pictures = probe_format(clip), pictures_of(clip)
    with SegmentEncoder(tmp_path / "segment.nut", format, crf=8, vp9=vp9) as encoder:
        for picture, pts in zip(pictures, (0, 5, 6, 100, 101, 110), strict=True):
            encoder.add(picture, pts)
    assert encoder.pts == [0, 5, 6, 100, 101, 110]
    with av.open(str(tmp_path / "segment.nut")) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == ("vp9" if vp9 else "h264")
        times = [Fraction(frame.pts or 0) * Fraction(frame.time_base or 0) for frame in container.decode(video=0)]
    assert [time - times[0] for time in times] == [pts * format.time_base for pts in encoder.pts]


def test_h264_is_encoded_without_mb_tree(tmp_path: Path) -> None:
    """Its AVX-512 code reads uninitialized memory, so a resumed video would not equal an uninterrupted one, byte for byte."""
    assert b"mbtree=0" in stylize_clip(Clip().write(tmp_path / "a.mp4"), tmp_path / "out").read_bytes()


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_rotation_is_kept_and_the_network_sees_upright_frames(suffix: str, rotation: int, tmp_path: Path) -> None:
    clip = Clip(rotation=rotation).write(tmp_path / f"a{suffix}")
    shapes: set[tuple[int, ...]] = set()

    class Watching(Unchanged):
        def stylize_batch(self, pictures: Sequence[Picture]) -> list[Picture]:
            shapes.update(picture.shape for picture in pictures)
            return list(pictures)

    result = stylize_clip(clip, tmp_path / "out", Watching())
    assert shapes == {(48, 64, 3) if rotation == 180 else (64, 48, 3)}
    with av.open(str(result)) as container:
        frame = next(container.decode(video=0))
        assert (frame.width, frame.height, frame.rotation % 360) == (64, 48, rotation % 360)
    assert np.abs(pictures_of(clip)[3].astype(int) - pictures_of(result)[3]).mean() < 4


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
@pytest.mark.parametrize("size", [(47, 63), (48, 63), (47, 64), (33, 35)])
def test_odd_sizes_are_kept(suffix: str, size: tuple[int, int], tmp_path: Path) -> None:
    clip = Clip(size=size, times=REGULAR_TIMES[:6]).write(tmp_path / f"a{suffix}")
    assert pictures_of(stylize_clip(clip, tmp_path / "out"))[0].shape == (*size, 3)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("tags", [(1, 1, 1, 1), (1, 1, 1, 2), (6, 6, 6, 1), (5, 6, 5, 2), (2, 2, 2, 0), (1, 13, 6, 2)])
def test_color_tags_and_colors_are_kept(suffix: str, tags: tuple[int, int, int, int], tmp_path: Path) -> None:
    clip = Clip(tags=tags, times=REGULAR_TIMES[:6]).write(tmp_path / f"a{suffix}")
    result = stylize_clip(clip, tmp_path / "out")

    def tags_of(path: Path) -> tuple[int, ...]:
        with av.open(str(path)) as container:
            raw = next(container.decode(video=0))
            return tuple(map(int, (raw.color_primaries, raw.color_trc, raw.colorspace, raw.color_range)))

    assert tags_of(result) == tags_of(clip)
    assert tags_of(result)[:3] == tags[:3]
    for before, after in zip(pictures_of(clip), pictures_of(result), strict=True):
        assert np.abs((before.astype(int) - after).mean(axis=(0, 1))).max() < 1.0


def test_pixels_that_are_not_square_stay_so(tmp_path: Path) -> None:
    clip = Clip(aspect=Fraction(16, 11), times=REGULAR_TIMES[:6]).write(tmp_path / "a.mkv")
    format = probe_format(stylize_clip(clip, tmp_path / "out"))
    assert (format.width, format.height, format.sample_aspect_ratio) == (64, 48, Fraction(16, 11))
