"""What a GPU makes of this project, in one command that fits into minutes; JSON lines.

    python -m benchmarks.on_gpu pack PACKED --data data --films NAME... --redraw FOLDER     (anywhere)
    python -m benchmarks.on_gpu measure PACKED --vgg FILE                                   (on the GPU)
    python -m benchmarks.on_gpu train PACKED --vgg FILE --jobs JOBS.json --out FOLDER       (on the GPU)

`measure` compares a training step with the plain step (benchmarks/train_step.py), names its share of what the GPU's matrix
units can do, and redraws 1080p. `train` runs the stages pretrain and train themselves, several trainings beside one another
as one alone leaves a large GPU waiting, each on a film of the pack; it brings back generators, curves, sample sheets and
redrawn photos. JOBS.json is a list of {"name", "film", "recipe", "changes": {"train.images": 20000, ...}}, started in that
order; one with "seconds" too, which it takes at least, is not started when fewer are left. With "bring", a list of some of
generator, redrawn and samples, nothing else comes back but the curves. gpu_jobs.json beside this file has those that are to
tell next, on Open Bible Stories (obs) and Pepper&Carrot (pc).

Neither needs DVC, FFmpeg or a network. Without a GPU both run too, slowly: to try them out.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import gpu_pack, output, recipe_cost, train_step
from models.generators.table import build_generator
from pipeline import pretrain, train
from pipeline.core import files
from pipeline.dataset import crop_sets
from pipeline.dataset.crop_sets import CropSet
from pipeline.dataset.loader import Batch, BatchLoader
from pipeline.edge_smooth import scale_params, smooth_edges
from pipeline.media import arrays, sheets, tensors
from pipeline.media.images import Picture
from pipeline.networks import devices, weights
from pipeline.networks.vgg import VggWeights, load_vgg
from pipeline.networks.weights import load_generator
from pipeline.params import schema
from pipeline.params.schema import Params
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.cuda_graph import EAGER_STEPS, GraphedStep
from pipeline.training.loop import gan_step
from pipeline.training.metric_log import MetricLog, Terms
from pipeline.training.model_setup import learned_working_px
from pipeline.training.validation import SAMPLES

CODE = Path(__file__).parents[1]
REDRAW_PX = 640
GRACE_S = 25
"""For trainings to save, redraw and end once time is up."""
VOLUME_BYTES = 14_000_000
WARM_STEPS, TIMED_STEPS = EAGER_STEPS + 3, 12


def report(
    metric: str, value: float, unit: str, baseline: float | None = None, ratio: float | None = None, notes: str = ""
) -> None:
    """Print a result with the GPU's name, if there is one."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    output.print_result(metric, value, unit, baseline, ratio, notes, device)


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
        params = params_of("genga", changes, "pastiche")
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
    params = params_of("genga", {"train.batch": 8}, "pastiche")
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


def params_of(recipe: str, changes: dict[str, Any], vgg_file: str) -> Params:
    """Read the committed params.yaml with a recipe and some changes by dotted key."""
    tree = recipe_cost.params_of(recipe, CODE).model_dump()
    for key, value in {**changes, "perceptual.weights": vgg_file}.items():
        *path, last = key.split(".")
        section = tree
        for part in path:
            section = section[part]
        section[last] = value
    return schema.check(tree, recipe)


