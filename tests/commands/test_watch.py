"""`genga watch`: what it reads of a training that runs, has stopped, or is done; that it refreshes and ends on Ctrl-C."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from pipeline.commands import watch
from pipeline.core.errors import UserError
from pipeline.training import diagnostics, progress
from pipeline.training.metric_log import MetricLog
from tests.conftest import ROOT
from tests.support.training_world import enter, go, make_data, settings


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    yield from enter(tmp_path, monkeypatch)


def shown(data: Path, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    watch.show(data, once=True, every_s=1.0)
    return " ".join(capsys.readouterr().out.split())


def change(file: Path, **values: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def a_run(work: Path, seen: int = 80) -> Path:
    """The files of a training at some images of 100, with a grid of samples; its progress."""
    journal = MetricLog()
    for images in range(8, seen + 1, 8):
        journal.log(images, "train", {"content": images / 8, "discriminator_total": 0.5})
    journal.log(seen, "diagnostics", diagnostics.as_numbers(["same_as_photo"]))
    journal.write(progress.folder_of("train"))
    folder = work / "train" / "0123"
    (folder / "samples").mkdir(parents=True)
    for images in (0, seen):
        (folder / "samples" / f"{images:09d}.jpg").touch()
    progress.write("train", seen, 100, 4.0, folder, finished=False)
    return progress.folder_of("train") / progress.FILE


def test_a_training_that_runs(tmp_path: Path, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = a_run(work)
    text = shown(tmp_path / "data", capsys)
    assert "80 of 100 images" in text and "4 images/s, 5 s to go" in text
    # Terms are 1 to 10: the mean of the last five, and of the five before.
    assert "content 8 3 ▁" in text and text.index("content") < text.index("discriminator_total 0.5 0.5")
    assert diagnostics.ADVICE["same_as_photo"][:40] in text and diagnostics.ADVICE["one_color"][:20] not in text
    assert text.replace(" ", "").endswith(str(work / "train/0123/samples/000000080.jpg").replace(" ", ""))
    change(file, machine="elsewhere")
    assert "updated 0 s ago on elsewhere" in shown(tmp_path / "data", capsys)


def test_a_training_that_was_killed(tmp_path: Path, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gone = subprocess.Popen([sys.executable, "-S", "-c", ""])
    gone.wait()
    file = a_run(work)
    change(file, process=gone.pid)
    assert "stopped 0 s ago: dvc repro resumes" in shown(tmp_path / "data", capsys)
    # Another process now has its number: it began after the file was written.
    change(file, process=os.getpid(), written_s=1.0)
    assert "stopped" in shown(tmp_path / "data", capsys)


def test_a_training_that_is_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_data(tmp_path)
    go("pretrain", settings(), data)
    assert "pretrain" in shown(data, capsys)
    go("train", settings(), data)
    text = shown(data, capsys)
    assert "16 of 16 images finished" in text and "validation" in text
    assert all(term in text for term in ("content", "style", "color", "tv", "adversarial", "discriminator_accuracy", "change"))
    assert text.replace(" ", "").endswith(str(data / "train/samples/000000016.jpg").replace(" ", ""))


def test_nothing_runs_yet(tmp_path: Path, work: Path) -> None:
    with pytest.raises(UserError, match="no training has started here: dvc repro starts one"):
        watch.show(tmp_path, once=True, every_s=1.0)
    console = Console(record=True, file=io.StringIO())
    console.print(watch.render(None, 0.0))
    assert "dvc repro starts one" in console.export_text()


def test_damaged_files(tmp_path: Path, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = a_run(work)
    curve = progress.folder_of("train") / "plots/metrics/train/content.tsv"
    curve.write_bytes(b"step\tcontent\n8\tnothing\n\xff\xfe\n16\t2\n24\tnan\n32\t4")
    assert watch._read_values(curve)[0] == 2 and len(watch._read_values(curve)) == 3
    assert "content nan" in shown(tmp_path, capsys)
    file.write_text("{")
    with pytest.raises(UserError, match=r"progress\.json cannot be read .*: delete it"):
        watch.show(tmp_path, once=True, every_s=1.0)


def test_it_refreshes_until_ctrl_c(tmp_path: Path, work: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "pipeline.cli", "watch", "--every", "0.1"]
    place = {**os.environ, "PYTHONPATH": str(ROOT), "GENGA_WORK": str(work), "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=place, stdin=theirs, stdout=theirs, stderr=theirs,
        # A shell that put the tests in the background has left Ctrl-C ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    os.close(theirs)
    told = b""

    def read_until(word: bytes) -> None:
        nonlocal told
        while word not in told:
            told += os.read(ours, 4096)

    read_until(b"no training has started")
    file = a_run(work)
    read_until(b"80 of 100")
    change(file, images_seen=96, written_s=time.time())
    read_until(b"96 of 100")
    process.send_signal(signal.SIGINT)
    try:
        while os.read(ours, 4096):
            pass
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    assert process.wait() == 0 and b"Traceback" not in told


@given(st.lists(st.floats(), max_size=200))
def test_sparks_go_from_lowest_to_highest(values: list[float]) -> None:
    drawn = watch.sparkline(values)
    assert set(drawn) <= set(watch.SPARKS) and len(drawn) <= watch.SPARK_COUNT


def test_a_spark_and_a_duration() -> None:
    assert watch.sparkline([0.0, 7.0, 3.0]) == "▁█▄"
    assert watch.sparkline([2.0] * 3) == "▁▁▁"
    assert watch.sparkline([float(value) for value in range(240)])[0::23] == "▁█"
    assert [watch.format_duration(seconds) for seconds in (4.4, 120, 12000)] == ["4 s", "2 min", "3 h 20 min"]
