"""Frames that are still to be redrawn: decoded from a key frame only if the last segment comes out the same."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from pipeline.film.segments import Segment, frame_digest
from pipeline.film.source_frames import read_frames
from pipeline.film.video_format import VideoFormat, probe_format
from tests.support.clips import IRREGULAR_TIMES, Clip

SEGMENT_S = 0.2


def segment_of(clip: Path, format: VideoFormat, number: int) -> Segment:
    frames = [frame for frame in read_frames(clip, format, SEGMENT_S, None) if frame.segment == number]
    return Segment(number, [frame.pts for frame in frames], 0, frame_digest(frames[-1].picture(format)))


def test_segments_follow_the_clock(tmp_path: Path) -> None:
    clip = Clip(IRREGULAR_TIMES).write(tmp_path / "a.mp4")
    frames = list(read_frames(clip, probe_format(clip), SEGMENT_S, None))
    assert [frame.segment for frame in frames] == [int(time / 600 / SEGMENT_S) for time in IRREGULAR_TIMES]
    assert [frame.pts for frame in frames] == sorted({frame.pts for frame in frames})


def test_frames_after_a_segment_are_the_same_as_from_the_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clip = Clip(keyframe_interval=5).write(tmp_path / "a.mp4")
    format = probe_format(clip)
    expected = [(frame.pts, frame_digest(frame.picture(format))) for frame in read_frames(clip, format, SEGMENT_S, None)]
    last = segment_of(clip, format, 2)
    with caplog.at_level(logging.INFO, "genga"):
        rest = [(frame.pts, frame_digest(frame.picture(format))) for frame in read_frames(clip, format, SEGMENT_S, last)]
    assert rest == [frame for frame in expected if frame[0] > last.pts[-1]] and len(rest) == 8
    assert "decoded from its start" not in caplog.text


@pytest.mark.parametrize("wrong", ["last_frame", "pts"])
def test_a_segment_that_comes_out_otherwise_means_decoding_from_the_start(
    wrong: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clip = Clip(keyframe_interval=5).write(tmp_path / "a.mp4")
    format = probe_format(clip)
    last = segment_of(clip, format, 2)
    changed = {"last_frame": "of another picture", "pts": [*last.pts[:-1], last.pts[-1] + 1]}
    other = Segment(**{**vars(last), wrong: changed[wrong]})
    with caplog.at_level(logging.INFO, "genga"):
        rest = list(read_frames(clip, format, SEGMENT_S, other))
    assert "decoded from its start" in caplog.text
    assert [frame.segment for frame in rest] == [3] * 4 + [4] * 4
