"""What is copied from the source into the result besides its pictures."""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path

import av
import pytest

from pipeline.inference.render_options import RenderOptions
from tests.support.clips import IRREGULAR_TIMES, Clip, packets_of, stylize_clip, times_of


def test_subtitles_are_copied_and_metadata_only_if_asked_for(tmp_path: Path) -> None:
    clip = Clip(sound=True, subtitles=True).write(tmp_path / "a.mp4")
    result = stylize_clip(clip, tmp_path / "out")
    texts = [packet for packet in packets_of(clip, "subtitle") if packet[1] == b"\x00\x05hello"]
    assert len(texts) == 2
    assert [packet for packet in packets_of(result, "subtitle") if packet[1] == b"\x00\x05hello"] == texts
    with av.open(str(result)) as container:
        assert [stream.language for stream in container.streams.subtitles] == ["fra"]
        assert "title" not in container.metadata
    with av.open(str(stylize_clip(clip, tmp_path / "kept", render=RenderOptions(metadata="keep")))) as container:
        assert container.metadata["title"] == "A walk"


def test_a_stream_that_the_container_cannot_hold_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "words.srt").write_text("1\n00:00:00,100 --> 00:00:00,500\nhello\n")
    with (
        av.open(str(Clip(sound=True).write(tmp_path / "a.mkv"))) as clip,
        av.open(str(tmp_path / "words.srt")) as words,
        av.open(str(tmp_path / "b.avi"), "w", format="matroska") as target,  # for its suffix, the result is MP4
    ):
        copies = [[target.add_stream_from_template(stream, opaque=True) for stream in one.streams] for one in (clip, words)]
        for source, streams in zip((clip, words), copies, strict=True):
            for packet in source.demux():
                if packet.size:
                    packet.stream = streams[packet.stream.index]
                    target.mux(packet)
    with caplog.at_level(logging.WARNING, "genga"):
        result = stylize_clip(tmp_path / "b.avi", tmp_path / "out")
    assert result.name == "b.mp4"
    assert len(times_of(result)) == 24
    assert len(packets_of(result, "audio")) > 30
    assert "mp4 cannot hold its stream 2 (subtitle, srt), which is left out" in caplog.text


def test_a_broadcast_is_shifted_to_zero_with_sound_in_sync(tmp_path: Path) -> None:
    clip = Clip(IRREGULAR_TIMES, sound=True).write(tmp_path / "a.ts")
    result = stylize_clip(clip, tmp_path / "out")
    assert result.name == "a.mp4"
    before, after = times_of(clip), times_of(result)
    shift = before[0] - after[0]
    assert shift > 0
    assert abs(after[0]) < 0.2
    assert [time - shift for time in before] == after
    sound, copied = packets_of(clip, "audio"), packets_of(result, "audio")
    assert len(copied) == len(sound) > 30
    # MP4 stores the start of a stream in milliseconds.
    assert max(abs(one[0] - shift - other[0]) for one, other in zip(sound, copied, strict=True)) < Fraction(1, 1000)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".webm"])
def test_a_film_states_the_frame_rate_of_its_source(tmp_path: Path, suffix: str) -> None:
    clip = Clip().write(tmp_path / f"a{suffix}")
    with av.open(str(stylize_clip(clip, tmp_path / "out"))) as container:
        assert container.streams.video[0].average_rate == 25


def test_chapters_and_attachments_are_copied(tmp_path: Path) -> None:
    chapters = [
        {"id": 1, "start": 0, "end": 400, "time_base": Fraction(1, 1000), "metadata": {"title": "Rain"}},
        {"id": 2, "start": 400, "end": 960, "time_base": Fraction(1, 1000), "metadata": {"title": "Snow"}},
    ]
    with (
        av.open(str(Clip(sound=True).write(tmp_path / "a.mkv"))) as source,
        av.open(str(tmp_path / "b.mkv"), "w") as target,
    ):
        copies = [target.add_stream_from_template(stream, opaque=True) for stream in source.streams]
        target.add_attachment("a.ttf", "font/ttf", b"no real font")
        target.set_chapters(chapters)  # type: ignore[arg-type]
        for packet in source.demux():
            if packet.size:
                packet.stream = copies[packet.stream.index]
                target.mux(packet)
    with av.open(str(stylize_clip(tmp_path / "b.mkv", tmp_path / "out"))) as container:
        assert [chapter["metadata"]["title"] for chapter in container.chapters()] == ["Rain", "Snow"]
        assert [stream.name for stream in container.streams.attachments] == ["a.ttf"]
        assert bytes(container.streams.attachments[0].data) == b"no real font"
