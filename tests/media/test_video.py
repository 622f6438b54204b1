"""The door to films: colours, times, orientation, damage."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.media import decoding, video
from pipeline.media.images import Picture
from tests.conftest import no_loss, scene, write_film


def flat(colour: tuple[int, int, int], size: tuple[int, int] = (96, 128)) -> Picture:
    return np.broadcast_to(np.array(colour, np.uint8), (*size, 3)).copy()


def test_every_frame_with_its_time(film: Path) -> None:
    losses: list[video.Loss] = []
    frames = list(video.frames(film, losses.append))
    assert [frame.index for frame in frames] == list(range(120))
    np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(120) / 12, atol=1e-3)
    assert not losses
    info = video.probe(film)
    assert (info.width_px, info.height_px, float(info.fps), info.codec) == (320, 180, 12.0, "h264")
    assert info.duration_s == pytest.approx(10, abs=0.1)


@pytest.mark.parametrize(("matrix", "code"), [("bt709", 1), ("smpte170m", 5)])
@pytest.mark.parametrize("colour", [(200, 30, 40), (20, 180, 60), (30, 60, 220), (255, 255, 255), (0, 0, 0)])
def test_colours_follow_the_files_own_matrix(matrix: str, code: int, colour: tuple[int, int, int], tmp_path: Path) -> None:
    path = tmp_path / "flat.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(5))
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        stream.options = {"crf": "4", "x264-params": f"colormatrix={matrix}:range=tv"}
        for _ in range(3):
            raw = av.VideoFrame.from_ndarray(flat(colour), format="rgb24")
            container.mux(
                stream.encode(raw.reformat(format="yuv420p", dst_colorspace=code, src_color_range=2, dst_color_range=1))
            )
        container.mux(stream.encode())
    frame = next(video.frames(path, no_loss))
    assert np.abs(frame.rgb().astype(int) - colour).max() <= 3


def test_small_pictures_for_detectors_show_the_same(film: Path) -> None:
    for frame in list(video.frames(film, no_loss))[::30]:
        whole = frame.rgb()[..., ::-1]
        small = frame.small_bgr(160)
        assert small.shape == (90, 160, 3)
        shrunk = whole.reshape(90, 2, 160, 2, 3).mean(axis=(1, 3))
        assert np.abs(small - shrunk).mean() < 4
        assert frame.luma().shape == (180, 320)
        assert frame.luma(80).shape == (45, 80)


def test_spread_covers_the_film(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mp4", (scene(index // 12) for index in range(120)), gop_size=6)
    times = [frame.time_s for frame in video.spread(path, 10)]
    assert len(times) >= 8
    assert times == sorted(times)
    assert times[0] < 1.5 and times[-1] > 8.5


def test_spread_seeks_where_pictures_are_coded_out_of_order(tmp_path: Path) -> None:
    """What a decoder gives when drained has no time base; that once sent every film with B-frames through whole."""
    pictures = (scene(index // 12, shift=index % 12) for index in range(240))
    path = write_film(tmp_path / "b.mp4", pictures, options={"bf": "3", "x264-params": "scenecut=0"}, gop_size=12)
    frames = list(video.spread(path, 20))
    assert len(frames) >= 15
    assert all(frame.raw.key_frame for frame in frames)
    assert [frame.time_s for frame in frames] == sorted(round(frame.time_s) for frame in frames), "one key frame a second"


def test_pixels_that_are_not_square_are_made_so(tmp_path: Path) -> None:
    path = write_film(tmp_path / "sar.mp4", [scene(1, 160, 120)] * 3, sample_aspect_ratio=Fraction(4, 3))
    frame = next(video.frames(path, no_loss))
    assert frame.rgb().shape == (120, 213, 3)
    assert frame.luma(80).shape[1] == 80


def faults(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        list(video.frames(path, lambda loss: None))
    with pytest.raises(UserError):
        video.probe(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_missing_film_says_where_to_put_it(tmp_path: Path) -> None:
    assert "put the film there" in faults(tmp_path / "no.mkv")


@pytest.mark.parametrize("content", [b"", b"not a film at all\n" * 100, b"\x00\x00\x00\x18ftypisom" + bytes(2000)])
def test_what_is_no_film_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.mp4"
    path.write_bytes(content)
    faults(path)


def test_audio_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        raw = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
        raw.sample_rate = 8000
        container.mux(stream.encode(raw))
        container.mux(stream.encode())
    assert "no video stream" in faults(path)


@pytest.mark.parametrize("which", ["all", "reference", "key"])
def test_a_film_cut_off_is_said_so_with_the_seconds_lost(which: decoding.Which, tmp_path: Path) -> None:
    whole = write_film(tmp_path / "whole.mkv", (scene(index // 10, shift=index) for index in range(200)), fps=10)
    cut = tmp_path / "cut.mkv"
    data = whole.read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    losses: list[video.Loss] = []
    frames = list(video.frames(cut, losses.append, which))
    assert (40 if which == "all" else 0) < len(frames) < 160
    (end,) = [loss for loss in losses if "missing" in loss.text]
    assert "should last 20.0 s" in end.text
    assert end.seconds == pytest.approx(20 - frames[-1].time_s, abs=0.1 if which == "all" else 1)


def test_folders_hold_episodes_in_order(tmp_path: Path) -> None:
    for name in ("b.mkv", "a.MP4", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in video.find(tmp_path)] == ["a.MP4", "b.mkv"]
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match="holds no films"):
        video.find(tmp_path / "none")
    with pytest.raises(UserError, match="does not exist"):
        video.find(tmp_path / "nowhere")


@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
def test_a_turned_film_is_shown_upright(quarter_turns: int, tmp_path: Path, film: Path) -> None:
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


def test_encoding_does_without_mb_tree(tmp_path: Path) -> None:
    """MB-tree (x264's macroblock-tree rate control) reads uninitialized memory with AVX-512: the file would differ by chance.

    x264 writes its settings into the first packet, so what it was told can be read off the file.
    """
    path = tmp_path / "a.mp4"
    video.write_film(path, [scene(1, 64, 48)] * 3, fps=12, crf=20)
    assert b"mbtree=0" in path.read_bytes()
