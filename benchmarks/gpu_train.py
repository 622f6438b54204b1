"""Trainings beside one another on a GPU, which end in time: what `python -m benchmarks.on_gpu train` does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import torch

from benchmarks import gpu_pack
from benchmarks.output import print_gpu_result as report
from benchmarks.recipe_params import params_of
from pipeline import pretrain, train
from pipeline.core import files
from pipeline.media import arrays, sheets, tensors
from pipeline.networks import devices, weights
from pipeline.networks.weights import load_generator
from pipeline.params.schema import Params
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.metric_log import MetricLog
from pipeline.training.model_setup import learned_working_px
from pipeline.training.validation import SAMPLES

CODE = Path(__file__).parents[1]
REDRAW_PX = 640
GRACE_S = 25
"""For trainings to save, redraw and end once time is up."""
VOLUME_BYTES = 14_000_000


def train_job(packed: Path, vgg_file: str, job: dict[str, Any], out: Path) -> None:
    """Run pretrain and train on one film of the pack, redraw photos, and write the results as a tar."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        project = Path(name)
        params = params_of(job["recipe"], {**job.get("changes", {}), "perceptual.weights": vgg_file})
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
