"""Decoding: codecs, containers, clocks, interlacing, damage, several streams."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from pipeline.frames.cut_detectors import make_detector
from pipeline.frames.shot_detection import detect_shots
from pipeline.media import decoding, video
from pipeline.media.images import Picture
from tests.conftest import no_loss, scene, write_film


def drawn(count: int, width: int = 320, height: int = 180) -> Iterator[Picture]:
    """A new scene every 12 frames, each moving."""
    return (scene(index // 12, width, height, shift=index % 12) for index in range(count))


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "options"),
    [
        ("a.mkv", "libx264", "yuv420p", {}),
        ("a.mov", "libx264", "yuv422p", {}),
        ("a.mp4", "libx264", "yuv444p", {}),
        ("a.ts", "libx264", "yuv420p", {}),
        ("a.flv", "libx264", "yuv420p", {}),
        ("a.avi", "libx264", "yuv420p", {}),
        ("deep.mp4", "libx264", "yuv420p10le", {}),
        ("deep.mkv", "libx265", "yuv420p10le", {"crf": "12", "preset": "ultrafast", "x265-params": "log-level=none"}),
        ("xvid.avi", "mpeg4", "yuv420p", {"b": "6000k"}),
        ("xvid_b.avi", "mpeg4", "yuv420p", {"b": "6000k", "bf": "2"}),
        ("dvd.mpg", "mpeg2video", "yuv420p", {"b": "6000k", "bf": "2"}),
        ("web.webm", "libvpx-vp9", "yuv420p", {"b": "4000k", "deadline": "realtime", "cpu-used": "8"}),
        ("new.mkv", "libsvtav1", "yuv420p", {"crf": "15", "preset": "12", "svtav1-params": "lp=1"}),
        ("lossless.mkv", "ffv1", "yuv444p16le", {}),
        ("lossless_rgb.mkv", "ffv1", "bgr0", {}),
        ("still.avi", "mjpeg", "yuvj420p", {"b": "20000k"}),
        ("edit.mov", "prores_ks", "yuv422p10le", {}),
        ("alpha.mov", "prores_ks", "yuva444p10le", {"profile": "4"}),
    ],
)
def test_codecs_and_containers(name: str, codec: str, pix_fmt: str, options: dict[str, str], tmp_path: Path) -> None:
    fps = 25 if codec == "mpeg2video" else 24
    path = write_film(tmp_path / name, drawn(24), fps, codec, pix_fmt, options)
    frames = list(video.frames(path, no_loss))
    np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(24) / fps, atol=2e-3)
    for frame, picture in itertools.islice(zip(frames, drawn(24), strict=True), 0, 24, 11):
        shown = frame.rgb()
        assert np.abs(shown.astype(int) - picture).mean() < 5
        gray = cv2.cvtColor(shown, cv2.COLOR_RGB2GRAY) * (219 / 255) + 16
        assert np.abs(frame.luma() - gray).mean() < 4, "luma is that of the picture, in video range"
        assert np.abs(frame.luma(160) - gray.reshape(90, 2, 160, 2).mean(axis=(1, 3))).mean() < 4
        small = shown[..., ::-1].reshape(90, 2, 160, 2, 3).mean(axis=(1, 3))
        assert np.abs(frame.small_bgr(160) - small).mean() < 6
    assert [len(shot.candidates) for shot in detect_shots(iter(frames), make_detector("content", None, 0.1))] == [
        12,
        12,
    ]
    spread = list(video.sample_frames(path, 6))
    assert len(spread) >= 5
    every = {round(frame.time_s, 3): frame.luma() for frame in frames}
    for which in ("reference", "key"):
        some = list(video.frames(path, no_loss, which))
        assert 1 <= len(some) <= 24 and some[0].time_s == frames[0].time_s
        for frame in some:
            same = every[round(frame.time_s, 3)]
            np.testing.assert_array_equal(frame.luma(), same, "what is left out changes no other picture")


def test_reference_frames_are_half_of_a_usual_film(tmp_path: Path) -> None:
    path = write_film(tmp_path / "usual.mp4", drawn(240), 24, options={"bf": "3", "crf": "20"})
    some = list(video.frames(path, no_loss, "reference"))
    assert 60 < len(some) < 150
    cuts = [shot.start_s for shot in detect_shots(iter(some), make_detector("content", None, 0.1))]
    np.testing.assert_allclose(cuts, np.arange(20) / 2, atol=0.05, err_msg="a cut is at most a frame late")
    slow = write_film(tmp_path / "slow.mp4", drawn(48), 12, options={"bf": "3", "crf": "20"})
    assert len(list(video.frames(slow, no_loss, "reference"))) == 48, "with few frames a second none is left out"


@pytest.mark.parametrize("name", ["vfr.mkv", "vfr.mp4", "vfr.ts"])
def test_variable_frame_rate_keeps_times_and_shots(name: str, tmp_path: Path) -> None:
    rng = random.Random(1)
    steps = [700 if index % 12 == 5 else rng.choice([20, 40, 80, 160]) for index in range(47)]
    times = list(itertools.accumulate(steps, initial=0))
    path = write_film(tmp_path / name, drawn(48), times_ms=times)
    frames = list(video.frames(path, no_loss))
    np.testing.assert_allclose([frame.time_s for frame in frames], np.array(times) / 1000, atol=2e-3)
    found = list(detect_shots(iter(frames), make_detector("content", None, 0.2)))
    np.testing.assert_allclose([shot.start_s for shot in found], np.array(times[::12]) / 1000, atol=2e-3)
    np.testing.assert_allclose([shot.end_s for shot in found[:-1]], [shot.start_s for shot in found[1:]])
    for shot in found:
        assert shot.best(3, 0.1, 0.2)
    assert list(video.frames(path, no_loss, "reference")), "frames that are left out are no holes"


@pytest.mark.parametrize("name", ["late.mkv", "late.mp4", "late.ts", "late.mov"])
def test_times_begin_at_zero_in_films_that_begin_late(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(10))
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for index, picture in enumerate(drawn(30)):
            raw = av.VideoFrame.from_ndarray(picture, format="rgb24")
            raw.pts, raw.time_base = index + 50, Fraction(1, 10)
            container.mux(stream.encode(raw))
        container.mux(stream.encode())
    np.testing.assert_allclose([frame.time_s for frame in video.frames(path, no_loss)], np.arange(30) / 10, atol=2e-3)


def test_times_increase_across_joined_recordings(tmp_path: Path) -> None:
    path = write_film(tmp_path / "one.ts", drawn(48))
    path.write_bytes(path.read_bytes() * 3)
    losses: list[decoding.MissingFrames] = []
    times = [frame.time_s for frame in video.frames(path, losses.append)]
    assert sum(loss.seconds for loss in losses) < 1.5, "a packet at each seam, and frames predicted from it"
    assert len(times) == 144
    np.testing.assert_allclose(times, np.arange(144) / 12, atol=0.1)
    some = [frame.time_s for frame in video.frames(path, losses.append, "reference")]
    assert np.abs(np.subtract.outer(some, times)).min(axis=1).max() < 0.1 and sum(loss.seconds for loss in losses) < 3


def with_sound(path: Path, seconds: int, **options: Any) -> Path:
    """Four seconds of pictures, and sound of another length."""
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("libx264", rate=Fraction(12), options={"threads": "1"})
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        sound: Any = container.add_stream("aac", rate=8000)
        for picture in drawn(48):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
        for second in range(seconds):
            noise = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
            noise.sample_rate, noise.pts = 8000, second * 8000
            container.mux(sound.encode(noise))
        container.mux(sound.encode())
    return path


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.flv", "a.ts"])
def test_longer_sound_is_not_reported_as_missing_frames(name: str, tmp_path: Path) -> None:
    assert len(list(video.frames(with_sound(tmp_path / name, 9), no_loss))) == 48


def test_films_of_unknown_duration(tmp_path: Path) -> None:
    path = with_sound(tmp_path / "live.mkv", 4, live="1")
    assert video.probe(path).duration_s is None
    assert len(list(video.frames(path, no_loss))) == 48
    assert list(video.sample_frames(path, 6))


@pytest.mark.parametrize("cover_first", [True, False])
def test_the_largest_stream_but_cover_art_is_decoded(cover_first: bool, tmp_path: Path) -> None:
    path = tmp_path / "two.mp4"
    with av.open(str(path), "w") as container:
        sizes = [(640, 640), (320, 180), (160, 90)] if cover_first else [(160, 90), (320, 180), (640, 640)]
        streams = []
        for width, height in sizes:
            cover = width == height
            stream: Any = container.add_stream("mjpeg" if cover else "libx264", rate=Fraction(12))
            stream.width, stream.height, stream.pix_fmt = width, height, "yuvj420p" if cover else "yuv420p"
            if cover:
                stream.disposition = av.stream.Disposition.attached_pic
            streams.append(stream)
        for stream in streams:
            for picture in itertools.islice(drawn(24, stream.width, stream.height), 1 if stream.width == 640 else 24):
                raw = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=stream.pix_fmt)
                container.mux(stream.encode(raw))
            container.mux(stream.encode())
    frames = list(video.frames(path, no_loss))
    assert (len(frames), frames[0].rgb().shape) == (24, (180, 320, 3))


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("dvd.mpg", "mpeg2video", {"flags": "+ildct+ilme", "b": "8000k"}),
        ("tv.mp4", "libx264", {"x264-params": "interlaced=1"}),
    ],
)
def test_interlaced_frames_are_deinterlaced(name: str, codec: str, options: dict[str, str], tmp_path: Path) -> None:
    """A box that moves between two fields: combed as coded, one edge once made whole."""

    def field_at(index: int) -> Picture:
        picture = scene(3, 320, 192)
        cv2.rectangle(picture, (40 + 6 * index, 50), (120 + 6 * index, 140), (250, 250, 250), -1)
        return picture

    def woven() -> Iterator[Picture]:
        for index in range(24):
            picture = field_at(2 * index)
            picture[1::2] = field_at(2 * index + 1)[1::2]
            yield picture

    path = write_film(tmp_path / name, woven(), 25, codec, options=options)

    def combing(luma: np.ndarray) -> float:
        lines = luma.astype(float)
        return float(np.abs(lines[2:-2:2] * 2 - lines[1:-3:2] - lines[3:-1:2]).mean())

    assert len(list(video.frames(path, no_loss, "reference"))) > 18, "each is made whole by its neighbors, so none is left out"
    frames = list(video.frames(path, no_loss))
    assert len(frames) == 24
    np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(24) / 25, atol=2e-3)
    woven_frames = list(woven())
    for frame in frames[1:17]:
        combed, whole = woven_frames[frame.index], field_at(2 * frame.index)
        assert combing(frame.luma()) < 1.05 * combing(cv2.cvtColor(whole, cv2.COLOR_RGB2GRAY))
        assert combing(cv2.cvtColor(combed, cv2.COLOR_RGB2GRAY)) > 1.3 * combing(cv2.cvtColor(whole, cv2.COLOR_RGB2GRAY))
        assert np.abs(frame.rgb().astype(int) - field_at(2 * frame.index)).mean() < 8, "same colors, same moment"


@pytest.mark.parametrize("which", ["all", "reference"])
@pytest.mark.parametrize("suffix", ["mkv", "mp4", "ts", "mpg"])
def test_damage_is_reported_with_the_seconds_lost(suffix: str, which: decoding.Selection, tmp_path: Path) -> None:
    codec, fps = ("mpeg2video", 25) if suffix == "mpg" else ("libx264", 24)
    path = write_film(tmp_path / f"a.{suffix}", drawn(400), fps, codec, gop_size=24)
    data = bytearray(path.read_bytes())
    first, last = int(len(data) * 0.5), int(len(data) * 0.6)
    data[first:last] = random.Random(0).randbytes(last - first)
    path.write_bytes(data)
    losses: list[decoding.MissingFrames] = []
    truly_lost_s = (400 - len(list(video.frames(path, lambda loss: None)))) / fps
    frames = list(video.frames(path, losses.append, which))
    times = [frame.time_s for frame in frames]
    assert times == sorted(set(times))
    assert times[-1] > 395 / fps, "what follows the damage is still read"
    (loss,) = losses
    assert "damaged" in loss.text and loss.seconds == pytest.approx(truly_lost_s, abs=1.5)
    truth = list(drawn(400))
    bad = {
        frame.index
        for frame in frames
        if np.abs(frame.rgb().astype(int) - truth[min(round(frame.time_s * fps), 399)]).mean() > 12
    }
    chosen = {
        scored.frame.index
        for shot in detect_shots(iter(frames), make_detector("adaptive", None, 0.2))
        for scored in shot.best(3, 0.1, 0.1)
    }
    assert len(chosen) > (60 if which == "all" else 50) and len(chosen & bad) <= 1


@pytest.mark.parametrize("which", ["all", "reference"])
@pytest.mark.parametrize("b_frames", ["0", "5"])
def test_no_frame_that_is_damaged_or_predicted_from_a_damaged_one_is_chosen(
    which: decoding.Selection, b_frames: str, tmp_path: Path
) -> None:
    """A few bytes are wrong here and there, which spoils all pictures up to the next key frame and some before."""
    path = write_film(tmp_path / "a.mp4", drawn(400), 24, gop_size=60, options={"bf": b_frames, "crf": "20"})
    data, rng = bytearray(path.read_bytes()), random.Random(1)
    for _ in range(4):
        start = rng.randrange(len(data) // 10, len(data) * 8 // 10)
        data[start : start + 40] = rng.randbytes(40)
    path.write_bytes(data)
    losses: list[decoding.MissingFrames] = []
    frames = list(video.frames(path, losses.append, which))
    spoiled = [frame for frame in frames if frame.damaged]
    assert len(spoiled) > 10
    assert f"spoil {len(spoiled)} frames" in losses[0].text and losses[0].seconds >= len(spoiled) / 24 - 0.01
    chosen = [
        scored.frame
        for shot in detect_shots(iter(frames), make_detector("adaptive", None, 0.2))
        for scored in shot.best(3, 0.1, 0.1)
    ]
    truth = list(drawn(400))
    assert len(chosen) > 20 and not any(frame.damaged for frame in chosen)
    assert max(np.abs(frame.rgb().astype(int) - truth[round(frame.time_s * 24)]).mean() for frame in chosen) < 12


def test_an_avi_that_was_cut_off_is_reported(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.avi", drawn(240), 24, "mpeg4", options={"b": "3000k"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 5])
    losses: list[decoding.MissingFrames] = []
    frames = list(video.frames(path, losses.append))
    assert 20 < len(frames) < 160
    assert sum(loss.seconds for loss in losses) == pytest.approx((240 - len(frames)) / 24, abs=0.5)
