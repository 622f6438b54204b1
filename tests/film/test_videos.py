"""Video files through a stylizer: every frame at its time, sound unchanged, and what is lost when a run is stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.commands.stylize import stylize_files
from pipeline.core import files
from pipeline.film.segments import INDEX
from pipeline.film.videos import VideoOptions, result_suffix, total_megapixels
from pipeline.inference.render_options import RenderOptions
from pipeline.media import video
from tests.support.clips import IRREGULAR_TIMES, REGULAR_TIMES, Clip, packets_of, pictures_of, stylize_clip, times_of
from tests.support.stylizers import Failing, Negative, Unchanged

OPTIONS = VideoOptions(deflicker=0.5, segment_s=0.2)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
@pytest.mark.parametrize("times", [REGULAR_TIMES, IRREGULAR_TIMES])
def test_every_frame_keeps_its_time_and_sound_is_copied(suffix: str, times: tuple[int, ...], tmp_path: Path) -> None:
    clip = Clip(times, sound=True).write(tmp_path / f"a{suffix}")
    result = stylize_clip(clip, tmp_path / "out", options=VideoOptions(crf=8, segment_s=0.4))
    assert result.suffix == suffix
    assert times_of(result) == times_of(clip)
    assert len(times_of(result)) == len(times)
    for before, after in zip(pictures_of(clip), pictures_of(result), strict=True):
        assert before.shape == after.shape
        assert np.abs(before.astype(int) - after).mean() < 4
    sound = packets_of(clip, "audio")
    assert len(sound) > 30
    assert packets_of(result, "audio") == sound


def test_render_options_apply_to_videos(tmp_path: Path) -> None:
    clip = Clip(times=REGULAR_TIMES[:4]).write(tmp_path / "a.mp4")
    photo = pictures_of(clip)[0].astype(int)
    negative = pictures_of(stylize_clip(clip, tmp_path / "1", Negative()))[0]
    half = pictures_of(stylize_clip(clip, tmp_path / "2", Negative(), render=RenderOptions(strength=0.5)))[0]
    both = pictures_of(stylize_clip(clip, tmp_path / "3", Negative(), render=RenderOptions(side_by_side=True)))[0]
    assert np.abs(255 - photo - negative).mean() < 4
    assert np.abs(127.5 - half).mean() < 3
    assert both.shape == (48, 2 * 64 + 8, 3)
    assert np.abs(both[:, :64].astype(int) - photo).mean() < 4


def test_frames_go_through_the_stylizer_in_batches(tmp_path: Path) -> None:
    stylizer = Unchanged()
    stylize_clip(Clip().write(tmp_path / "a.mp4"), tmp_path / "out", stylizer)
    assert stylizer.count == len(REGULAR_TIMES)
    assert {batch[1:] for batch in stylizer.batches} == {(48, 64)}
    assert max(count for count, *_ in stylizer.batches) > 4


def test_size_and_suffix_are_known_beforehand(tmp_path: Path) -> None:
    clip = Clip().write(tmp_path / "a.mp4")
    assert total_megapixels(clip) == pytest.approx(24 * 48 * 64 / 1e6, rel=0.05)
    (tmp_path / "broken.mkv").write_bytes(b"no video")
    assert total_megapixels(tmp_path / "broken.mkv") == 0
    names = ["a.MP4", "a.webm", "a.mkv", "a.avi", "a.ts"]
    assert [result_suffix(Path(name)) for name in names] == [".mp4", ".webm", ".mkv", ".mp4", ".mp4"]


SLOW = """
import sys, time
from pathlib import Path
from tests.film.test_videos import OPTIONS, Negative, stylize_clip
class Slow(Negative):
    def stylize_batch(self, pictures):
        time.sleep(0.05 * len(pictures))
        return super().stylize_batch(pictures)
