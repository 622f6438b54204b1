"""The shell of a stage that may train with several processes: a member that torchrun started, or the start of a team here.

On one machine no torchrun is needed: its agent answers a signal that the terminal has sent to everyone with another, which
would cut short the saving, and buries the one line that tells of a fault under a page of its own.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, NoReturn

import torch
import torch.distributed as dist

from pipeline.core import stage
from pipeline.core.errors import UserError
from pipeline.networks import process_group
from pipeline.params.schema import Params, load

MEETING = "GENGA_MEETING"  # the file by which members that were started here find each other
GRACE_S = 20  # for the others to end by themselves when one has failed
PARENT_DIES = 1  # prctl's number

Run = Callable[[Params, Path], stage.Metrics]


def main(name: str, run: Run, done: Callable[[], None]) -> NoReturn:
    """`stage.main`, or one process of several when torchrun or train.processes says so."""
    if "WORLD_SIZE" in os.environ:
        stage.run_as_program(name, lambda: _as_member(name, run, done))

    def start() -> None:
        params = load()
        if params.train.processes == 1:
            stage.execute(name, run, params, done=done)
            return
        _divides(params, name, params.train.processes)
        sys.exit(together([sys.executable, "-m", f"pipeline.{name}"], params.train.processes))

    stage.run_as_program(name, start)


def together(command: Sequence[str], size: int) -> int:
    """Run a command as a team of so many processes on this machine; the exit status of the first that failed, or 0.

    What is sent to this process (SIGTERM, Ctrl-C) is passed on. Of the members only the first is heard, but for one that fails.
    """
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as open_files:
        common: dict[str, object] = {"WORLD_SIZE": size, MEETING: Path(folder) / "meeting"}
        if sys.platform == "linux":  # whatever this machine's name resolves to
            common["GLOO_SOCKET_IFNAME"] = "lo"
        if "OMP_NUM_THREADS" not in os.environ:
            common["OMP_NUM_THREADS"] = max(1, (os.cpu_count() or 1) // size)
        said: list[IO[str] | None] = [None]
        said += [open_files.enter_context((Path(folder) / f"{rank}.txt").open("w+")) for rank in range(1, size)]
        members: list[subprocess.Popen[bytes]] = []
        passed: list[int] = []

        def pass_on(number: int, _: object) -> None:
            passed.append(number)
            for member in members:
                if member.poll() is None:
                    member.send_signal(number)

        before = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            for rank in range(size):
                place = {key: str(value) for key, value in {**common, "RANK": rank, "LOCAL_RANK": rank}.items()}
                # In a session of its own the terminal's Ctrl-C reaches it once: through here.
                members.append(
                    subprocess.Popen(command, env={**os.environ, **place}, stderr=said[rank], start_new_session=True)
                )
                if passed:  # before there was anyone to pass it on to
                    members[-1].send_signal(passed[0])
            return _wait(members, said)
        finally:
            for member in members:
                member.kill()
                member.wait()
            for number, handler in before.items():
                signal.signal(number, handler)


def _wait(members: Sequence[subprocess.Popen[bytes]], said: Sequence[IO[str] | None]) -> int:
    failed, until = None, float("inf")
    while any(member.poll() is None for member in members) and time.monotonic() < until:
        if failed is None and (failed := _first_failed(members)) is not None:
            until = time.monotonic() + GRACE_S
        time.sleep(0.05)
    failed = _first_failed(members) if failed is None else failed
    if failed is None:
        return 0
    words, status = said[failed], members[failed].returncode
    if words is not None:
        words.seek(0)
        print(f"of process {failed} of {len(members)}:\n{words.read()}", file=sys.stderr)
    return status if status > 0 else 128 - status


def _first_failed(members: Sequence[subprocess.Popen[bytes]]) -> int | None:
    return next((rank for rank, member in enumerate(members) if member.poll()), None)


def _divides(params: Params, name: str, size: int) -> None:
    batch = getattr(params, name).batch
    if batch % size:
        raise UserError(f"{name}.batch ({batch}) must be a multiple of the number of processes ({size})")


def _as_member(name: str, run: Run, done: Callable[[], None]) -> None:
    params, size, meeting = load(), int(os.environ["WORLD_SIZE"]), os.environ.get(MEETING)
    _divides(params, name, size)
    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    backend = "nccl" if gpu else "gloo"
    if meeting is None:
        dist.init_process_group(backend)
    else:
        if sys.platform == "linux":  # nobody goes on when the one who started the team is killed
            ctypes.CDLL(None).prctl(PARENT_DIES, signal.SIGTERM)
        dist.init_process_group(backend, init_method=f"file://{meeting}", rank=int(os.environ["RANK"]), world_size=size)
    try:
        if process_group.current().writes:
            stage.execute(name, run, params, done=done)
        else:
            logging.getLogger("genga").setLevel(logging.WARNING)
            with tempfile.TemporaryDirectory() as nowhere:
                run(params, Path(nowhere))
    finally:
        dist.destroy_process_group()
