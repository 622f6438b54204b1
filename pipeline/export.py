"""Stage: the trained generator as files for elsewhere, each measured against the one that was trained, with a model card.

`generator.safetensors` is the file of stage train; `generator.onnx`, `generator-half.onnx` and `generator-int8.onnx` run in any
ONNX runtime (`genga stylize --model`, the web page); `generator.pt2` is torch.export's. `README.md` says where they come from
and what each loses. `genga export MODEL` does the same for any generator.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from skimage.color import deltaE_ciede2000, rgb2lab

from models.generators.portable import Network
from pipeline.core import files, manifest, stage
from pipeline.core.errors import UserError
from pipeline.dataset import crop_files
from pipeline.inference import model_card, onnx_export
from pipeline.inference.model_card import Card, Loss
from pipeline.inference.onnx_stylizer import OnnxStylizer
from pipeline.inference.photos import beside
from pipeline.inference.stylizer import Stylizer
from pipeline.media import arrays, images
from pipeline.media.images import Picture
from pipeline.networks.weights import load_generator
from pipeline.params.results import ExportParams
from pipeline.params.schema import Params, load

NAME = "generator"
FILES = {"onnx": f"{NAME}.onnx", "half": f"{NAME}-half.onnx", "int8": f"{NAME}-int8.onnx", "program": f"{NAME}.pt2"}
TRAINED = f"{NAME}.safetensors"
SIDE_PX = 480  # photos are judged, and shown, no larger
ALIKE_LEVELS = 1  # what arithmetic in another order may move, at the edge of rounding

log = logging.getLogger("genga")

Redraw = Callable[[Picture], Picture]


@dataclass(frozen=True)
class Photos:
    """What files are judged by: photos that the generator never saw; and, to set the ranges of int8 by, others."""

    judged: Sequence[Picture]
    others: Sequence[Picture]


def odd_sizes(photos: Sequence[Picture]) -> list[Picture]:
    """The photos, and a part of each: other sizes, odd ones too, so that no size passes for being the one traced."""
    parts = [
        photo[: max(1, photo.shape[0] - 13 - 2 * n), : max(1, photo.shape[1] * 2 // 3 - n)] for n, photo in enumerate(photos)
    ]
    return [*photos, *(np.ascontiguousarray(part) for part in parts)]


def compare(reference: Sequence[Picture], found: Sequence[Picture]) -> Loss:
    """How far pictures are from what they should be: peak signal-to-noise ratio, mean CIEDE2000, largest step in levels."""
    steps = [np.abs(one.astype(np.int16) - other) for one, other in zip(reference, found, strict=True)]
    crop = np.mean(np.concatenate([step.ravel() for step in steps]).astype(np.float64) ** 2)
    shift = [
        deltaE_ciede2000(rgb2lab(one), rgb2lab(other)).mean()  # type: ignore[no-untyped-call]
        for one, other in zip(reference, found, strict=True)
    ]
    return Loss(
        psnr_db=float(10 * np.log10(255**2 / crop)) if crop else None,
        color_shift=float(np.mean(shift)),
        max_levels=int(max(step.max() for step in steps)),
    )


def export_to(out: Path, model: Path, chosen: ExportParams, photos: Photos, card: Card) -> dict[str, float]:
    """Write a generator's file, what it becomes, sample pictures and the card into the folder `out`.

    Returns:
        Bytes of each file, and what it loses.
    """
    network, metadata = load_generator(model)
    shutil.copyfile(model, out / TRAINED)
    program = _write_files(out, cast(Network, network), metadata, chosen, photos.others) if chosen.files else None
    trained = Stylizer(network, "cpu")
    judged = odd_sizes(photos.judged)
    reference = [trained(photo) for photo in judged]
    losses: dict[str, Loss | None] = {}
    for kind, name in FILES.items():
        if (out / name).is_file():
            redraw = _redraw_by(program) if kind == "program" and program else OnnxStylizer(out / name, "cpu")
            losses[kind] = compare(reference, [redraw(photo) for photo in judged]) if judged else None
    for kind in ("onnx", "program"):
        loss = losses.get(kind)
        if loss and loss.max_levels > ALIKE_LEVELS:
            log.warning("%s differs from the generator by up to %d levels: say so to its makers", FILES[kind], loss.max_levels)
    samples = []
    for number, (photo, drawn) in enumerate(zip(photos.judged[: chosen.samples], reference, strict=False), 1):
        samples.append(f"samples/{number}.jpg")
        (out / "samples").mkdir(exist_ok=True)
        images.write(out / samples[-1], beside(photo, drawn))
    sizes = {name: (out / name).stat().st_size for name in (TRAINED, *FILES.values()) if (out / name).is_file()}
    text = model_card.write(card, metadata, sizes, {FILES[kind]: loss for kind, loss in losses.items()}, samples, len(judged))
    (out / "README.md").write_text(text, "utf-8")
    found = {f"{kind}_bytes": float(sizes[FILES[kind]]) for kind in losses}
    for kind, loss in losses.items():
        if loss:
            found |= {f"{kind}_max_levels": float(loss.max_levels), f"{kind}_color_shift": loss.color_shift}
    return found


def _write_files(
    out: Path, network: Network, metadata: Mapping[str, str], chosen: ExportParams, others: Sequence[Picture]
) -> torch.export.ExportedProgram:
    program = onnx_export.trace(network)
    if "program" in chosen.files:
        torch.export.save(program, out / FILES["program"])
    if not {"onnx", "half", "int8"} & set(chosen.files):
        return program
    whole = onnx_export.to_onnx(program, metadata, chosen.opset)
    if "onnx" in chosen.files:
        (out / FILES["onnx"]).write_bytes(whole.SerializeToString(deterministic=True))
    if "half" in chosen.files:
        (out / FILES["half"]).write_bytes(onnx_export.halve(whole).SerializeToString(deterministic=True))
    if "int8" in chosen.files:
        if others:
            (out / FILES["int8"]).write_bytes(onnx_export.quantise(whole, others).SerializeToString(deterministic=True))
        else:
            log.warning("no int8 file: there are no photos to set its ranges by; run dvc repro, or give some with --photos")
    return program


def _redraw_by(program: torch.export.ExportedProgram) -> Redraw:
    """The program as it is in memory: reading it back takes longer than making it (a test does)."""
    module = program.module()

    def redraw(photo: Picture) -> Picture:
        with torch.inference_mode():
            return cast(Picture, module(torch.from_numpy(photo[None]))[0].numpy())

    return redraw


def photos_of_data(params: Params, data: Path) -> Photos:
    """Photos kept whole to be redrawn, then validation crops; and crops that were trained on, for the ranges."""
    listed, count = data.parent / params.dataset, params.export.photos
    whole = manifest.kept(manifest.read(data / "split"), "photo", "pred") if (data / "split").is_dir() else []
    judged = [arrays.shrink(images.read(manifest.file_of(row, data.parent)), SIDE_PX) for row in whole[:count] if row.file]
    crops = crop_files.list_crops(listed, "photo", "val")[: count - len(judged)]
    judged += [crop_files.read_crop(row, data.parent) for row in crops]
    return Photos(
        judged, [crop_files.read_crop(row, data.parent) for row in crop_files.list_crops(listed, "photo", "train")[:count]]
    )


def photos_of_user(places: Sequence[Path], count: int) -> Photos:
    """Every other photo of one's own is judged by, the rest set the ranges."""
    found = [path for place in places for path in images.find(place)][: 2 * count]
    pictures = [arrays.shrink(images.read(path), SIDE_PX) for path in found]
    return Photos(pictures[::2], pictures[1::2])


