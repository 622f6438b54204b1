"""Films through a stylizer: what of a clip stays as it was, and what a kill costs."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.packet import Packet
from av.video.frame import VideoFrame

from pipeline.core.errors import UserError
from pipeline.core.lock import alone
from pipeline.film import segments
from pipeline.film.segments import JOURNAL, form_of
from pipeline.film.videos import Films
from pipeline.inference import photos
from pipeline.inference.photos import Look, Report, redraw_files
from pipeline.media import video
from pipeline.media.images import Picture
from tests.conftest import no_loss, scene

STEADY_TIMES = tuple(range(0, 24 * 24, 24))  # of 1/600 s: 25 a second
UNEVEN_TIMES = (0, 24, 48, 98, 99, 200, 224, 248, 272, 300, 620, 644, 668, 692)


class Same:
    """A network that changes nothing, and counts."""

    identity = "same"

    def __init__(self) -> None:
        self.seen = 0

    def batch(self, pictures: Sequence[Picture]) -> list[Picture]:
        self.seen += len(pictures)
        return list(pictures)


class Negative(Same):
    identity = "negative"

    def batch(self, pictures: Sequence[Picture]) -> list[Picture]:
        return [255 - picture for picture in super().batch(pictures)]


@dataclass
class Clip:
    """A clip to be written."""

    times: Sequence[int] = STEADY_TIMES
    size: tuple[int, int] = (48, 64)
    turn: int = 0
    tags: tuple[int, int, int, int] = (2, 2, 2, 0)
    sound: bool = False
    subtitles: bool = False
    aspect: Fraction = Fraction(1)
    seed: int = 0
    gop: int = 250

    def write(self, path: Path) -> Path:
        webm = path.suffix == ".webm"
        with av.open(str(path), "w") as container:
            stream: Any = container.add_stream("libvpx-vp9" if webm else "libx264", rate=25)
            context = stream.codec_context
            context.options = {"crf": "8", "g": str(self.gop)}
            context.height, context.width = self.size
            context.pix_fmt = "yuv420p" if webm or not any(side % 2 for side in self.size) else "yuv444p"
            context.time_base, context.sample_aspect_ratio = Fraction(1, 600), self.aspect
            context.color_primaries, context.color_trc, context.colorspace, context.color_range = self.tags
            if self.turn:
                stream.set_display_rotation(self.turn)
            sound: Any = container.add_stream("libopus" if webm else "aac", rate=48000) if self.sound else None
            words: Any = container.add_mux_stream("mov_text") if self.subtitles else None
            if words is not None:
                words.time_base = Fraction(1, 1000)
                words.metadata["language"] = "fra"
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
            if words is not None:
                for at in (100, 500):
                    packet: Packet[Any] = Packet(b"\x00\x05hello")
                    packet.stream, packet.pts, packet.dts, packet.duration = words, at, at, 300
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


def go(clip: Path, out: Path, network: Same | None = None, films: Films | None = None, look: Look | None = None) -> Path:
    report = redraw_files([clip], out, network or Same(), films=films or Films(crf=8), look=look)
    assert not report.broken, report.broken
    return report.done[0][1]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
@pytest.mark.parametrize("times", [STEADY_TIMES, UNEVEN_TIMES])
def test_every_frame_at_its_time_and_looking_the_same(suffix: str, times: tuple[int, ...], tmp_path: Path) -> None:
    clip = Clip(times, sound=True).write(tmp_path / f"a{suffix}")
    made = go(clip, tmp_path / "out", films=Films(crf=8, segment_s=0.4))
    assert made.suffix == suffix
    assert times_of(made) == times_of(clip)
    assert len(times_of(made)) == len(times)
    for before, after in zip(pictures_of(clip), pictures_of(made), strict=True):
        assert before.shape == after.shape
        assert np.abs(before.astype(int) - after).mean() < 4
    sound = packets_of(clip, "audio")
    assert len(sound) > 30
    assert packets_of(made, "audio") == sound


def test_subtitles_go_with_it_and_names_only_when_asked(tmp_path: Path) -> None:
    clip = Clip(sound=True, subtitles=True).write(tmp_path / "a.mp4")
    made = go(clip, tmp_path / "out")
    words = packets_of(clip, "subtitle")
    assert [text for _, text in words].count(b"\x00\x05hello") == 2
    assert [one for one in packets_of(made, "subtitle") if one[1] == b"\x00\x05hello"] == [
        one for one in words if one[1] == b"\x00\x05hello"
    ]
    with av.open(str(made)) as container:
        assert [stream.language for stream in container.streams.subtitles] == ["fra"]
        assert "title" not in container.metadata
    with av.open(str(go(clip, tmp_path / "kept", look=Look(metadata="keep")))) as container:
        assert container.metadata["title"] == "A walk"


def test_what_the_container_cannot_hold_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "words.srt").write_text("1\n00:00:00,100 --> 00:00:00,500\nhello\n")
    with (
        av.open(str(Clip(sound=True).write(tmp_path / "a.mkv"))) as source,
        av.open(str(tmp_path / "words.srt")) as words,
        av.open(str(tmp_path / "b.avi"), "w", format="matroska") as target,  # for whose suffix MP4 is written
    ):
        ours = [[target.add_stream_from_template(stream, opaque=True) for stream in one.streams] for one in (source, words)]
        for one, streams in zip((source, words), ours, strict=True):
            for packet in one.demux():
                if packet.size:
                    packet.stream = streams[packet.stream.index]
                    target.mux(packet)
    with caplog.at_level(logging.WARNING, "genga"):
        made = go(tmp_path / "b.avi", tmp_path / "out")
    assert made.name == "b.mp4"
    assert len(times_of(made)) == 24
    assert len(packets_of(made, "audio")) > 30
    assert "mp4 cannot hold its stream 2 (subtitle, srt), which is left out" in caplog.text


def test_a_broadcast_begins_at_nought_with_sound_and_pictures_as_far_apart(tmp_path: Path) -> None:
    clip = Clip(UNEVEN_TIMES, sound=True).write(tmp_path / "a.ts")
    made = go(clip, tmp_path / "out")
    assert made.name == "a.mp4"
    before, after = times_of(clip), times_of(made)
    shift = before[0] - after[0]
    assert shift > 0
    assert abs(after[0]) < 0.2
    assert [time - shift for time in before] == after
    sound, copied = packets_of(clip, "audio"), packets_of(made, "audio")
    assert len(copied) == len(sound) > 30
    assert max(abs(one[0] - shift - other[0]) for one, other in zip(sound, copied, strict=True)) < Fraction(
        1, 1000
    )  # in which MP4 says where a stream begins


def test_clips_are_encoded_without_mb_tree(tmp_path: Path) -> None:
    """Its AVX-512 code reads uninitialized memory, so a resumed film would not equal an uninterrupted one, byte for byte."""
    assert b"mbtree=0" in go(Clip().write(tmp_path / "a.mp4"), tmp_path / "out").read_bytes()


def test_chapters_and_fonts_stay(tmp_path: Path) -> None:
    chapters = [
        {"id": 1, "start": 0, "end": 400, "time_base": Fraction(1, 1000), "metadata": {"title": "Rain"}},
        {"id": 2, "start": 400, "end": 960, "time_base": Fraction(1, 1000), "metadata": {"title": "Snow"}},
    ]
    with (
        av.open(str(Clip(sound=True).write(tmp_path / "a.mkv"))) as source,
        av.open(str(tmp_path / "b.mkv"), "w") as target,
    ):
        ours = [target.add_stream_from_template(stream, opaque=True) for stream in source.streams]
        target.add_attachment("a.ttf", "font/ttf", b"no real font")
        target.set_chapters(chapters)  # type: ignore[arg-type]
        for packet in source.demux():
            if packet.size:
                packet.stream = ours[packet.stream.index]
                target.mux(packet)
    made = go(tmp_path / "b.mkv", tmp_path / "out")
    with av.open(str(made)) as container:
        assert [chapter["metadata"]["title"] for chapter in container.chapters()] == ["Rain", "Snow"]
        assert [stream.name for stream in container.streams.attachments] == ["a.ttf"]
        assert bytes(container.streams.attachments[0].data) == b"no real font"


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("turn", [90, 180, -90])
def test_turned_clips_stay_turned_and_the_network_sees_them_upright(suffix: str, turn: int, tmp_path: Path) -> None:
    clip = Clip(turn=turn).write(tmp_path / f"a{suffix}")
    shapes: set[tuple[int, ...]] = set()

    class Seeing(Same):
        def batch(self, pictures: Sequence[Picture]) -> list[Picture]:
            shapes.update(picture.shape for picture in pictures)
            return list(pictures)

    made = go(clip, tmp_path / "out", Seeing())
    assert shapes == {(48, 64, 3) if turn == 180 else (64, 48, 3)}
    with av.open(str(made)) as container:
        frame = next(container.decode(video=0))
        assert (frame.width, frame.height, frame.rotation % 360) == (64, 48, turn % 360)
    assert np.abs(pictures_of(clip)[3].astype(int) - pictures_of(made)[3]).mean() < 4


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
@pytest.mark.parametrize("size", [(47, 63), (48, 63), (47, 64), (33, 35)])
def test_odd_sizes_stay(suffix: str, size: tuple[int, int], tmp_path: Path) -> None:
    clip = Clip(size=size, times=STEADY_TIMES[:6]).write(tmp_path / f"a{suffix}")
    assert pictures_of(go(clip, tmp_path / "out"))[0].shape == (*size, 3)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("tags", [(1, 1, 1, 1), (1, 1, 1, 2), (6, 6, 6, 1), (5, 6, 5, 2), (2, 2, 2, 0), (1, 13, 6, 2)])
def test_colour_tags_stay_and_colours_with_them(suffix: str, tags: tuple[int, int, int, int], tmp_path: Path) -> None:
    clip = Clip(tags=tags, times=STEADY_TIMES[:6]).write(tmp_path / f"a{suffix}")
    made = go(clip, tmp_path / "out")

    def said(path: Path) -> tuple[int, ...]:
        with av.open(str(path)) as container:
            raw = next(container.decode(video=0))
            return tuple(map(int, (raw.color_primaries, raw.color_trc, raw.colorspace, raw.color_range)))

    assert said(made) == said(clip)
    assert said(made)[:3] == tags[:3]
    for before, after in zip(pictures_of(clip), pictures_of(made), strict=True):
        assert np.abs((before.astype(int) - after).mean(axis=(0, 1))).max() < 1.0


def test_pixels_that_are_no_squares_stay_so(tmp_path: Path) -> None:
    made = go(Clip(aspect=Fraction(16, 11), times=STEADY_TIMES[:6]).write(tmp_path / "a.mkv"), tmp_path / "out")
    form = form_of(made)
    assert (form.width, form.height, form.aspect) == (64, 48, Fraction(16, 11))


def test_the_look_holds_for_films(tmp_path: Path) -> None:
    clip = Clip(times=STEADY_TIMES[:4]).write(tmp_path / "a.mp4")
    photo = pictures_of(clip)[0].astype(int)
    negative = pictures_of(go(clip, tmp_path / "1", Negative()))[0]
    half = pictures_of(go(clip, tmp_path / "2", Negative(), look=Look(strength=0.5)))[0]
    both = pictures_of(go(clip, tmp_path / "3", Negative(), look=Look(side_by_side=True)))[0]
    assert np.abs(255 - photo - negative).mean() < 4
    assert np.abs(127.5 - half).mean() < 3
    assert both.shape == (48, 2 * 64 + 8, 3)
    assert np.abs(both[:, :64].astype(int) - photo).mean() < 4


def test_folders_of_photos_and_films(tmp_path: Path) -> None:
    from pipeline.media import images

    (tmp_path / "in/deep").mkdir(parents=True)
    Clip(times=STEADY_TIMES[:3]).write(tmp_path / "in/deep/a.mp4")
    images.write(tmp_path / "in/a.png", scene(1, 32, 32))
    (tmp_path / "in/broken.mkv").write_bytes(b"no film")
    (tmp_path / "in/.hidden.mkv").write_bytes(b"no film")

    def run() -> Report:
        return redraw_files([tmp_path / "in"], tmp_path / "out", Same(), films=Films())

    first, second = run(), run()
    assert sorted(target.relative_to(tmp_path / "out").as_posix() for _, target in first.done) == ["a.png", "deep/a.mp4"]
    assert [photo.name for photo, _ in first.broken] == ["broken.mkv"]
    assert len(second.skipped) == 2 and not second.done
    assert not [path for path in (tmp_path / "out").rglob(".*") if (path / "begun.nut").exists()]
    with pytest.raises(UserError, match="holds no pictures"):
        redraw_files([tmp_path / "in/deep"], tmp_path / "other", Same())


# Killed

SLOW = """
import sys, time
from pathlib import Path
from tests.film.test_videos import Films, Negative, redraw_files
class Slow(Negative):
    def batch(self, pictures):
        time.sleep(0.05 * len(pictures))
        return super().batch(pictures)
