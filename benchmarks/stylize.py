"""Redrawing: our path against the same weights as others run them, on this machine; JSON lines.

    python -m benchmarks.stylize [--generator cartoongan] [--size 512x512 1920x1080] [--rounds 3] [--no-onnx]

Against plain PyTorch as published codes run it (float32, contiguous, torch.no_grad) and ONNX Runtime with its defaults, turn by
turn in one run. Ours is all that `Stylizer` does, from uint8 to uint8, hastened as `genga stylize` has it and exact as with
`--exact`; the others are given float pictures and keep theirs. The best of the rounds counts; how far results are from plain
PyTorch's is told, and another picture ends the run. Preparing and compiling are not counted, and told too.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.generators.table import build_generator
from pipeline.export import compare
from pipeline.inference.openvino_stylizer import OpenVinoStylizer
from pipeline.inference.stylizer import Stylizer
from pipeline.media import arrays, tensors
from pipeline.media.images import Picture
from pipeline.sample import photos

Floats = NDArray[np.float32]
ANOTHER_PICTURE_DB = 35.0


def stirred(name: str, photo: Picture) -> nn.Module:
    """A generator with every part at work: as initialised, a last layer may be zero and running statistics fit nothing."""
    torch.manual_seed(0)
    module = build_generator(name).requires_grad_(False)
    for parameter in module.parameters():
        parameter.add_(0.02 * torch.randn_like(parameter))
    small = tensors.from_pixels(torch.from_numpy(arrays.resize(photo, 128, 128)[None]))
    for _ in range(30):
        module.train()(small)
    return module.eval()


def exported(module: nn.Module, photo: torch.Tensor) -> Callable[[Floats], Floats]:
    """The same in ONNX Runtime as it comes."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = f"{folder}/generator.onnx"
        torch.onnx.export(module, (photo,), file, input_names=["photo"], output_names=["drawn"], opset_version=18, dynamo=False)
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return lambda pixels: np.asarray(session.run(None, {"photo": pixels})[0], np.float32)


def measure(name: str, width: int, height: int, rounds: int, onnx: bool) -> list[str]:
    """A line for each rival."""
    photo = arrays.resize(photos()["chelsea"], width, height)
    module = stirred(name, photo)
    pixels = tensors.from_pixels(torch.from_numpy(photo[None])).contiguous()
    exact = Stylizer(module, "cpu")
    fast = OpenVinoStylizer(exact)
    began = time.perf_counter()
    fast.accelerate()
    fast.expect(height, width)
    preparing_s = time.perf_counter() - began
    drawn: dict[str, Picture] = {}

    def plain() -> None:
        with torch.no_grad():
            drawn["eager"] = tensors.to_pixels(module(pixels))[0].numpy()

    def own(kind: str, stylizer: Callable[[Picture], Picture]) -> None:
        drawn[kind] = stylizer(photo)

    ways: dict[str, Callable[[], None]] = {
        "ours": partial(own, "ours", fast),
        "exact": partial(own, "exact", exact),
        "eager": plain,
    }
    if onnx:
        run, given = exported(module, pixels), pixels.numpy()

        def other() -> None:
            drawn["onnxruntime"] = tensors.to_pixels(torch.from_numpy(run(given)))[0].numpy()

        ways["onnxruntime"] = other
    best = dict.fromkeys(ways, (math.inf, math.inf))
    for way in ways.values():
        way()
    for _ in range(rounds):
        for kind, way in ways.items():
            began, cpu = time.perf_counter(), time.process_time()
            way()
            took = (time.perf_counter() - began, time.process_time() - cpu)
            best[kind] = (min(best[kind][0], took[0]), min(best[kind][1], took[1]))
    lines = []
    for one, rival in itertools.product(("ours", "exact"), ways.keys() - {"ours", "exact"}):
        loss = compare([drawn["eager"]], [drawn[one]])
        if loss.psnr_db is not None and loss.psnr_db < ANOTHER_PICTURE_DB:
            raise SystemExit(f"{one} draws another picture: {loss.psnr_db:.0f} dB")
        lines.append(
            json.dumps(
                {
                    "metric": f"stylize_{one}_vs_{rival}",
                    "value": float(f"{1 / best[one][0]:.4g}"),
                    "unit": f"pictures/s at {width}x{height}",
                    "baseline": float(f"{1 / best[rival][0]:.4g}"),
                    "ratio": float(f"{best[rival][0] / best[one][0]:.4g}"),
                    "device": f"cpu, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}",
                    "notes": f"{name}, best of {rounds}; from plain PyTorch at most {loss.max_levels} levels, "
                    + ("the same" if loss.psnr_db is None else f"{loss.psnr_db:.1f} dB")
                    + f"; {'float32' if one == 'exact' else fast.identity.partition('-')[2] or 'not hastened'}"
                    + (f"; prepared in {preparing_s:.1f} s" if one == "ours" else "")
                    + f"; ratio of processor time {best[rival][1] / best[one][1]:.3g}",
                }
            )
        )
    return sorted(lines, reverse=True)


def main() -> None:
    """Print the lines."""
    parser = argparse.ArgumentParser(description="redrawing against plain PyTorch and ONNX Runtime")
    parser.add_argument("--generator", nargs="+", default=["cartoongan", "genga-s"], help="rows of the table of generators")
    parser.add_argument("--size", nargs="+", default=["512x512", "1920x1080"], help="WIDTHxHEIGHT")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-onnx", action="store_true", help="leave ONNX Runtime out")
    arguments = parser.parse_args()
    cache = tempfile.TemporaryDirectory()
    os.environ["XDG_CACHE_HOME"] = cache.name  # graphs of networks that nobody will use again
    for name in arguments.generator:
        for size in arguments.size:
            width, height = map(int, size.split("x"))
            for line in measure(name, width, height, arguments.rounds, not arguments.no_onnx):
                print(line)
                sys.stdout.flush()


if __name__ == "__main__":
    main()
