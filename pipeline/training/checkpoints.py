"""Checkpoints, from which a run that was killed resumes.

They are kept outside data/ (environment variable GENGA_WORK, by default .work), as DVC empties a stage's outs before it
runs, in a folder named by a fingerprint of everything that shapes the run, so that no other run resumes from them. The
folder of a finished run is removed once its results are in data/.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.core import files
from pipeline.core.errors import UserError, log
from pipeline.networks import weights

TENSORS, RECORD, FINISHED = "state.safetensors", "state.json", "finished"


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run: named tensors, and a record of JSON values."""

    images_seen: int
    tensors: dict[str, Tensor]
    record: dict[str, Any]


class Checkpoints:
    """The checkpoints of one run of a stage, in WORK/NAME/FINGERPRINT; each is a folder named by the images seen."""

    def __init__(self, name: str, fingerprint: str, work: Path | None = None, keep: int = 2) -> None:
        self.folder = (work or files.work_folder()) / name / fingerprint
        self.keep = keep

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint atomically and remove all but the newest `keep`; return its folder.

        Raises:
            OSError: the disk is full or refuses; earlier checkpoints are untouched, and nothing half-written is left.
        """
        folder = self.folder / f"{checkpoint.images_seen:09d}"
        for leftover in self.folder.glob(".*"):  # of a process that was killed while it wrote
            shutil.rmtree(leftover, ignore_errors=True)
        with files.replacing_folder(folder) as temporary:
            weights.save_tensors(temporary / TENSORS, checkpoint.tensors, {})
            record = {
                "images_seen": checkpoint.images_seen,
                "blake2b": files.digest(temporary / TENSORS),
                "record": checkpoint.record,
            }
            with (temporary / RECORD).open("w", encoding="utf-8") as file:
                json.dump(record, file)
                file.flush()
                os.fsync(file.fileno())
        _flush(self.folder)
        for old in self._folders()[: -self.keep]:
            shutil.rmtree(old)
        return folder

    def load_newest(self) -> Checkpoint | None:
        """Load the newest checkpoint that is intact, with a warning for each damaged one; None where there is none."""
        for folder in reversed(self._folders()):
            try:
                record = json.loads((folder / RECORD).read_text("utf-8"))
                if record["blake2b"] != files.digest(folder / TENSORS):
                    raise UserError(f"{folder / TENSORS} does not match its checksum")
                tensors, _ = weights.load_tensors(folder / TENSORS)
                return Checkpoint(record["images_seen"], tensors, record["record"])
            except (OSError, ValueError, KeyError, TypeError, UserError) as error:
                log.warning("the checkpoint %s is damaged (%s): skipped", folder, error)
        return None

    def describe_newest(self) -> str:
        """Say in words where the newest checkpoint is."""
        folders = self._folders()
        return f"the last checkpoint is at images {int(folders[-1].name)}" if folders else "there is no checkpoint yet"

    def other_runs(self) -> list[Path]:
        """Return the folders of the stage's other runs, sorted, as far as they were not removed; [] if there are none."""
        if not self.folder.parent.is_dir():
            return []
        return sorted(path for path in self.folder.parent.iterdir() if path.is_dir() and path != self.folder)

    def mark_finished(self) -> None:
        """Mark the run as finished; `remove_finished` removes its folder, once the results are safe in data/."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / FINISHED).touch()

    def _folders(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return sorted(path for path in self.folder.iterdir() if path.name.isdecimal())


def remove_finished(name: str) -> None:
    """Remove the folders of a stage's finished runs, whose results are in data/ by now."""
    for mark in (files.work_folder() / name).glob(f"*/{FINISHED}"):
        shutil.rmtree(mark.parent, ignore_errors=True)


def fingerprint(ingredients: Mapping[str, object], code: str) -> str:
    """Hash everything that shapes a run to 16 hexadecimal digits: `ingredients`, the digest of its code, torch's version.

    Args:
        ingredients: parameters and digests of data, as JSON values.
        code: digest of the run's source code.
    """
    whole = hashlib.blake2b(digest_size=8)
    whole.update(json.dumps({**ingredients, "torch": torch.__version__}, sort_keys=True).encode())
    whole.update(code.encode())
    return whole.hexdigest()


def _flush(folder: Path) -> None:
    # A rename is durable only once its folder is flushed.
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
