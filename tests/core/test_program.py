"""Programs end with one clear line and the right status, whatever stops them."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.core.program import describe_refusal
from tests.conftest import ROOT

BEGIN = """
import errno, os, signal, subprocess, sys, tempfile, time
from pathlib import Path
from pipeline.core.errors import UserError
from pipeline.core.program import run_as_program
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup leaves it ignored
"""


def run(work: str, **environment: str) -> subprocess.CompletedProcess[str]:
    code = f"{BEGIN}def work():\n    {work}\nrun_as_program('probe', work)"
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=os.environ | environment, check=False
    )


@pytest.mark.parametrize(
    ("work", "status", "text"),
    [
        ("open('/nonexistent/a')", 2, "/nonexistent/a: No such file or directory"),
        ("open('/')", 2, "/: Is a directory: a folder lies where a file should"),
        ("open('a' * 300)", 2, "File name too long: give it a shorter name"),
        ("open('/dev/full', 'w').write('a' * 100000)", 2, "No space left on device: make room on that disk"),
        (
            "os.chdir(tempfile.mkdtemp()); os.symlink('a', 'a'); Path('a').resolve(); open('a')",
            2,
            "a symbolic link leads back to itself: remove it",
        ),
        ("raise MemoryError", 2, "out of memory"),
        ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(9)", 143, "interrupted (SIGTERM)"),
        ("os.kill(os.getpid(), signal.SIGHUP); time.sleep(9)", 129, "interrupted (SIGHUP)"),
        ("raise KeyboardInterrupt", 130, "interrupted (SIGINT)"),
        ("raise UserError('\\x1b[2J' + os.fsdecode(b'caf\\xe9'))", 2, "probe: error: \\x1b[2Jcaf\\udce9"),
    ],
)
def test_what_stops_a_program_is_told_in_one_line(work: str, status: int, text: str) -> None:
    done = run(work)
    assert done.returncode == status
    assert text in done.stderr and len(done.stderr.splitlines()) == 1 and "\x1b" not in done.stderr


def test_a_traceback_can_be_asked_for() -> None:
    done = run("open('/nonexistent/a')", GENGA_TRACEBACK="1")
    assert done.returncode == 1 and "Traceback" in done.stderr


def test_bugs_show_their_traceback() -> None:
    assert "ZeroDivisionError" in run("1 / 0").stderr


def test_names_that_are_not_text_can_be_printed_and_logged() -> None:
    done = run("import logging; name = os.fsdecode(b'caf\\xe9'); print(name); logging.getLogger('genga').warning('%s', name)")
    assert done.returncode == 0
    assert done.stdout == "caf\\udce9\n" and done.stderr == "probe: caf\\udce9\n"


def test_both_names_of_a_refused_rename_are_told() -> None:
    error = OSError(errno.EXDEV, "Invalid cross-device link", "a", None, b"b\xe9")
    assert describe_refusal(error) == "a -> b\udce9: Invalid cross-device link"


@pytest.mark.slow
@pytest.mark.parametrize("shell", [False, True])
@pytest.mark.parametrize("mark", ["GENGA_CHILD", "DVC_STAGE"])
def test_a_child_ends_with_its_parent_and_removes_what_is_unfinished(mark: str, shell: bool, tmp_path: Path) -> None:
    child = f"{BEGIN}from pipeline.core import files\n" + (
        "def work():\n    with files.replacing(Path('a.txt')) as path:\n        path.touch()\n        time.sleep(60)\n"
        "run_as_program('child', work)"
    )
    (tmp_path / "child.py").write_text(child)
    command = f"['sh', '-c', '{sys.executable} child.py; true']" if shell else f"['{sys.executable}', 'child.py']"
    parent = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess\nsubprocess.run({command})"],
        cwd=tmp_path,
        env=os.environ | {mark: "1", "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    )
    while not list(tmp_path.glob(".a.txt*")):
        assert parent.poll() is None
        time.sleep(0.02)
    time.sleep(1)
    assert list(tmp_path.glob(".a.txt*")), "it lives as long as its parent does"
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    for _ in range(500):
        if not list(tmp_path.glob(".a.txt*")):
            break
        time.sleep(0.02)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["child.py"]


@pytest.mark.slow
def test_a_program_started_by_hand_outlives_its_shell(tmp_path: Path) -> None:
    code = f"{BEGIN}def work():\n    time.sleep(2); Path('done').touch()\nrun_as_program('probe', work)"
    environment = {key: value for key, value in os.environ.items() if key not in ("DVC_STAGE", "GENGA_CHILD")}
    subprocess.run(
        ["sh", "-c", f'"{sys.executable}" -c "$0" &', code],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(ROOT)},
        check=True,
    )
    for _ in range(1500):
        if (tmp_path / "done").exists():
            return
        time.sleep(0.02)
    raise AssertionError
