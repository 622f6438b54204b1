"""Time to redraw a picture: stylizers against plain PyTorch and ONNX Runtime with the same weights. JSON lines.

    python -m benchmarks.stylize [--generator cartoongan] [--size 512x512 1920x1080] [--rounds 3] [--no-onnx] [--only-12mp]

Plain PyTorch is what published code does (float32, contiguous, torch.no_grad); ONNX Runtime runs the file that `genga export`
writes, with its defaults. The runners take turns and the best round of each counts. All take and give uint8, but for plain
PyTorch, which is given float pictures; ours run with OpenVINO as in `genga stylize` and without it as with `--exact`.
Preparation is not counted, but reported, and so is the difference from plain PyTorch's picture; a large one ends the run.
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.output import print_result
from models.generators.table import AnyGenerator, build_generator
from pipeline.export import compare
from pipeline.inference import onnx_export
from pipeline.inference.open_model import accelerate
from pipeline.inference.openvino_engine import PHOTO, PICTURE
from pipeline.inference.photos import stylize_photos
from pipeline.inference.render_options import RenderOptions
from pipeline.inference.scaled_stylizer import ScaledStylizer
from pipeline.inference.torch_stylizer import TorchStylizer
from pipeline.media import arrays, images, tensors
from pipeline.media.images import Picture
from pipeline.sample import load_photos

Runner = Callable[[], Picture]
MIN_PSNR_DB = 35.0
BUDGET_12MP_S = 5.0


def trained_looking(name: str, photo: Picture) -> AnyGenerator:
    """Build a generator in which every layer has an effect; an untrained one may end in zeros."""
    torch.manual_seed(0)
    module = build_generator(name).requires_grad_(False)
    for parameter in module.parameters():
        parameter.add_(0.02 * torch.randn_like(parameter))
    small = tensors.from_pixels(torch.from_numpy(arrays.resize(photo, 128, 128)[None]))
    for _ in range(30):
        module.train()(small)
    return module.eval()


def onnx_runner(module: AnyGenerator, photo: Picture) -> Runner:
    """Export a generator as `genga export` does and return a function that redraws `photo` with ONNX Runtime."""
    import onnxruntime

    model = onnx_export.to_onnx(onnx_export.trace(module), {}, 18)
    session = onnxruntime.InferenceSession(onnx_export.to_bytes(model), providers=["CPUExecutionProvider"])
    return lambda: np.asarray(session.run([PICTURE], {PHOTO: photo[None]})[0][0], np.uint8)


def measure(name: str, width: int, height: int, rounds: int, onnx: bool) -> None:
    """Print a line for each stylizer of this project against each of the others."""
    photo = arrays.resize(load_photos()["chelsea"], width, height)
    module = trained_looking(name, photo)
    pixels = tensors.from_pixels(torch.from_numpy(photo[None])).contiguous()
    exact = TorchStylizer(module, "cpu")
    start = time.perf_counter()
    fast = accelerate(exact)
    fast.prepare(height, width)
    preparation_s = time.perf_counter() - start

    def eager() -> Picture:
        with torch.no_grad():
            return tensors.to_pixels(module(pixels))[0].numpy()

    ours: dict[str, Runner] = {"ours": lambda: fast(photo), "exact": lambda: exact(photo)}
    others: dict[str, Runner] = {"eager": eager} | ({"onnxruntime": onnx_runner(module, photo)} if onnx else {})
    runners = ours | others
    drawings = {kind: run() for kind, run in runners.items()}
    best_s, best_cpu_s = dict.fromkeys(runners, math.inf), dict.fromkeys(runners, math.inf)
    for _ in range(rounds):
        for kind, run in runners.items():
            start, start_cpu = time.perf_counter(), time.process_time()
            run()
            best_s[kind] = min(best_s[kind], time.perf_counter() - start)
            best_cpu_s[kind] = min(best_cpu_s[kind], time.process_time() - start_cpu)
    for kind in ours:
        difference = compare([drawings["eager"]], [drawings[kind]])
        if difference.psnr_db is not None and difference.psnr_db < MIN_PSNR_DB:
            raise SystemExit(f"{kind} gives another picture: {difference.psnr_db:.0f} dB")
        psnr = "same" if difference.psnr_db is None else f"{difference.psnr_db:.1f} dB"
        arithmetic = "float32" if kind == "exact" else fast.identity.partition("-")[2] or "float32, without OpenVINO"
        for other in others:
            notes = (
                f"{name}, best of {rounds}; {arithmetic}; from plain PyTorch at most {difference.max_levels} levels, {psnr}; "
                f"preparation {preparation_s if kind == 'ours' else 0:.1f} s; "
                f"ratio of processor time {best_cpu_s[other] / best_cpu_s[kind]:.3g}"
            )
            unit, ratio = f"pictures/s at {width}x{height}", best_s[other] / best_s[kind]
            print_result(f"stylize_{kind}_vs_{other}", 1 / best_s[kind], unit, 1 / best_s[other], ratio, notes, device())


def device() -> str:
    """What torch computes on."""
    return f"cpu, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"


def measure_file(rounds: int) -> None:
    """Print a line for a photo of 12 megapixels, from file to file, against the time it may take."""
    chelsea = arrays.resize(load_photos()["chelsea"], 4000, 3000)
    stylizer = ScaledStylizer(TorchStylizer(trained_looking("genga-s", chelsea), "cpu"))
    best_s = math.inf
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images.write(folder / "photo.jpg", chelsea)
        for _ in range(rounds):
            start = time.perf_counter()
            (result,) = stylize_photos([(folder / "photo.jpg", folder / "photo.png")], stylizer, RenderOptions())
            best_s = min(best_s, time.perf_counter() - start)
            assert result.error is None, result.error
    notes = (
        f"genga-s, 4000x3000 JPEG to PNG: decode, redraw at {stylizer.working_px} px, enlarge, encode; best of {rounds}; "
        "baseline: the time it may take on two cores"
    )
    print_result("stylize_12mp_s", best_s, "s", BUDGET_12MP_S, BUDGET_12MP_S / best_s, notes, device())


def main() -> None:
    """Print the lines."""
    parser = argparse.ArgumentParser(description="redrawing, against plain PyTorch and ONNX Runtime")
    parser.add_argument("--generator", nargs="+", default=["cartoongan", "genga-s"], help="names of generators")
    parser.add_argument("--size", nargs="+", default=["512x512", "1920x1080"], help="WIDTHxHEIGHT")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only-12mp", action="store_true", help="measure a photo of 12 megapixels from file to file, no more")
    parser.add_argument("--no-onnx", action="store_true", help="leave ONNX Runtime out")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache  # these networks will not be used again
        measure_file(arguments.rounds)
        for name in [] if arguments.only_12mp else arguments.generator:
            for size in arguments.size:
                width, height = map(int, size.split("x"))
                measure(name, width, height, arguments.rounds, not arguments.no_onnx)


if __name__ == "__main__":
    main()
