"""Frames as pictures: colors, sizes, orientation."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from pipeline.media import video
from pipeline.media.images import Picture
from tests.conftest import no_loss, scene, write_film


def flat(color: tuple[int, int, int], size: tuple[int, int] = (96, 128)) -> Picture:
    return np.broadcast_to(np.array(color, np.uint8), (*size, 3)).copy()


@pytest.mark.parametrize(("matrix", "code"), [("bt709", 1), ("smpte170m", 5)])
@pytest.mark.parametrize("color", [(200, 30, 40), (20, 180, 60), (30, 60, 220), (255, 255, 255), (0, 0, 0)])
def test_colors_follow_the_matrix_of_the_file(matrix: str, code: int, color: tuple[int, int, int], tmp_path: Path) -> None:
    path = tmp_path / "flat.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(5))
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        stream.options = {"crf": "4", "x264-params": f"colormatrix={matrix}:range=tv"}
        for _ in range(3):
            raw = av.VideoFrame.from_ndarray(flat(color), format="rgb24")
            container.mux(
                stream.encode(raw.reformat(format="yuv420p", dst_colorspace=code, src_color_range=2, dst_color_range=1))
            )
        container.mux(stream.encode())
    frame = next(video.frames(path, no_loss))
    assert np.abs(frame.rgb().astype(int) - color).max() <= 3


def test_small_pictures_agree_with_the_whole_frame(film: Path) -> None:
    for frame in list(video.frames(film, no_loss))[::30]:
        whole = frame.rgb()[..., ::-1]
        small = frame.small_bgr(160)
        assert small.shape == (90, 160, 3)
        shrunk = whole.reshape(90, 2, 160, 2, 3).mean(axis=(1, 3))
        assert np.abs(small - shrunk).mean() < 4
        assert frame.luma().shape == (180, 320)
        assert frame.luma(80).shape == (45, 80)


def test_frames_are_stretched_to_square_pixels(tmp_path: Path) -> None:
    path = write_film(tmp_path / "sar.mp4", [scene(1, 160, 120)] * 3, sample_aspect_ratio=Fraction(4, 3))
    frame = next(video.frames(path, no_loss))
    assert frame.rgb().shape == (120, 213, 3)
    assert frame.luma(80).shape[1] == 80


@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
def test_rotated_films_are_turned_upright(quarter_turns: int, tmp_path: Path, film: Path) -> None:
    """The display matrix of a phone's film (ISO 14496-12, tkhd), turning clockwise on screen."""
    cos, sin = [(0, 1), (-1, 0), (0, -1)][quarter_turns - 1]
    matrix = struct.pack(">9i", cos << 16, sin << 16, 0, -sin << 16, cos << 16, 0, 0, 0, 1 << 30)
    data = bytearray(film.read_bytes())
    start = data.index(b"tkhd") + 4 + 40
    data[start : start + 36] = matrix
    turned = tmp_path / "turned.mp4"
    turned.write_bytes(data)
    plain = next(video.frames(film, no_loss)).rgb()
    frame = next(video.frames(turned, no_loss))
    assert np.array_equal(frame.rgb(), np.rot90(plain, -quarter_turns))
    assert frame.luma().shape == frame.rgb().shape[:2]
    assert video.probe(turned).width_px == frame.rgb().shape[1]


def drawn(count: int, width: int = 320, height: int = 180) -> Iterator[Picture]:
    """A new scene every 12 frames, each moving."""
    return (scene(index // 12, width, height, shift=index % 12) for index in range(count))


@pytest.mark.parametrize("size", [(321, 181), (67, 99), (854, 480)])
def test_odd_sizes(size: tuple[int, int], tmp_path: Path) -> None:
    path = write_film(tmp_path / "odd.mkv", drawn(3, *size), codec="ffv1")
    frame = next(video.frames(path, no_loss))
    assert frame.rgb().shape == (size[1], size[0], 3)
    assert frame.luma().shape == (size[1], size[0])
    width = min(480, size[0])
    assert frame.luma(480).shape == (round(width * size[1] / size[0]), width)
    assert abs(frame.luma(480).mean() - frame.luma().mean()) < 1


@pytest.mark.parametrize(
    ("name", "codec", "aspect", "size"),
    [("dvd.mpg", "mpeg2video", Fraction(64, 45), (1024, 576)), ("ntsc.mkv", "libx264", Fraction(8, 9), (640, 576))],
)
def test_discs_stay_round_in_anamorphic_films(
    name: str, codec: str, aspect: Fraction, size: tuple[int, int], tmp_path: Path
) -> None:
    def disc() -> Iterator[Picture]:
        picture = np.zeros((576, 720, 3), np.uint8)
        axes = (round(200 / aspect), 200)
        for _ in range(3):
            yield np.asarray(cv2.ellipse(picture, (360, 288), axes, 0, 0, 360, (255, 255, 255), -1), np.uint8)

    path = write_film(tmp_path / name, disc(), 25, codec, options={"b": "8000k"}, sample_aspect_ratio=aspect)
    frame = next(video.frames(path, no_loss))
    assert (frame.info.width_px, frame.info.height_px) == size
    for white in (frame.rgb()[..., 1] > 128, frame.luma() > 128):
        ys, xs = np.nonzero(white)
        assert abs(np.ptp(xs) - np.ptp(ys)) <= 4, "a disc is round"
    small = frame.luma(320) > 128
    assert abs(np.ptp(np.nonzero(small)[0]) - np.ptp(np.nonzero(small)[1])) <= 2
