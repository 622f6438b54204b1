"""How fast a GPU trains and redraws: what `python -m benchmarks.on_gpu measure` prints."""

from __future__ import annotations

import json
import tempfile
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import gpu_pack, train_step
from benchmarks.output import print_gpu_result as report
from benchmarks.recipe_params import params_of
from models.generators.table import build_generator
from pipeline.dataset import crop_sets
from pipeline.dataset.crop_sets import CropSet
from pipeline.dataset.loader import Batch, BatchLoader
from pipeline.edge_smooth import scale_params, smooth_edges
from pipeline.media import arrays, tensors
from pipeline.media.images import Picture
from pipeline.networks import devices
from pipeline.networks.vgg import VggWeights, load_vgg
from pipeline.params import schema
from pipeline.params.schema import Params
from pipeline.training.cuda_graph import EAGER_STEPS, GraphedStep
from pipeline.training.loop import gan_step
from pipeline.training.metric_log import Terms

CODE = Path(__file__).parents[1]
WARM_STEPS, TIMED_STEPS = EAGER_STEPS + 3, 12


def synchronize(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def seconds_of(work: Callable[[], object], device: torch.device, repeats: int = TIMED_STEPS) -> float:
    """Median time of some work, in seconds, each run waited for."""
    found = []
    for _ in range(repeats):
        synchronize(device)
        start = time.perf_counter()
        work()
        synchronize(device)
        found.append(time.perf_counter() - start)
    return float(np.median(found))


def matrix_peak(device: torch.device) -> float:
    """Operations a second of a large bfloat16 matrix product on random data: what the GPU can do, measured."""
    side = 8192 if device.type == "cuda" else 512
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        a @ b
    return 2 * side**3 / seconds_of(lambda: a @ b, device)


def measure(packed: Path, vgg_file: str, sizes: list[int]) -> None:
    """Print how fast training steps and redrawing are."""
    started, device = time.monotonic(), devices.pick_device()
    devices.prepare(device)
    peak = matrix_peak(device)
    report("matrix_product", peak / 1e12, "TFLOP/s, bfloat16, 8192 x 8192")
    vgg = load_vgg(vgg_file)
    film = next(iter(sorted((packed / "anime").glob("*.tar"))))
    measurements: list[Callable[[], None]] = [lambda: measure_genga(packed, film, vgg, device, peak)]
    for generator in ("cartoongan", "genga-s", "animegan-v2"):
        measurements.append(partial(measure_redraw, generator, device, 1080 if device.type == "cuda" else 108))
    for generator, batch in (("cartoongan", 8), ("genga-m", 8)):
        measurements += [partial(measure_step, packed, film, generator, side, batch, vgg, device, peak) for side in sizes]
    if device.type == "cuda":
        measurements.append(lambda: check_graph(packed, film, vgg, device))
    for one in measurements:
        try:
            one()
        except RuntimeError:  # time on a GPU is short: the others count all the same
            traceback.print_exc()
        print(json.dumps({"seconds_so_far": round(time.monotonic() - started, 1)}), flush=True)


def crops_of(packed: Path, film: Path, side: int) -> dict[str, list[Picture]]:
    """Some crops of each kind at a size."""
    settings = schema.load(CODE / "params.yaml").edge_smooth
    anime, photo = (
        [arrays.resize(gpu_pack.decode(content), side, side) for _, content in list(gpu_pack.read_tar(tar))[:64]]
        for tar in (film, packed / "photo.tar")
    )
    return {"photo": photo, "anime": anime, "edge_smooth": [smooth_edges(one, scale_params(settings, side)) for one in anime]}


def loader_of(sets: dict[str, list[Picture]], params: Params, device: torch.device) -> BatchLoader:
    """Batches of crops that lie on the device."""
    photo, anime, edge_smoothed = (
        crop_sets.to_device(CropSet(torch.from_numpy(np.stack(sets[key])), key), device)
        for key in ("photo", "anime", "edge_smooth")
    )
    section = params.train
    return BatchLoader(
        photo, anime, edge_smoothed, section.seed, section.batch, section.crop_px, device, view_margin_px=section.view_margin_px
    )


def measure_step(
    packed: Path, film: Path, generator: str, side: int, batch: int, vgg: VggWeights, device: torch.device, peak: float
) -> None:
    """Print pictures a second of a CartoonGAN step: the project's, against the plain one on PNG files."""
    precision = "bfloat16" if device.type == "cuda" else "float32"
    params = train_step.settings(generator, side, batch, precision)
    sets = crops_of(packed, film, side)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = train_step.write_sets(sets, folder)
        networks = train_step.build(params, device, vgg, folder)
        loader = loader_of(sets, params, device)
        plain = train_step.Plain(networks, vgg, params, files, slips=True)
        found = {
            "project": time_steps(lambda b, d: gan_step(networks, b, params.train, params.loss, (), d), loader, device),
            "plain": seconds_of(counting(lambda seen: plain.step(seen * batch)), device, 4),
        }
        operations = count_operations(lambda: gan_step(networks, loader.batch_at(0), params.train, params.loss))
    share = operations / found["project"] / peak
    memory = torch.cuda.max_memory_allocated() / 1e9 if device.type == "cuda" else float("nan")
    report(
        f"train_step_{generator}_{side}px",
        batch / found["project"],
        "photos/s",
        batch / found["plain"],
        found["plain"] / found["project"],
        f"batch {batch}, {precision}; {operations / 1e12:.3g} TFLOP a step, {share:.2f} of peak; {memory:.3g} GB at most",
    )


def measure_genga(packed: Path, film: Path, vgg: VggWeights, device: torch.device, peak: float) -> None:
    """Print photos a second of recipe genga, as a graph and without one."""
    for batch, side in ((16, 128), (32, 128)):
        changes: dict[str, Any] = {"train.batch": batch, "train.crop_px": side, "pretrain.crop_px": side}
        if device.type == "cuda":
            changes["train.precision"] = "bfloat16"
        params = params_of("genga", changes)
        sets = crops_of(packed, film, 256)
        with tempfile.TemporaryDirectory() as name:
            networks = train_step.build(params, device, vgg, Path(name))
            loader = loader_of(sets, params, device)

            def step(given: Batch, decay: Tensor | float, networks: Any = networks, params: Params = params) -> Terms:
                return gan_step(networks, given, params.train, params.loss, (), decay)

            eager = time_steps(step, loader, device, graphed=False)
            found = time_steps(step, loader, device)
            operations = count_operations(lambda step=step, loader=loader: step(loader.batch_at(0), 0.9))  # type: ignore[misc]
        notes = f"batch {batch}, {params.train.precision}; {operations / found / peak:.2f} of peak; baseline: without a graph"
        report(f"train_step_recipe_genga_{side}px", batch / found, "photos/s", batch / eager, eager / found, notes)


def check_graph(packed: Path, film: Path, vgg: VggWeights, device: torch.device) -> None:
    """Print how far the terms of graphed steps are from those of plain ones: the largest difference in shares of the terms."""
    params = params_of("genga", {"train.batch": 8})
    sets, curves = crops_of(packed, film, 256), []
    for graphed in (False, True):
        with tempfile.TemporaryDirectory() as name:
            networks = train_step.build(params, device, vgg, Path(name))
        step = GraphedStep(lambda b, _, d, networks=networks: gan_step(networks, b, params.train, params.loss, (), d))  # type: ignore[misc]
        loader, found = loader_of(sets, params, device), []
        for index in range(WARM_STEPS + 6):
            given = loader.batch_at(index * loader.batch)
            terms = step(given, (), 0.9) if graphed else step.step(given, (), 0.9)
            found.append(torch.stack([term.float() for term in terms.values()]).cpu())
        curves.append(torch.stack(found))
    plain, replayed = curves
    apart = float(((plain - replayed).abs() / plain.abs().clamp_min(0.05)).max())
    report("graph_against_plain_step", apart, "largest difference of a term in 12 steps, share of the term")


def counting(work: Callable[[int], object]) -> Callable[[], object]:
    """Call some work with 0, 1, 2 ..."""
    number = iter(range(1 << 30))
    return lambda: work(next(number))


def time_steps(
    step: Callable[[Batch, float | Tensor], Terms], loader: BatchLoader, device: torch.device, graphed: bool = True
) -> float:
    """Seconds of a step with its batch: the mean over some, after those in which kernels are chosen."""
    one: Callable[[Batch, float], Terms] = step
    if graphed and device.type == "cuda":
        graph = GraphedStep(lambda batch, _, decay: step(batch, decay))
        one = lambda batch, decay: graph(batch, (), decay)  # noqa: E731
    for index in range(WARM_STEPS):
        one(loader.batch_at(index * loader.batch), 0.9)
    synchronize(device)
    start = time.perf_counter()
    steps = TIMED_STEPS * 4 if device.type == "cuda" else 2
    for index in range(steps):
        one(loader.batch_at((WARM_STEPS + index) * loader.batch), 0.9)
    synchronize(device)
    return (time.perf_counter() - start) / steps


def count_operations(work: Callable[[], object]) -> float:
    """Floating-point operations of convolutions and matrix products."""
    with FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops())


def measure_redraw(generator: str, device: torch.device, height: int) -> None:
    """Print frames a second of redrawing, uint8 in and out, one frame at a time."""
    network = devices.to_device(build_generator(generator), device).eval().requires_grad_(False)
    width = height * 16 // 9
    frame = torch.randint(0, 256, (1, height, width, 3), dtype=torch.uint8)
    pinned = frame.pin_memory() if device.type == "cuda" else frame
    precision = "bfloat16" if device.type == "cuda" else "float32"

    def redraw() -> Tensor:
        with torch.inference_mode(), devices.autocast(device, precision):
            output = network(devices.to_model_input(pinned, device))
            return tensors.to_pixels(output).cpu()

    for _ in range(3):
        redraw()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds = seconds_of(redraw, device)
    memory = torch.cuda.max_memory_allocated() / 1e9 if device.type == "cuda" else float("nan")
    report(f"redraw_{generator}_{height}p", 1 / seconds, "frames/s", notes=f"{precision}, {memory:.3g} GB at most")
