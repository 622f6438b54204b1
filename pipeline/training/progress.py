"""Progress of a running training: written beside its curves at each log point, read by `genga watch`."""

import os
import socket
import time
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.core import files
from pipeline.core.errors import UserError

FILE = "progress.json"


class Progress(BaseModel):
    """The progress of a training at its last log point."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    images_seen: int
    images: int
    images_per_s: float
    """Since this process started or resumed the run."""
    work: str
    """The run's folder of checkpoints and samples, which is removed when it has finished."""
    finished: bool
    written_s: float
    """Seconds since 1970."""
    process: int
    machine: str

    def running(self) -> bool | None:
        """Whether the process that wrote this still runs; None where it ran on another machine."""
        if self.finished:
            return False
        if self.machine != socket.gethostname():
            return None
        try:
            return bool(psutil.Process(self.process).create_time() <= self.written_s)
        except psutil.Error:
            return False


def folder_of(stage: str) -> Path:
    """Return the folder of a stage's progress and curves."""
    return files.work_folder() / "live" / stage


def write(stage: str, images_seen: int, images: int, images_per_s: float, work: Path, finished: bool) -> None:
    """Write a stage's progress; readers see either the old file or the new one."""
    progress = Progress(
        stage=stage,
        images_seen=images_seen,
        images=images,
        images_per_s=images_per_s,
        work=str(work.absolute()),
        finished=finished,
        written_s=time.time(),
        process=os.getpid(),
        machine=socket.gethostname(),
    )
    folder = folder_of(stage)
    folder.mkdir(parents=True, exist_ok=True)
    files.replace_text(folder / FILE, progress.model_dump_json(indent=2) + "\n")


def read_newest() -> Progress | None:
    """Read the progress that was written last, of whichever stage; None where there is none.

    Raises:
        UserError: a file is not what `write` wrote.
    """
    found = []
    for path in folder_of("*").parent.glob(f"*/{FILE}"):
        try:
            found.append(Progress.model_validate_json(path.read_bytes()))
        except FileNotFoundError:  # a new run has just cleared it away
            continue
        except (ValidationError, OSError) as error:
            raise UserError(f"{path} cannot be read ({str(error).splitlines()[0]}): delete it") from None
    return max(found, key=lambda progress: progress.written_s, default=None)
