"""Runs a stage in one process or in several that train together, started by torchrun or, on one machine, from here.

On one machine torchrun is not needed, and does harm: its agent answers Ctrl-C, which the terminal has sent to every process,
with a second signal, which would interrupt the saving of a checkpoint; and it buries error messages under a page of its own.
"""

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
from pipeline.core.program import run_as_program
from pipeline.networks import process_group
from pipeline.params.schema import Params, load

RENDEZVOUS = "GENGA_RENDEZVOUS"  # environment variable: the file through which processes started here find each other
GRACE_S = 20  # for the others to end by themselves when one has failed
PR_SET_PDEATHSIG = 1

Run = Callable[[Params, Path], stage.Metrics]


def main(name: str, run: Run, done: Callable[[], None]) -> NoReturn:
    """Run a stage as a program, in train.processes processes, or as one of those that torchrun started, and exit.

    Args:
        name: of the stage and of its module, pipeline.NAME.
        run: takes the parameters and an empty folder, fills the folder, which becomes data/NAME, and returns metrics.
        done: called when the results are in data/.
    """
    if "WORLD_SIZE" in os.environ:
        run_as_program(name, lambda: _run_in_group(name, run, done))

    def start() -> None:
        params = load()
        if params.train.processes == 1:
            stage.execute(name, run, params, done=done)
            return
        _check_batch(params, name, params.train.processes)
        sys.exit(run_processes([sys.executable, "-m", f"pipeline.{name}"], params.train.processes))

    run_as_program(name, start)


def run_processes(command: Sequence[str], size: int) -> int:
    """Run a command in `size` processes that train together; return the exit status of the first that failed, or 0.

    A signal N that ended it counts as 128 + N; the others get 20 s to end, then are killed. SIGTERM and Ctrl-C are passed on
    to them. Standard error is that of the first process, and of the one that failed.
    """
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as open_files:
        shared: dict[str, object] = {"WORLD_SIZE": size, RENDEZVOUS: Path(folder) / "rendezvous"}
        if sys.platform == "linux":  # independent of what the machine's name resolves to
            shared["GLOO_SOCKET_IFNAME"] = "lo"
        if "OMP_NUM_THREADS" not in os.environ:
            shared["OMP_NUM_THREADS"] = max(1, (os.cpu_count() or 1) // size)
        errors: list[IO[str] | None] = [None]
        errors += [open_files.enter_context((Path(folder) / f"{rank}.txt").open("w+")) for rank in range(1, size)]
        processes: list[subprocess.Popen[bytes]] = []
        received: list[int] = []

        def pass_on(number: int, _: object) -> None:
            received.append(number)
            for process in processes:
                if process.poll() is None:
                    process.send_signal(number)

        before = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            for rank in range(size):
                environment = {key: str(value) for key, value in {**shared, "RANK": rank, "LOCAL_RANK": rank}.items()}
                # In a session of its own, so that Ctrl-C reaches it once, through here, and not from the terminal too.
                processes.append(
                    subprocess.Popen(command, env={**os.environ, **environment}, stderr=errors[rank], start_new_session=True)
                )
                if received:  # before the process was started
                    processes[-1].send_signal(received[0])
            return _wait(processes, errors)
        finally:
            for process in processes:
                process.kill()
                process.wait()
            for number, handler in before.items():
                signal.signal(number, handler)


def _wait(processes: Sequence[subprocess.Popen[bytes]], errors: Sequence[IO[str] | None]) -> int:
    """Wait for all processes, or for GRACE_S after one has failed; return the status for `run_processes`."""
    failed, until = None, float("inf")
    while any(process.poll() is None for process in processes) and time.monotonic() < until:
        if failed is None and (failed := _first_failed(processes)) is not None:
            until = time.monotonic() + GRACE_S
        time.sleep(0.05)
    failed = _first_failed(processes) if failed is None else failed
    if failed is None:
        return 0
    messages, status = errors[failed], processes[failed].returncode
    if messages is not None:
        messages.seek(0)
        print(f"process {failed} of {len(processes)} failed:\n{messages.read()}", file=sys.stderr)
    return status if status > 0 else 128 - status


def _first_failed(processes: Sequence[subprocess.Popen[bytes]]) -> int | None:
    return next((rank for rank, process in enumerate(processes) if process.poll()), None)


def _check_batch(params: Params, name: str, size: int) -> None:
    batch = getattr(params, name).batch
    if batch % size:
        raise UserError(f"{name}.batch ({batch}) must be a multiple of the number of processes ({size})")


def _run_in_group(name: str, run: Run, done: Callable[[], None]) -> None:
    params, size, rendezvous = load(), int(os.environ["WORLD_SIZE"]), os.environ.get(RENDEZVOUS)
    _check_batch(params, name, size)
    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    backend = "nccl" if gpu else "gloo"
    if rendezvous is None:
        dist.init_process_group(backend)
    else:
        if sys.platform == "linux":  # end when the process that started the group is killed
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        dist.init_process_group(backend, init_method=f"file://{rendezvous}", rank=int(os.environ["RANK"]), world_size=size)
    try:
        if process_group.current().writes:
            stage.execute(name, run, params, done=done)
        else:
            logging.getLogger("genga").setLevel(logging.WARNING)
            with tempfile.TemporaryDirectory() as discarded:
                run(params, Path(discarded))
    finally:
        dist.destroy_process_group()
