"""The shell of a stage that may train with several processes: started by torchrun, or starting it itself."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import torch
import torch.distributed as dist

from pipeline import stage, team
from pipeline.faults import Fault
from pipeline.params import Params, load

Run = Callable[[Params, Path], stage.Metrics]


def main(name: str, run: Run, done: Callable[[], None]) -> NoReturn:
    """`stage.main`, or one process of several when torchrun or train.processes says so."""
    if "WORLD_SIZE" in os.environ:
        stage.guarded(name, lambda: _as_member(name, run, done))

    def start() -> None:
        params = load()
        wanted = params.train.processes
        if wanted == 1:
            stage.execute(name, run, params, done=done)
            return
        launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(wanted), "-m", f"pipeline.{name}"]
        sys.stderr.flush()
        os.execv(sys.executable, [sys.executable, *launch])

    stage.guarded(name, start)


def _as_member(name: str, run: Run, done: Callable[[], None]) -> None:
    params, size = load(), int(os.environ["WORLD_SIZE"])
    batch = getattr(params, name).batch
    if batch % size:
        raise Fault(f"{name}.batch ({batch}) must be a multiple of the number of processes ({size})")
    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if gpu else "gloo")
    try:
        if team.ours().writes:
            stage.execute(name, run, params, done=done)
        else:
            logging.getLogger("genga").setLevel(logging.WARNING)
            with tempfile.TemporaryDirectory() as nowhere:
                run(params, Path(nowhere))
    finally:
        dist.destroy_process_group()