redraw_files([Path(sys.argv[1])], Path(sys.argv[2]), Slow(), films=Films(steady=0.5, segment_s=0.2))
"""


def test_a_killed_run_goes_on_after_its_last_whole_segment(tmp_path: Path) -> None:
    clip = Clip(UNEVEN_TIMES * 1, sound=True).write(tmp_path / "a.mp4")
    films = Films(steady=0.5, segment_s=0.2)
    at_once = go(clip, tmp_path / "once", Negative(), films)
    parts = tmp_path / "out/.a.mp4.parts"
    with subprocess.Popen([sys.executable, "-c", SLOW, str(clip), str(tmp_path / "out")], cwd=Path(__file__).parents[2]) as run:
        while not (parts / JOURNAL).is_file() or len((parts / JOURNAL).read_text().splitlines()) < 3:
            assert run.poll() is None, "it ended before it was killed"
            time.sleep(0.005)
        os.kill(run.pid, signal.SIGKILL)
    assert not (tmp_path / "out/a.mp4").exists()
    with (parts / JOURNAL).open("a") as file:
        file.write('{"number": 9, "pts"')  # as a power cut leaves it
    network = Negative()
    made = go(clip, tmp_path / "out", network, films)
    assert 0 < network.seen < len(UNEVEN_TIMES)
    assert not parts.exists()
    assert times_of(made) == times_of(clip)
    assert packets_of(made, "video") == packets_of(at_once, "video")
    assert packets_of(made, "audio") == packets_of(clip, "audio")


def test_segments_of_another_model_or_option_are_not_used(tmp_path: Path) -> None:
    clip = Clip(STEADY_TIMES).write(tmp_path / "a.mp4")

    films = Films(segment_s=0.2)
    report = redraw_files([clip], tmp_path / "out", Failing(12), films=films)
    assert "out of memory" in report.broken[0][1]
    assert (tmp_path / "out/.a.mp4.parts" / JOURNAL).is_file()
    network = Same()
    made = go(clip, tmp_path / "out", network, films)
    assert network.seen == len(STEADY_TIMES)
    assert np.abs(pictures_of(made)[0].astype(int) - pictures_of(clip)[0]).mean() < 6


class Failing(Negative):
    """As `Negative`, for so many pictures."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def batch(self, pictures: Sequence[Picture]) -> list[Picture]:
        if self.seen + len(pictures) > self.most:
            raise UserError("out of memory")
        return super().batch(pictures)


