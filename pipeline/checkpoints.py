"""Checkpoints: a run that is killed goes on where it was, and only that run.

They lie outside data/ (environment variable GENGA_WORK, by default .work), as DVC empties a stage's outs before it
runs, in a folder keyed by a fingerprint of all that shapes the run. A finished run's folder goes when its results are in
data/, so that none is ever "resumed" into training nothing.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import models
from pipeline import stage, weights
from pipeline.faults import Fault

TENSORS, RECORD, FINISHED = "state.safetensors", "state.json", "finished"

log = logging.getLogger("genga")


@dataclass(frozen=True)
class Checkpoint:
    """A run at a moment: named tensors, and a record of plain JSON values."""

    images_seen: int
    tensors: dict[str, Tensor]
    record: dict[str, Any]


def work_folder() -> Path:
    """Where what outlives a run of DVC lies, git-ignored.

    `dvc exp run --temp` and queued runs happen in a copy of the project, under its .dvc/tmp/exps, which goes with them: what
    they leave for their next try lies in the project itself.
    """
    named = os.environ.get("GENGA_WORK")
    if named is not None:
        return Path(named)
    here = Path.cwd()
    for folder in here.parents:
        if folder.parts[-3:] == (".dvc", "tmp", "exps"):
            return folder.parents[2] / ".work"
    return Path(".work")


class Checkpoints:
    """The checkpoints of one run of a stage, each a folder named by the images seen."""

    def __init__(self, name: str, fingerprint: str, work: Path | None = None, keep: int = 2) -> None:
        self.folder = (work or work_folder()) / name / fingerprint
        self.keep = keep

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint aside, move it in whole, and drop all but the newest.

        Raises:
            OSError: the disk is full or refuses; nothing half-written is left, and what was there is whole.
        """
        place = self.folder / f"{checkpoint.images_seen:09d}"
        aside = place.with_name(f".{place.name}.{os.getpid()}")
        for left in self.folder.glob(".*"):  # of a process that was killed while it wrote
            shutil.rmtree(left, ignore_errors=True)
        aside.mkdir(parents=True)
        try:
            weights.save_tensors(aside / TENSORS, checkpoint.tensors, {})
            record = {
                "images_seen": checkpoint.images_seen,
                "blake2b": digest(aside / TENSORS),
                "record": checkpoint.record,
            }
            with (aside / RECORD).open("w", encoding="utf-8") as file:
                json.dump(record, file)
                file.flush()
                os.fsync(file.fileno())
            stage.replace(aside, place)
        except OSError:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        _flush(self.folder)
        for old in self._places()[: -self.keep]:
            shutil.rmtree(old)
        return place

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint that is whole; damaged ones are passed over with a warning."""
        for place in reversed(self._places()):
            try:
                record = json.loads((place / RECORD).read_text("utf-8"))
                if record["blake2b"] != digest(place / TENSORS):
                    raise Fault(f"{place / TENSORS} is not what was written")
                tensors, _ = weights.load_tensors(place / TENSORS)
                return Checkpoint(record["images_seen"], tensors, record["record"])
            except (OSError, ValueError, KeyError, TypeError, Fault) as error:
                log.warning("the checkpoint %s is damaged (%s): passed over", place, error)
        return None

    def last(self) -> str:
        """The newest checkpoint in words."""
        places = self._places()
        return f"the last checkpoint is at images {int(places[-1].name)}" if places else "there is no checkpoint yet"

    def strangers(self) -> list[Path]:
        """The folders of other unfinished runs of the stage."""
        if not self.folder.parent.is_dir():
            return []
        return sorted(path for path in self.folder.parent.iterdir() if path.is_dir() and path != self.folder)

    def finish(self) -> None:
        """Mark the run as finished; its folder stays until `sweep`, lest what it made be lost on the way to data/."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / FINISHED).touch()

    def _places(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return sorted(path for path in self.folder.iterdir() if path.name.isdecimal())


def sweep(name: str) -> None:
    """Take the folders of a stage's finished runs away: what they made is in its place."""
    for mark in (work_folder() / name).glob(f"*/{FINISHED}"):
        shutil.rmtree(mark.parent, ignore_errors=True)


def fingerprint(ingredients: Mapping[str, object], code: Iterable[Path]) -> str:
    """One name for everything that shapes a run: parameters and digests (JSON values), source code, torch's version."""
    whole = hashlib.blake2b(digest_size=8)
    whole.update(json.dumps({**ingredients, "torch": torch.__version__}, sort_keys=True).encode())
    for path in sorted(code):
        whole.update(path.name.encode() + b"\0" + path.read_bytes())
    return whole.hexdigest()


def source_code(*modules: str) -> list[Path]:
    """The source files of models/ and of some modules of pipeline/."""
    return [*Path(models.__path__[0]).glob("*.py"), *(Path(__file__).with_name(f"{name}.py") for name in modules)]


def digest(path: Path) -> str:
    """Of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _flush(folder: Path) -> None:
    # A rename is on the disk only when its folder is.
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
