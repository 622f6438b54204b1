"""Targets of training: for each photo the photo itself, its pseudo-target, or what a teacher makes of it.

A teacher is a trained generator. A smaller one that learns from it takes minutes for what took the teacher hours (distillation:
Hinton, Vinyals, Dean 2015).
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
_BATCH = 8


def load_targets(
    data: Path, rows: Sequence[Row], crops: CropSet, target: Target, teacher: str, device: torch.device
) -> CropSet:
    """Load the targets of photo crops, in their order.

    Args:
        rows: the manifest rows of `crops`.
        teacher: path of the teacher, relative to the project's folder.

    Raises:
        UserError: a pseudo-target or the teacher is missing.
    """
    if target == "photo":
        return crops
    if target == "pseudo_target":
        return crop_sets.load_paired(data, rows, "pseudo_targets")
    return stylize_crops(crops, find_teacher(data.parent / teacher), device)


def find_teacher(path: Path) -> Path:
    """Return the generator's file that a path names: the file itself, or the only one of a folder.

    Raises:
        UserError: there is none, or more than one.
    """
    if not path.is_dir():
        if path.is_file():
            return path
        raise UserError(f"teacher: {path} does not exist: give a generator's {SUFFIX} file, or a folder that holds one")
    found = sorted(path.glob(f"*{SUFFIX}"))
    if len(found) != 1:
        problem = f"holds {len(found)} {SUFFIX} files" if found else f"holds no {SUFFIX} file, and a target is teacher"
        raise UserError(f"teacher: {path} {problem}: put one there, e.g. a copy of data/train/generator{SUFFIX}, or name it")
    return found[0]


def stylize_crops(crops: CropSet, teacher: Path, device: torch.device) -> CropSet:
    """Stylize whole crops by the generator in a file; the result is in memory or, like large crop sets, in a mapped file.

    Raises:
        UserError: the file is not a generator's, or its output is not finite.
    """
    network, _ = weights.load_generator(teacher, device)
    devices.to_device(network, device)
    devices.accelerate(network, device)

    def fill(pixels: NDArray[np.uint8]) -> str:
        total = hashlib.blake2b(digest_size=16)
        firsts = range(0, len(crops), _BATCH)
        for first in stage.progress(firsts, f"targets by {teacher.name}", "batches", len(firsts)):
            with torch.inference_mode():
                output = network(devices.to_model_input(crops.pixels[first : first + _BATCH], device))
            if not torch.isfinite(output).all():
                raise UserError(f"teacher: the output of {teacher} is not finite: its training failed; give another file")
            pixels[first : first + _BATCH] = tensors.to_pixels(output).cpu().numpy()
            total.update(pixels[first : first + _BATCH].tobytes())
        return total.hexdigest()

    def state() -> str:
        ingredients = {"crops": crops.digest, "teacher": files.digest(teacher), "device": device.type}
        return checkpoints.fingerprint(ingredients, source_code.digest(source_code.closure("pipeline.training.supervision")))

    return crop_sets.build_crop_set(crops.pixels.shape, fill, state)
