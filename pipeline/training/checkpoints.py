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
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.core import files
from pipeline.core.errors import UserError
from pipeline.networks import weights

TENSORS, RECORD, FINISHED = "state.safetensors", "state.json", "finished"

log = logging.getLogger("genga")


@dataclass(frozen=True)
class Checkpoint:
    """A run at a moment: named tensors, and a record of plain JSON values."""

    images_seen: int
    tensors: dict[str, Tensor]
    record: dict[str, Any]


class Checkpoints:
    """The checkpoints of one run of a stage, each a folder named by the images seen."""

    def __init__(self, name: str, fingerprint: str, work: Path | None = None, keep: int = 2) -> None:
        self.folder = (work or files.work_folder()) / name / fingerprint
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
                "blake2b": files.digest(aside / TENSORS),
                "record": checkpoint.record,
            }
            with (aside / RECORD).open("w", encoding="utf-8") as file:
                json.dump(record, file)
                file.flush()
                os.fsync(file.fileno())
            files.replace_folder(aside, place)
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
                if record["blake2b"] != files.digest(place / TENSORS):
                    raise UserError(f"{place / TENSORS} is not what was written")
                tensors, _ = weights.load_tensors(place / TENSORS)
                return Checkpoint(record["images_seen"], tensors, record["record"])
            except (OSError, ValueError, KeyError, TypeError, UserError) as error:
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
    for mark in (files.work_folder() / name).glob(f"*/{FINISHED}"):
        shutil.rmtree(mark.parent, ignore_errors=True)


def fingerprint(ingredients: Mapping[str, object], code: str) -> str:
    """One name for everything that shapes a run: parameters and digests (JSON values), a digest of its source code, torch's version."""
    whole = hashlib.blake2b(digest_size=8)
    whole.update(json.dumps({**ingredients, "torch": torch.__version__}, sort_keys=True).encode())
    whole.update(code.encode())
    return whole.hexdigest()


def _flush(folder: Path) -> None:
    # A rename is on the disk only when its folder is.
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
