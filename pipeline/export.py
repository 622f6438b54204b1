"""Stage: export the trained generator for other programs, measure each file against it, and write a model card.

`generator.safetensors` is a copy of the trained file; `generator.onnx`, `generator-half.onnx` and `generator-int8.onnx` run in
any ONNX runtime (`genga stylize --model`, the web page), `generator-nchw.onnx` in image programs; `generator.pt2` is
torch.export's. `README.md` is the card. `genga
export MODEL` does the same for any generator.
"""

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from skimage.color import deltaE_ciede2000, rgb2lab

from models.generators.table import AnyGenerator
from pipeline.core import files, manifest, stage
from pipeline.core.errors import log
from pipeline.dataset import crop_files
from pipeline.inference import onnx_export
from pipeline.inference.model_card import Difference, TrainingFacts, model_card, training_facts
from pipeline.inference.onnx_stylizer import CPU, OnnxStylizer
from pipeline.inference.render_options import side_by_side
from pipeline.inference.scaled_stylizer import KEY, stated_working_px
from pipeline.inference.torch_stylizer import TorchStylizer
from pipeline.media import arrays, images
from pipeline.media.images import Picture
from pipeline.networks.weights import load_generator
from pipeline.params.results import ExportParams
from pipeline.params.schema import Params, load

NAME = "generator"
FILES = {
    "onnx": f"{NAME}.onnx",
    "half": f"{NAME}-half.onnx",
    "int8": f"{NAME}-int8.onnx",
    "planes": f"{NAME}-nchw.onnx",
    "program": f"{NAME}.pt2",
}
"""File by entry of `export.files`."""
TRAINED = f"{NAME}.safetensors"
MAX_SIDE_PX = 480  # of photos that are measured and shown
ROUNDING_LEVELS = 1  # difference that another order of the same operations may make


@dataclass(frozen=True)
class ExportPhotos:
    """Photos that an export needs."""

    evaluation: Sequence[Picture]
    """To measure the files on; the generator has not seen them."""
    calibration: Sequence[Picture]
    """To find the value ranges of the 8-bit layers."""