def export_file(params: Params, model: Path, out: Path, places: Sequence[Path], overwrite: bool) -> dict[str, float]:
    """Export any generator's file into the folder `out`: whole or not at all.

    Args:
        places: photos, or folders of them, to measure by; none: those of data/, where they are.

    Raises:
        UserError: no generator, or `out` is there already and is not to be replaced.
    """
    if out.exists() and not overwrite:
        raise UserError(f"{out} exists already: give another folder, or --overwrite")
    if out.exists() and not (out / TRAINED).is_file():
        raise UserError(f"{out} was not written by genga export and stays: give another folder")
    load_generator(model)
    own = stage.DATA / "train" / TRAINED
    ours = own.is_file() and files.digest(own) == files.digest(model)
    if places:
        photos = photos_of_user(places, params.export.photos)
    else:
        photos = photos_of_data(params, stage.DATA) if (stage.DATA / "split").is_dir() else Photos([], [])
    aside = out.resolve().with_name(f".{out.resolve().name}.{os.getpid()}")
    try:
        aside.mkdir(parents=True)
        card = model_card.gather(stage.DATA, params) if ours else Card(model.stem)
        found = export_to(aside, model, params.export, photos, card)
        files.write_json(aside / stage.METRICS, found)
        files.replace_folder(aside, out)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return found


def run_in(params: Params, out: Path, data: Path) -> Mapping[str, float]:
    """Export the trained generator of `data` into `out`."""
    card = model_card.gather(data, params)
    return export_to(out, data / "train" / TRAINED, params.export, photos_of_data(params, data), card)


def run(params: Params, out: Path) -> Mapping[str, float]:
    """Export the trained generator."""
    return run_in(params, out, stage.DATA)


if __name__ == "__main__":
    stage.main("export", run, load)
