"""Targets of training: for each photo the photo itself, recolored or not, or what a teacher makes of it.

A teacher is a trained generator. A smaller one that learns from it takes minutes for what took the teacher hours (distillation:
Hinton, Vinyals, Dean 2015).
"""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.core import files, source_code, stage
from pipeline.core.errors import UserError
from pipeline.dataset import crop_sets
from pipeline.dataset.crop_sets import CropSet
from pipeline.media import tensors
from pipeline.networks import devices, weights
from pipeline.training import checkpoints
from pipeline.training.color_transfer import (
    IDENTITY,
    ColorTransform,
    apply_transform,
    fit_transform,
    measure_colors,
    mix_with_typical,
)

SUFFIX = ".safetensors"
_BATCH = 8
_MEASURED = 300  # crops of photos and of films whose colors are measured


def load_targets(
    data: Path,
    crops: CropSet,
    target: Literal["photo", "recolored", "teacher"],
    teacher: str,
    device: torch.device,
    transform: ColorTransform = IDENTITY,
) -> CropSet:
    """Return the targets of photo crops, in their order: the crops themselves, recolored, or the outputs of a teacher.

    Args:
        teacher: its file, or a folder that holds it alone, relative to the project's folder; not read for other targets.
        transform: the color transform of the target `recolored`.

    Raises:
        UserError: the teacher is missing, ambiguous or not a generator, or its output is not finite.
    """
    if target == "photo":
        return crops
    if target == "recolored":
        return recolor_crops(crops, transform)
    return stylize_crops(crops, find_teacher(data.parent / teacher), device)


def fit_colors(data: Path, dataset: str, amount: float) -> ColorTransform:
    """Fit the color transform that moves the photos of a data set towards its films, by crops of the split train.

    Where there are few photos, their colors are mixed with those of typical photographs.

    Args:
        amount: how far, 0 to 1.

    Raises:
        UserError: there are no photos or no films in it.
    """
    photos, films = (
        crop_sets.load_split(data, domain, "train", _MEASURED, dataset)[1].pixels.numpy() for domain in ("photo", "anime")
    )
    mixed = mix_with_typical(measure_colors(photos), len(photos))
    return fit_transform(mixed, measure_colors(films), amount)


def recolor_crops(crops: CropSet, transform: ColorTransform) -> CropSet:
    """Apply a color transform to crops; the result is in memory or, like large crop sets, in a mapped file."""

    def fill(pixels: NDArray[np.uint8]) -> str:
        def recolor(index: int) -> None:
            pixels[index] = apply_transform(crops.pixels[index].numpy(), transform)

        total = hashlib.blake2b(digest_size=16)
        with ThreadPoolExecutor() as pool:  # OpenCV releases the GIL
            for index, _ in enumerate(pool.map(recolor, range(len(crops)))):
                total.update(pixels[index].tobytes())
        return total.hexdigest()

    def state() -> str:
        return checkpoints.fingerprint({"crops": crops.digest, "transform": transform.model_dump()}, _code())

    return crop_sets.build_crop_set(crops.pixels.shape, fill, state)


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
        return checkpoints.fingerprint(ingredients, _code())

    return crop_sets.build_crop_set(crops.pixels.shape, fill, state)


def _code() -> str:
    return source_code.digest(source_code.closure("pipeline.training.supervision"))
