"""What redrawn photos are held to, crop by crop: the photos, their flattened twins, or what a teacher makes of them.

A teacher is a trained generator. One with fewer maps that is taught by it learns in minutes what the larger one learnt in
hours (distillation: Hinton, Vinyals, Dean 2015).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.core import files, source_code, stage
from pipeline.core.errors import UserError
from pipeline.core.manifest import Row
from pipeline.dataset import crop_sets
from pipeline.dataset.crop_sets import CropSet
from pipeline.media import tensors
from pipeline.networks import devices, weights
from pipeline.params.section import Target
from pipeline.training import checkpoints

SUFFIX = ".safetensors"
_AT_ONCE = 8


def load(data: Path, rows: Sequence[Row], crops: CropSet, target: Target, teacher: str, device: torch.device) -> CropSet:
    """What the crops of some rows are held to, in their order.

    Args:
        teacher: teacher, from the project's folder.

    Raises:
        UserError: twins are missing, or the teacher is.
    """
    if target == "photo":
        return crops
    if target == "pseudo_target":
        return crop_sets.load_paired(data, rows, "pseudo_targets")
    return redrawn(crops, teacher_in(data.parent / teacher), device)


def teacher_in(place: Path) -> Path:
    """The generator's file that teacher names: itself, or the only one of a folder.

    Raises:
        UserError: there is none, or more than one to choose from.
    """
    if not place.is_dir():
        if place.is_file():
            return place
        raise UserError(f"teacher: {place} does not exist: give a generator's {SUFFIX} file, or a folder that holds one")
    found = sorted(place.glob(f"*{SUFFIX}"))
    if len(found) != 1:
        said = f"holds {len(found)} {SUFFIX} files" if found else f"holds no {SUFFIX} file, and a target is teacher"
        raise UserError(f"teacher: {place} {said}: put one there, e.g. a copy of data/train/generator{SUFFIX}, or name it")
    return found[0]


def redrawn(crops: CropSet, teacher: Path, device: torch.device) -> CropSet:
    """Crops as a teacher's file redraws them, each seen whole; in memory, or beside them in a mapped file.

    Raises:
        UserError: the file is no generator, or its numbers are not finite.
    """
    network, _ = weights.load_generator(teacher, device)
    devices.to_device(network, device)
    devices.accelerate(network, device)

    def fill(pixels: NDArray[np.uint8]) -> str:
        total = hashlib.blake2b(digest_size=16)
        firsts = range(0, len(crops), _AT_ONCE)
        for first in stage.progress(firsts, f"drawn by {teacher.name}", "batches", len(firsts)):
            with torch.inference_mode():
                drawn = network(devices.shown(crops.pixels[first : first + _AT_ONCE], device))
            if not torch.isfinite(drawn).all():
                raise UserError(f"teacher: what {teacher} draws is not finite: its training failed; give another file")
            pixels[first : first + _AT_ONCE] = tensors.to_pixels(drawn).cpu().numpy()
            total.update(pixels[first : first + _AT_ONCE].tobytes())
        return total.hexdigest()

    def state() -> str:
        ingredients = {"crops": crops.digest, "teacher": files.digest(teacher), "device": device.type}
        return checkpoints.fingerprint(ingredients, source_code.digest(source_code.closure("pipeline.training.supervision")))

    return crop_sets.build_crop_set(crops.pixels.shape, fill, state)