def stopped_and_resumed(clip: Path, out: Path, monkeypatch: pytest.MonkeyPatch, most: int = 18) -> tuple[Path, list[float]]:
    """The result of two runs, the first stopped after `most` pictures, and the seconds of what the second decoded."""
    films = Films(steady=0.5, segment_s=0.2)
    assert redraw_files([clip], out, Failing(most), films=films).broken
    decoded: list[float] = []
    real = video.frames

    def counted(*args: Any, **more: Any) -> Any:
        for frame in real(*args, **more):
            decoded.append(frame.time_s)
            yield frame

    with monkeypatch.context() as patch:
        patch.setattr(video, "frames", counted)
        made = go(clip, out, Negative(), films)
    return made, decoded[1:]  # the first tells the film's form


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
@pytest.mark.parametrize("times", [STEADY_TIMES, UNEVEN_TIMES * 1 + tuple(range(716, 1000, 24))])
def test_a_film_is_entered_at_the_key_frame_before_what_is_to_be_done(
    suffix: str, times: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = Clip(times, gop=5, sound=True).write(tmp_path / f"a{suffix}")
    at_once = go(clip, tmp_path / "once", Negative(), Films(steady=0.5, segment_s=0.2))
    made, decoded = stopped_and_resumed(clip, tmp_path / "out", monkeypatch)
    for kind in ("video", "audio"):
        assert packets_of(made, kind) == packets_of(at_once, kind)
    if suffix == ".mp4":  # others hold a number drawn at random
        assert made.read_bytes() == at_once.read_bytes()
    assert decoded[0] > 0 and decoded == sorted(decoded) and len(decoded) < len(times)


def test_a_film_that_cannot_be_entered_is_decoded_from_its_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording of two: where the second begins, the clock begins anew, and a place may be in either."""
    halves = [Clip(tuple(range(0, 40 * 24, 24)), gop=5, seed=seed).write(tmp_path / f"{seed}.ts") for seed in (0, 1)]
    clip = tmp_path / "a.ts"
    clip.write_bytes(b"".join(half.read_bytes() for half in halves))
    at_once = go(clip, tmp_path / "once", Negative(), Films(steady=0.5, segment_s=0.2))
    made, decoded = stopped_and_resumed(clip, tmp_path / "out", monkeypatch, most=60)
    assert made.read_bytes() == at_once.read_bytes()
    assert len(times_of(made)) == 80 and decoded[-80] == 0


def test_another_picture_under_the_same_times_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = Clip(gop=5).write(tmp_path / "a.mp4")
    at_once = go(clip, tmp_path / "once", Negative(), Films(steady=0.5, segment_s=0.2))
    monkeypatch.setattr(segments.Segment, "close", told_wrong(segments.Segment.close))
    made, decoded = stopped_and_resumed(clip, tmp_path / "out", monkeypatch)
    assert made.read_bytes() == at_once.read_bytes()
    assert decoded.count(0.0) == 1 and len(decoded) > len(STEADY_TIMES), "entered in vain, then from the start"


def told_wrong(close: Any) -> Any:
    def closing(self: Any, pts: list[int], last: Picture, state: Any) -> None:
        close(self, pts, last[::-1], state)

    return closing


def test_two_runs_into_one_folder_keep_apart(tmp_path: Path) -> None:
    clip = Clip(times=STEADY_TIMES[:4]).write(tmp_path / "a.mp4")
    lock = tmp_path / "out/.a.mp4.lock"
    lock.parent.mkdir()
    with alone(lock) as ours:
        assert ours
        report = redraw_files([clip], tmp_path / "out", Negative(), films=Films())
    assert "another run is at work on" in report.broken[0][1] and "a.mp4" in report.broken[0][1]
    lock.touch()  # of a run that was killed
    assert len(times_of(go(clip, tmp_path / "out", Negative()))) == 4
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == ["a.mp4", photos.JOURNAL]


def test_one_at_a_time_holds_the_lock(tmp_path: Path) -> None:
    lock, within, most, held = tmp_path / "lock", [0], [0], [0]

    def work() -> None:
        for _ in range(200):
            with alone(lock) as ours:
                if ours:
                    within[0] += 1
                    most[0] = max(most[0], within[0])
                    held[0] += 1
                    within[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 1 and held[0] >= 200 and not lock.exists()


def test_what_is_not_there_is_said_without_params(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.mp4 does not exist: give a picture, a film, a folder or a pattern"):
        redraw_files([tmp_path / "none.mp4"], tmp_path / "out", Same(), films=Films())
    with pytest.raises(UserError, match=r"none\.mp4 does not exist: put the film there, or fix its path$"):
        video.open_film(tmp_path / "none.mp4")
