"""Each stage on a full disk, on one that can only be read, stopped by signals, and run twice at once."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.faults.conftest import STAGES, can_mount, command_of, complaints, leftovers, tree
from tests.support.clone import Project

pytestmark = [pytest.mark.slow, pytest.mark.faults]

ON_A_FULL_DISK = """
set -e
mount -t tmpfs -o size=$1 none "$2"
cp -a data/. "$2"/
mount --bind "$2" data
fallocate -l 1G "$2"/.filler 2>/dev/null || dd if=/dev/zero of="$2"/.filler bs=4k 2>/dev/null || true
truncate -s -"$3" "$2"/.filler
shift 3
set +e
"$@"
status=$?
rm data/.filler
(cd data && find . -type f ! -path './.partial/*' -exec md5sum {} +) | sort > after.txt
find data/.partial -type f | sort > leftovers.txt
exit $status
"""
READ_ONLY = 'mount --bind data data && mount -o remount,bind,ro data && exec "$@"'
needs_mounts = pytest.mark.skipif(not can_mount(), reason="no file system can be mounted here (unshare -rm)")


def run_in_namespace(project: Project, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["unshare", "-rm", "bash", "-c", script, "-", *arguments],
        cwd=project.folder,
        env=project.environment() | {"GENGA_WORK": "data/.work", "TMPDIR": "/tmp"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def assert_told(done: subprocess.CompletedProcess[str], stage: str, status: int = 2) -> None:
    output = done.stdout + done.stderr
    assert done.returncode == status and "Traceback" not in output, output[-3000:]
    assert len(complaints(output, STAGES[stage].split()[0])) == 1, output[-3000:]


@needs_mounts
@pytest.mark.parametrize("free", ["8K", "100K"])
@pytest.mark.parametrize("stage", STAGES)
def test_a_full_disk_is_told_in_one_line_and_harms_nothing(stage: str, free: str, finished: Project, tmp_path: Path) -> None:
    before = sorted(f"{digest}  ./{name}" for name, digest in tree(finished.folder / "data").items())
    done = run_in_namespace(finished, ON_A_FULL_DISK, "200M", str(tmp_path), free, *command_of(stage))
    after = (finished.folder / "after.txt").read_text().splitlines()
    if done.returncode == 0:  # what the stage writes fits in
        assert free == "100K" or stage in ("photo_index", "sources")
        return
    assert_told(done, stage)
    assert sorted(line for line in after if ".work" not in line) == before
    assert (finished.folder / "leftovers.txt").read_text() == ""


@needs_mounts
@pytest.mark.parametrize("stage", STAGES)
def test_a_disk_that_can_only_be_read_is_told_in_one_line(stage: str, finished: Project) -> None:
    assert_told(run_in_namespace(finished, READ_ONLY, *command_of(stage)), stage)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("stage", STAGES)
def test_a_signal_is_told_in_one_line_and_harms_nothing(stage: str, number: signal.Signals, finished: Project) -> None:
    data = finished.folder / "data"
    before = tree(data)
    process = subprocess.Popen(
        command_of(stage), cwd=finished.folder, env=finished.environment(),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # not as inherited
    )  # fmt: skip
    while not list((data / ".partial").rglob("*.lock")):
        if process.poll() is not None:  # a stage of milliseconds
            assert process.returncode == 0
            break
        time.sleep(0.01)
    time.sleep(random.uniform(0, 1))
    with contextlib.suppress(ProcessLookupError):  # it has ended
        (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    output = process.communicate()[0]
    name = STAGES[stage].split()[0]
    last = output.rstrip().rpartition("\n")[2]
    leaving = process.returncode == -number and last.startswith(f"{name}: ")  # all was done, and Python about to end
    if process.returncode != 0 and not leaving:  # else it had finished
        assert process.returncode == 128 + number and "Traceback" not in output, output[-3000:]
        assert len(complaints(output, name)) == 1, output[-3000:]
    assert tree(data) == before
    assert leftovers(data) == []


@pytest.mark.parametrize("stage", STAGES)
def test_two_runs_at_once_take_turns(stage: str, finished: Project) -> None:
    before = tree(finished.folder / "data")
    begun = [
        subprocess.Popen(
            command_of(stage), cwd=finished.folder, env=finished.environment(),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    outputs = [process.communicate()[0] for process in begun]
    assert [process.returncode for process in begun] == [0, 0], outputs
    assert tree(finished.folder / "data") == before
    assert leftovers(finished.folder / "data") == []
