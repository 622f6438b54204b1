"""Processes that the launcher starts: the status of the first that failed, its errors, and signals passed on."""

import re
import signal
import sys

import pytest

from pipeline.training import launcher

SETUP = "import os, signal, sys, time; rank = os.environ['RANK']"


@pytest.mark.parametrize(
    ("does", "status", "reported"),
    [
        ("pass", 0, []),
        ("sys.exit(3 if rank == '1' else 0)", 3, []),
        ("print('of rank', rank, file=sys.stderr); sys.exit(2 if rank == '1' else 0)", 2, ["of rank 0", "of rank 1"]),
        ("print('of rank', rank, file=sys.stderr); sys.exit(2 if rank == '0' else 0)", 2, ["of rank 0"]),
        ("os.kill(os.getpid(), signal.SIGKILL) if rank == '1' else time.sleep(1000)", 137, []),
        ("os.kill(os.getppid(), signal.SIGTERM) if rank == '0' else None; time.sleep(1000)", 143, []),
    ],
)
def test_a_group_ends_with_the_status_of_the_first_process_that_failed(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], does: str, status: int, reported: list[str]
) -> None:
    monkeypatch.setattr(launcher, "GRACE_S", 0.2)
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    assert launcher.run_processes([sys.executable, "-S", "-c", f"{SETUP}; {does}"], 2) == status
    assert re.findall(r"of rank \d", capfd.readouterr().err) == reported
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
