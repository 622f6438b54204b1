"""Reading films: times, sampled frames, faulty and truncated files."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.media import decoding, encoding, video
from tests.conftest import scene, write_film


def test_every_frame_has_its_time(film: Path) -> None:
    losses: list[decoding.MissingFrames] = []
    frames = list(video.frames(film, losses.append))
    assert [frame.index for frame in frames] == list(range(120))
    np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(120) / 12, atol=1e-3)
    assert not losses
    info = video.probe(film)
    assert (info.width_px, info.height_px, float(info.fps), info.codec) == (320, 180, 12.0, "h264")
    assert info.duration_s == pytest.approx(10, abs=0.1)


def test_sampled_frames_cover_the_film(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mp4", (scene(index // 12) for index in range(120)), gop_size=6)
    times = [frame.time_s for frame in video.sample_frames(path, 10)]
    assert len(times) >= 8
    assert times == sorted(times)
    assert times[0] < 1.5 and times[-1] > 8.5


@pytest.mark.slow
def test_sampling_seeks_in_films_with_b_frames(tmp_path: Path) -> None:
    """What a decoder gives when drained has no time base; that once sent every film with B-frames through whole."""
    pictures = (scene(index // 12, shift=index % 12) for index in range(240))
    path = write_film(tmp_path / "b.mp4", pictures, options={"bf": "3", "x264-params": "scenecut=0"}, gop_size=12)
    frames = list(video.sample_frames(path, 20))
    assert len(frames) >= 15
    assert all(frame.raw.key_frame for frame in frames)
    assert [frame.time_s for frame in frames] == sorted(round(frame.time_s) for frame in frames), "one key frame a second"


def faults(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        list(video.frames(path, lambda loss: None))
    with pytest.raises(UserError):
        video.probe(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_missing_film_is_reported_with_the_remedy(tmp_path: Path) -> None:
    assert "put the film there" in faults(tmp_path / "no.mkv")


@pytest.mark.parametrize("content", [b"", b"not a film at all\n" * 100, b"\x00\x00\x00\x18ftypisom" + bytes(2000)])
def test_files_that_are_no_films_are_refused(content: bytes, tmp_path: Path) -> None:
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
def test_truncated_films_are_reported_with_the_seconds_missing(which: decoding.Selection, tmp_path: Path) -> None:
    whole = write_film(tmp_path / "whole.mkv", (scene(index // 10, shift=index) for index in range(200)), fps=10)
    cut = tmp_path / "cut.mkv"
    data = whole.read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    losses: list[decoding.MissingFrames] = []
    frames = list(video.frames(cut, losses.append, which))
    assert (40 if which == "all" else 0) < len(frames) < 160
    (end,) = [loss for loss in losses if "missing" in loss.text]
    assert "should last 20.0 s" in end.text
    assert end.seconds == pytest.approx(20 - frames[-1].time_s, abs=0.1 if which == "all" else 1)


# Hostile names and files


@pytest.mark.parametrize(
    "name", ["http:evil.example.mp4", "concat:a|b.mp4", "Re:Zero 01.mp4", "a%03d.mp4", "-i.mp4", "caf\udce9.mp4"]
)
def test_a_films_name_is_never_an_address(name: str, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(film, name)
    assert video.probe(Path(name)).width_px == 320
    written = Path(f"{name}.out.mp4")
    encoding.write_film(written, [scene(1)], fps=12, crf=18)
    assert written.is_file() and video.probe(written).width_px == 320


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile 'secret.mp4'\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nsecret.mp4\n#EXT-X-ENDLIST\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    ],
)
@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
def test_a_film_opens_no_other_file_and_no_address(text: str, suffix: str, film: Path, tmp_path: Path) -> None:
    shutil.copy(film, tmp_path / "secret.mp4")
    (tmp_path / f"a{suffix}").write_text(text)
    with pytest.raises(UserError, match="is not a film that FFmpeg can open"):
        video.probe(tmp_path / f"a{suffix}")


def test_a_stream_of_an_unknown_codec_is_told(film: Path, tmp_path: Path) -> None:
    content = film.read_bytes()
    assert content.count(b"avc1") >= 1
    (tmp_path / "a.mp4").write_bytes(content.replace(b"avc1", b"qqqq").replace(b"avcC", b"qqqC"))
    with pytest.raises(UserError, match="no video stream that FFmpeg can decode"):
        video.probe(tmp_path / "a.mp4")


def test_frames_of_absurd_size_are_refused(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mp4", [scene(1, 640, 640)] * 2, codec="mpeg4", sample_aspect_ratio=Fraction(255, 1))
    with pytest.raises(UserError, match="over the limit of 80 megapixels"):
        video.probe(path)


@pytest.mark.parametrize("side", [2, 14])
def test_films_of_a_few_pixels_are_refused(side: int, tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mp4", [np.full((side, side, 3), 90, np.uint8)] * 2)
    with pytest.raises(UserError, match=rf"frames are {side}x{side}, too small"):
        video.probe(path)


@pytest.mark.parametrize("name", ["mov_flip6.mov", "photo_named.mp4", "one_px_moviepy.mp4", "anim.webp"])
def test_damaged_and_misnamed_films_are_told_in_one_line(name: str, shared: Path) -> None:
    path = shared / "cases/films" / name
    for look in (video.probe, lambda path: list(video.sample_frames(path, 6))):
        with pytest.raises(UserError, match=name):
            look(path)