def train_job(packed: Path, vgg_file: str, job: dict[str, Any], out: Path) -> None:
    """Run pretrain and train on one film of the pack, redraw photos, and write the results as a tar."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        project = Path(name)
        params = params_of(job["recipe"], job.get("changes", {}), vgg_file)
        gpu_pack.unpack(packed, job["film"], params.edge_smooth, project)
        data = project / "data"
        images_seen = params.train.images
        for stage_name, run in (("pretrain", pretrain.run), ("train", train.run)):
            (data / stage_name).mkdir()
            began = time.monotonic()
            try:
                run(params, data / stage_name, data=data)
            except (KeyboardInterrupt, SystemExit):  # out of time, after a checkpoint
                if stage_name == "pretrain":
                    raise
                images_seen = recover(params, data)
            report(f"seconds_{stage_name}_{job['name']}", time.monotonic() - began, "s", notes=json.dumps(job))
        file, result = data / "train" / "generator.safetensors", out / job["name"]
        result.mkdir(parents=True)
        bring = job.get("bring", ["generator", "redrawn", "samples"])
        if "redrawn" in bring:
            redraw(file, packed, result)
        if "samples" in bring:
            shutil.copytree(data / "train" / "samples", result / "samples")
        if "generator" in bring and file.stat().st_size < VOLUME_BYTES:
            shutil.copyfile(file, result / file.name)
        shutil.copytree(data / "train" / "dvclive", result / "dvclive")
        # A run that was stopped looks like any other in its pictures.
        (result / "job.json").write_text(json.dumps({**job, "images_seen": images_seen}))
    report(f"seconds_{job['name']}", time.monotonic() - started, "s")


def recover(params: Params, data: Path) -> int:
    """Write the averaged generator, samples and curves of a stopped training, from its newest checkpoint; return its images."""
    (run,) = (files.work_folder() / "train").iterdir()
    checkpoint = Checkpoints("train", run.name).load_newest()
    assert checkpoint is not None
    generator, metadata = load_generator(data / "pretrain" / "generator.safetensors")
    prefix = "network/ema/" if params.train.ema_decay else "network/generator/"
    generator.load_state_dict(
        {name.removeprefix(prefix): value for name, value in checkpoint.tensors.items() if name.startswith(prefix)}
    )
    about = {"images_seen": str(checkpoint.images_seen), "working_px": str(learned_working_px(params.crop, params.train))}
    weights.save_generator(data / "train" / "generator.safetensors", generator, {**metadata, **about})
    shutil.copytree(run / SAMPLES, data / "train" / SAMPLES)
    MetricLog(rows=checkpoint.record["rows"]).write(data / "train" / "dvclive")
    report("images_seen_when_stopped", checkpoint.images_seen, "photos")
    return checkpoint.images_seen


def redraw(file: Path, packed: Path, out: Path) -> None:
    """Redraw the photos of the pack with a long side of REDRAW_PX."""
    device = devices.pick_device()
    network = devices.to_device(load_generator(file)[0], device).eval()
    for name, content in gpu_pack.read_tar(packed / "redraw.tar"):
        photo = gpu_pack.decode(content)
        scale = REDRAW_PX / max(photo.shape[:2])
        size = (round(photo.shape[1] * scale), round(photo.shape[0] * scale))
        small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
        with torch.inference_mode():
            output = network(devices.to_model_input(torch.from_numpy(small[None]), device))
        picture = tensors.to_pixels(output)[0].cpu().numpy()
        (out / name).write_bytes(gpu_pack.encode(picture))
    first = sorted(out.glob("*.jpg"))[:6]
    sheet = sheets.grid([[arrays.resize(gpu_pack.decode(path.read_bytes()), 384, 256) for path in first]])
    (out / "sheet.jpg").write_bytes(gpu_pack.encode(sheet))


def train_all(packed: Path, vgg_file: str, jobs: list[dict[str, Any]], out: Path, beside: int, seconds: float) -> None:
    """Run jobs as processes, `beside` at a time; those left when time is up are stopped. Results are in OUT/results-N.tar."""
    deadline = time.monotonic() + seconds
    running: dict[str, subprocess.Popen[bytes]] = {}
    waiting, stopping = list(jobs), False
    with tempfile.TemporaryDirectory() as results_folder, tempfile.TemporaryDirectory() as work:
        results = Path(results_folder)
        while (waiting and not stopping) or running:
            for name in [name for name, process in running.items() if process.poll() is not None]:
                print(json.dumps({"job": name, "status": running.pop(name).returncode}), flush=True)
            if time.monotonic() > deadline and not stopping:
                stopping = True
                for process in running.values():
                    process.terminate()
            if time.monotonic() > deadline + GRACE_S:
                for process in running.values():
                    process.kill()
            while waiting and not stopping and len(running) < beside:
                job = waiting.pop(0)
                if time.monotonic() + job.get("seconds", 0) > deadline:
                    print(json.dumps({"job": job["name"], "status": "no time left"}), flush=True)
                    continue
                running[job["name"]] = _start(packed, vgg_file, job, results, Path(work))
            time.sleep(0.2)
        _write_volumes(results, out)
        for log in sorted(results.glob("*.log")):
            last = log.read_text("utf-8", "replace").strip().splitlines()[-2:]
            print(log.stem, "|", " | ".join(line[-200:] for line in last), flush=True)


def _start(packed: Path, vgg_file: str, job: dict[str, Any], results: Path, work: Path) -> subprocess.Popen[bytes]:
    """Start a training whose checkpoints lie in a folder of its own."""
    command = [sys.executable, "-m", "benchmarks.on_gpu", "job", str(packed.resolve()), "--vgg", vgg_file]
    environment = {**os.environ, "GENGA_WORK": str(work / job["name"]), "OMP_NUM_THREADS": "4"}
    given = [*command, "--jobs", json.dumps(job), "--out", str(results)]
    with (results / f"{job['name']}.log").open("wb") as log:
        return subprocess.Popen(given, cwd=CODE, env=environment, stdout=log, stderr=subprocess.STDOUT)


def _write_volumes(results: Path, out: Path) -> None:
    """Write all results to tar files of VOLUME_BYTES at most, one result in one file."""
    out.mkdir(parents=True, exist_ok=True)
    volume, filled = 0, 0
    for path in sorted(results.iterdir()):
        size = sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file())
        if filled and filled + size > VOLUME_BYTES:
            volume, filled = volume + 1, 0
        with tarfile.open(out / f"results-{volume}.tar", "a") as tar:
            tar.add(path, path.name)
        filled += size


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description="this project on a GPU")
    parser.add_argument("what", choices=["pack", "measure", "train", "job"])
    parser.add_argument("packed", type=Path)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--films", nargs="+", default=[])
    parser.add_argument("--crops", type=int, default=500, help="training crops of each film")
    parser.add_argument("--photos", type=int, default=600, help="training crops of photos")
    parser.add_argument("--redraw", type=Path, help="folder of photos that are not trained on")
    parser.add_argument("--vgg", default="pastiche", help="perceptual.weights")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256])
    parser.add_argument("--jobs", help="a JSON file, or for job the JSON itself")
    parser.add_argument("--out", type=Path, default=Path())
    parser.add_argument("--beside", type=int, default=3, help="trainings at a time")
    parser.add_argument("--seconds", type=float, default=480.0, help="end after this")
    given = parser.parse_args()
    match given.what:
        case "pack":
            count = dict.fromkeys(given.films, given.crops) | {"photo": given.photos}
            for name, size in gpu_pack.pack(given.data, given.films, count, given.redraw, given.packed).items():
                report(f"pack_{name}", size / 1e6, "MB")
        case "measure":
            measure(given.packed, given.vgg, given.sizes)
        case "train":
            train_all(given.packed, given.vgg, json.loads(Path(given.jobs).read_text()), given.out, given.beside, given.seconds)
        case "job":
            train_job(given.packed, given.vgg, json.loads(given.jobs), given.out)


if __name__ == "__main__":
    main()