def with_odd_sizes(photos: Sequence[Picture]) -> list[Picture]:
    """Return the photos followed by a part of each, so that odd sizes are tested besides the one that was traced."""
    parts = [
        photo[: max(1, photo.shape[0] - 13 - 2 * n), : max(1, photo.shape[1] * 2 // 3 - n)] for n, photo in enumerate(photos)
    ]
    return [*photos, *(np.ascontiguousarray(part) for part in parts)]


def compare(expected: Sequence[Picture], actual: Sequence[Picture]) -> Difference:
    """Measure how much pictures (uint8 RGB) differ from the expected ones of the same sizes and order, one at least."""
    levels = [np.abs(picture.astype(np.int16) - exported) for picture, exported in zip(expected, actual, strict=True)]
    mse = np.mean(np.concatenate([picture.ravel() for picture in levels]).astype(np.float64) ** 2)
    shifts = [
        deltaE_ciede2000(rgb2lab(picture), rgb2lab(exported)).mean()  # type: ignore[no-untyped-call]
        for picture, exported in zip(expected, actual, strict=True)
    ]
    return Difference(
        psnr_db=float(10 * np.log10(255**2 / mse)) if mse else None,
        color_shift=float(np.mean(shifts)),
        max_levels=int(max(picture.max() for picture in levels)),
    )


def export_to(out: Path, model: Path, params: ExportParams, photos: ExportPhotos, facts: TrainingFacts) -> dict[str, float]:
    """Write a generator's file, its exports, sample pictures and the model card into the folder `out`.

    Returns:
        For each kind of exported file KIND_bytes and, if there are photos to measure on, KIND_max_levels and KIND_color_shift.

    Raises:
        UserError: `model` is no generator, or the packages for exporting are not installed.
    """
    network, metadata = load_generator(model)
    shutil.copyfile(model, out / TRAINED)
    metadata = {KEY: str(stated_working_px(metadata)), **metadata}
    redraw_by = _write_exports(out, cast(AnyGenerator, network), metadata, params, photos.calibration)
    trained = TorchStylizer(network, "cpu")
    evaluation = with_odd_sizes(photos.evaluation)
    expected = [trained(photo) for photo in evaluation]
    differences = {
        kind: compare(expected, [redraw(photo) for photo in evaluation]) if evaluation else None
        for kind, redraw in redraw_by.items()
    }
    for kind in ("onnx", "planes", "program"):
        difference = differences.get(kind)
        if difference and difference.max_levels > ROUNDING_LEVELS:
            log.warning(
                "%s differs from the generator by up to %d levels: please report it", FILES[kind], difference.max_levels
            )
    samples = []
    for number, (photo, drawing) in enumerate(zip(photos.evaluation[: params.samples], expected, strict=False), 1):
        samples.append(f"samples/{number}.jpg")
        (out / "samples").mkdir(exist_ok=True)
        images.write(out / samples[-1], side_by_side(photo, drawing))
    sizes = {name: (out / name).stat().st_size for name in (TRAINED, *(FILES[kind] for kind in differences))}
    by_file = {FILES[kind]: difference for kind, difference in differences.items()}
    sha256 = hashlib.sha256(model.read_bytes()).hexdigest()
    card = model_card(facts, metadata, sizes, by_file, samples, len(evaluation), sha256)
    (out / "README.md").write_text(card, "utf-8")
    metrics = {f"{kind}_bytes": float(sizes[FILES[kind]]) for kind in differences}
    for kind, difference in differences.items():
        if difference:
            metrics[f"{kind}_max_levels"] = float(difference.max_levels)
            metrics[f"{kind}_color_shift"] = difference.color_shift
    return metrics


def _write_exports(
    out: Path, network: AnyGenerator, metadata: Mapping[str, str], params: ExportParams, calibration: Sequence[Picture]
) -> dict[str, Callable[[Picture], Picture]]:
    """Write the files that params ask for, in the order of `FILES`; return a function for each that redraws with it."""
    if not params.files:
        return {}
    program = onnx_export.trace(network)
    redraw_by: dict[str, Callable[[Picture], Picture]] = {}
    if set(params.files) != {"program"}:
        model = onnx_export.to_onnx(program, metadata, params.opset)
        convert = {
            "onnx": lambda: model,
            "half": lambda: onnx_export.halve(model),
            "int8": lambda: onnx_export.quantize(model, calibration),
            "planes": lambda: onnx_export.to_float_planes(model),
        }
        if "int8" in params.files and not calibration:
            log.warning("no int8 file: it needs photos for calibration; run dvc repro split, or give some with --photos")
            del convert["int8"]
        for kind in convert.keys() & set(params.files):
            (out / FILES[kind]).write_bytes(onnx_export.to_bytes(convert[kind]()))
            redraw_by[kind] = _run_planes(out / FILES[kind]) if kind == "planes" else OnnxStylizer(out / FILES[kind], "cpu")
    if "program" in params.files:
        torch.export.save(program, out / FILES["program"])
        redraw_by["program"] = _run_program(program)
    return {kind: redraw_by[kind] for kind in FILES if kind in redraw_by}


def _run_planes(path: Path) -> Callable[[Picture], Picture]:
    """Feed the file as image programs do."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=[CPU])

    def redraw(photo: Picture) -> Picture:
        planes = photo.transpose(2, 0, 1)[None].astype(np.float32) / 255
        (drawn,) = session.run(None, {"input": planes})
        return cast(Picture, (drawn[0].transpose(1, 2, 0) * 255).round().astype(np.uint8))

    return redraw


def _run_program(program: torch.export.ExportedProgram) -> Callable[[Picture], Picture]:
    """Use the program in memory: reading the file takes longer than making it (a test does that)."""
    module = program.module()

    def redraw(photo: Picture) -> Picture:
        with torch.inference_mode():
            return cast(Picture, module(torch.from_numpy(photo[None]))[0].numpy())

    return redraw


def photos_of_data(params: Params, data: Path) -> ExportPhotos:
    """Read up to export.photos pictures for evaluation (pred photos, then val crops), as many train crops for calibration."""
    dataset, count = data.parent / params.dataset, params.export.photos
    split = manifest.kept(manifest.read(data / "split"), "photo", "pred") if (data / "split").is_dir() else []
    whole = manifest.on_this_machine(split, data.parent)
    evaluation = [arrays.shrink(images.read(manifest.file_of(row, data.parent)), MAX_SIDE_PX) for row in whole[:count]]
    crops = crop_files.list_crops(dataset, "photo", "val")[: count - len(evaluation)]
    evaluation += [crop_files.read_crop(row, data.parent) for row in crops]
    return ExportPhotos(
        evaluation, [crop_files.read_crop(row, data.parent) for row in crop_files.list_crops(dataset, "photo", "train")[:count]]
    )


def photos_of_user(paths: Sequence[Path], count: int) -> ExportPhotos:
    """Read photos (files or folders), shrunk to `MAX_SIDE_PX`, for evaluation and calibration in turn: at most `count` each."""
    found = [photo for path in paths for photo in images.find(path)][: 2 * count]
    pictures = [arrays.shrink(images.read(path), MAX_SIDE_PX) for path in found]
    return ExportPhotos(pictures[::2], pictures[1::2])


def export_file(params: Params, model: Path, out: Path, photos: Sequence[Path], overwrite: bool) -> dict[str, float]:
    """Export any generator's file into the folder `out`, which is written whole or not at all.

    Args:
        photos: photos or folders of them to measure with; if none are given, those of data/, if there are any.
        overwrite: replace an earlier export in `out`.

    Raises:
        UserError: the model is no generator, `out` exists and is not to be replaced, or the model is the one trained here
            and `report` or `evaluate` has not run yet.
    """
    files.check_replaceable(out, TRAINED, "genga export", overwrite)
    load_generator(model)
    trained = stage.DATA / "train" / TRAINED
    if photos:
        pictures = photos_of_user(photos, params.export.photos)
    elif (stage.DATA / "split").is_dir():
        pictures = photos_of_data(params, stage.DATA)
    else:
        pictures = ExportPhotos([], [])
    with files.replacing_folder(out) as temporary:
        is_trained = trained.is_file() and files.digest(trained) == files.digest(model)
        facts = training_facts(stage.DATA, list(params.films)) if is_trained else TrainingFacts(model.stem)
        metrics = export_to(temporary, model, params.export, pictures, facts)
        files.write_json(temporary / stage.METRICS, metrics)
    return metrics


def run(params: Params, out: Path, data: Path = stage.DATA) -> Mapping[str, float]:
    """Export the trained generator of `data` into `out`."""
    facts = training_facts(data, list(params.films))
    return export_to(out, data / "train" / TRAINED, params.export, photos_of_data(params, data), facts)


if __name__ == "__main__":
    stage.main("export", run, load)
