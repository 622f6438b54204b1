"""`genga watch` on a training that runs, was stopped, or has finished; refreshing until Ctrl-C."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import subprocess
import sys
import time
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
from tests.support.training_world import go, make_data, settings, work

__all__ = ["work"]

pytestmark = pytest.mark.usefixtures("work")


def output_of_watch(data: Path, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    watch.show(data, once=True, every_s=1.0)
    return " ".join(capsys.readouterr().out.split())


def edit_json(file: Path, **values: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def write_run(work: Path, seen: int = 80) -> Path:
    """Write the files of a training that has seen some of 100 images, with sample grids; return its progress file."""
    log = MetricLog()
    for images in range(8, seen + 1, 8):
        log.log(images, "train", {"content": images / 8, "discriminator_total": 0.5})
    log.log(seen, "diagnostics", diagnostics.as_numbers(["same_as_photo"]))
    log.write(progress.folder_of("train"))
    folder = work / "train" / "0123"
    (folder / "samples").mkdir(parents=True)
    for images in (0, seen):
        (folder / "samples" / f"{images:09d}.jpg").touch()
    progress.write("train", seen, 100, 4.0, folder, finished=False)
    return progress.folder_of("train") / progress.FILE


def test_a_training_that_runs(tmp_path: Path, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_run(work)
    text = output_of_watch(tmp_path / "data", capsys)
    assert "80 of 100 images" in text and "4 images/s, 5 s to go" in text
    # Terms are 1 to 10: the mean of the last five, and of the five before.
    assert "content 8 3 ▁" in text and text.index("content") < text.index("discriminator_total 0.5 0.5")
    assert diagnostics.ADVICE["same_as_photo"][:40] in text and diagnostics.ADVICE["one_color"][:20] not in text
    assert text.replace(" ", "").endswith(str(work / "train/0123/samples/000000080.jpg").replace(" ", ""))
    edit_json(file, machine="elsewhere")
    assert "updated 0 s ago on elsewhere" in output_of_watch(tmp_path / "data", capsys)


def test_a_training_that_was_killed(tmp_path: Path, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gone = subprocess.Popen([sys.executable, "-S", "-c", ""])
    gone.wait()
    file = write_run(work)
    edit_json(file, process=gone.pid)
    assert "stopped 0 s ago: dvc repro train resumes" in output_of_watch(tmp_path / "data", capsys)
    # The process number is used again by a process that began after the file was written.
    edit_json(file, process=os.getpid(), written_s=1.0)
    assert "stopped" in output_of_watch(tmp_path / "data", capsys)


def test_a_finished_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_data(tmp_path)
    go("pretrain", settings(), data)
    assert "pretrain" in output_of_watch(data, capsys)
    go("train", settings(), data)
    text = output_of_watch(data, capsys)
    assert "16 of 16 images finished" in text and "validation" in text
    assert all(term in text for term in ("content", "style", "color", "tv", "adversarial", "discriminator_accuracy", "change"))
    assert text.replace(" ", "").endswith(str(data / "train/samples/000000016.jpg").replace(" ", ""))


def test_nothing_runs_yet(tmp_path: Path, work: Path) -> None:
    with pytest.raises(UserError, match="no training has started here: dvc repro train starts one"):
        watch.show(tmp_path, once=True, every_s=1.0)
    console = Console(record=True, file=io.StringIO())
    console.print(watch.render(None, 0.0))
    assert "dvc repro train starts one" in console.export_text()


def test_damaged_files(tmp_path: Path, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_run(work)
    curve = progress.folder_of("train") / "plots/metrics/train/content.tsv"
    curve.write_bytes(b"step\tcontent\n8\tnothing\n\xff\xfe\n16\t2\n24\tnan\n32\t4")
    assert watch._read_values(curve)[0] == 2 and len(watch._read_values(curve)) == 3
    assert "content nan" in output_of_watch(tmp_path, capsys)
    file.write_text("{")
    with pytest.raises(UserError, match=r"progress\.json cannot be read .*: delete it"):
        watch.show(tmp_path, once=True, every_s=1.0)


def test_it_refreshes_until_ctrl_c(tmp_path: Path, work: Path) -> None:
    terminal, child_terminal = pty.openpty()
    command = [sys.executable, "-m", "pipeline.cli", "watch", "--every", "0.1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GENGA_WORK": str(work), "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdin=child_terminal, stdout=child_terminal, stderr=child_terminal,
        # A shell that put the tests in the background has left Ctrl-C ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    os.close(child_terminal)
    output = b""

    def read_until(word: bytes) -> None:
        nonlocal output
        while word not in output:
            output += os.read(terminal, 4096)

    read_until(b"no training has started")
    file = write_run(work)
    read_until(b"80 of 100")
    edit_json(file, images_seen=96, written_s=time.time())
    read_until(b"96 of 100")
    process.send_signal(signal.SIGINT)
    try:
        while os.read(terminal, 4096):
            pass
    except OSError:  # the other end is closed
        pass
    os.close(terminal)
    assert process.wait() == 0 and b"Traceback" not in output


@given(st.lists(st.floats(), max_size=200))
def test_sparkline_of_any_values_has_a_limited_length(values: list[float]) -> None:
    drawn = watch.sparkline(values)
    assert set(drawn) <= set(watch.SPARKS) and len(drawn) <= watch.SPARK_COUNT


def test_sparkline_and_duration_of_known_values() -> None:
    assert watch.sparkline([0.0, 7.0, 3.0]) == "▁█▄"
    assert watch.sparkline([2.0] * 3) == "▁▁▁"
    assert watch.sparkline([float(value) for value in range(240)])[0::23] == "▁█"
    assert [watch.format_duration(seconds) for seconds in (4.4, 120, 12000)] == ["4 s", "2 min", "3 h 20 min"]