stylize_clip(Path(sys.argv[1]), Path(sys.argv[2]), Slow(), OPTIONS)
"""


def test_a_killed_run_is_resumed_after_its_last_whole_segment(tmp_path: Path) -> None:
    clip = Clip(IRREGULAR_TIMES, sound=True).write(tmp_path / "a.mp4")
    in_one_go = stylize_clip(clip, tmp_path / "once", Negative(), OPTIONS)
    index = tmp_path / "out/.a.mp4.parts" / INDEX
    command = [sys.executable, "-c", SLOW, str(clip), str(tmp_path / "out")]
    with subprocess.Popen(command, cwd=Path(__file__).parents[2]) as run:
        while not index.is_file() or len(index.read_text().splitlines()) < 3:
            assert run.poll() is None, "it ended before it was killed"
            time.sleep(0.005)
        os.kill(run.pid, signal.SIGKILL)
    assert not (tmp_path / "out/a.mp4").exists()
    with index.open("a") as file:
        file.write('{"number": 9, "pts"')  # a line cut short, as by a power failure
    stylizer = Negative()
    result = stylize_clip(clip, tmp_path / "out", stylizer, OPTIONS)
    assert 0 < stylizer.count < len(IRREGULAR_TIMES)
    assert not index.parent.exists()
    assert times_of(result) == times_of(clip)
    assert packets_of(result, "video") == packets_of(in_one_go, "video")
    assert packets_of(result, "audio") == packets_of(clip, "audio")


def test_segments_of_another_model_are_not_used(tmp_path: Path) -> None:
    clip = Clip().write(tmp_path / "a.mp4")
    options = VideoOptions(segment_s=0.2)
    report = stylize_files([clip], tmp_path / "out", lambda _: Failing(12), film=options)
    assert "out of memory" in report.failed[0][1]
    assert (tmp_path / "out/.a.mp4.parts" / INDEX).is_file()
    stylizer = Unchanged("another")
    result = stylize_clip(clip, tmp_path / "out", stylizer, options)
    assert stylizer.count == len(REGULAR_TIMES)
    assert np.abs(pictures_of(result)[0].astype(int) - pictures_of(clip)[0]).mean() < 6


def resume(clip: Path, out: Path, monkeypatch: pytest.MonkeyPatch, limit: int = 18) -> tuple[Path, list[float]]:
    """Stop a run after `limit` frames and resume it; return the result, and the times of the frames decoded since."""
    assert stylize_files([clip], out, lambda _: Failing(limit), film=OPTIONS).failed
    decoded: list[float] = []
    frames = video.frames

    def counted(*args: Any, **options: Any) -> Any:
        for frame in frames(*args, **options):
            decoded.append(frame.time_s)
            yield frame

    with monkeypatch.context() as patch:
        patch.setattr(video, "frames", counted)
        result = stylize_clip(clip, out, Negative(), OPTIONS)
    return result, decoded[1:]  # the first is for the format


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
@pytest.mark.parametrize("times", [REGULAR_TIMES, IRREGULAR_TIMES + tuple(range(716, 1000, 24))])
def test_decoding_resumes_at_a_key_frame(
    suffix: str, times: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = Clip(times, keyframe_interval=5, sound=True).write(tmp_path / f"a{suffix}")
    in_one_go = stylize_clip(clip, tmp_path / "once", Negative(), OPTIONS)
    result, decoded = resume(clip, tmp_path / "out", monkeypatch)
    for kind in ("video", "audio"):
        assert packets_of(result, kind) == packets_of(in_one_go, kind)
    if suffix == ".mp4":  # other containers hold a random number
        assert result.read_bytes() == in_one_go.read_bytes()
    assert decoded[0] > 0 and decoded == sorted(decoded) and len(decoded) < len(times)


def test_a_video_whose_clock_restarts_is_decoded_from_its_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two recordings in one file: a seek may lead into either of them."""
    halves = [
        Clip(tuple(range(0, 40 * 24, 24)), keyframe_interval=5, seed=seed).write(tmp_path / f"{seed}.ts") for seed in (0, 1)
    ]
    clip = tmp_path / "a.ts"
    clip.write_bytes(b"".join(half.read_bytes() for half in halves))
    in_one_go = stylize_clip(clip, tmp_path / "once", Negative(), OPTIONS)
    result, decoded = resume(clip, tmp_path / "out", monkeypatch, limit=60)
    assert result.read_bytes() == in_one_go.read_bytes()
    assert len(times_of(result)) == 80 and decoded[-80] == 0


def test_a_second_run_into_the_same_target_is_refused(tmp_path: Path) -> None:
    clip = Clip(times=REGULAR_TIMES[:4]).write(tmp_path / "a.mp4")
    lock = tmp_path / "out/.a.mp4.lock"
    lock.parent.mkdir()
    with files.locked(lock, "busy"):
        report = stylize_files([clip], tmp_path / "out", lambda _: Negative())
    assert "another run is writing" in report.failed[0][1] and "a.mp4" in report.failed[0][1]
    lock.touch()  # left by a run that was killed
    assert len(times_of(stylize_clip(clip, tmp_path / "out", Negative()))) == 4
    assert not [path.name for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]


def test_a_file_that_is_no_video_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "broken.mkv").write_bytes(b"no video")
    report = stylize_files([tmp_path / "broken.mkv"], tmp_path / "out", lambda _: Unchanged())
    assert [source.name for source, _ in report.failed] == ["broken.mkv"] and "broken.mkv" in report.failed[0][1]
