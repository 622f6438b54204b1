"""What `dvc repro` costs with nothing to do, with a second film, and with it taken out again: one JSON object a line.

    python -m benchmarks.dvc_noop [--crops 20000] [--side 256] [--folder FOLDER]

A project is made as a newcomer has it (git, DVC), with a drawn film and drawn photographs; every stage is real, training short.
The baseline is the first run, which makes everything. The baseline of adding a film is what it would cost if the stages that
measure, crop and smooth handled all films at once: the same run, and what these took for the other film and photographs. CPU
seconds are those of DVC and all its stages.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from ruamel.yaml import YAML

from benchmarks.output import print_result
from pipeline.core import manifest
from pipeline.media import encoding, images
from pipeline.media.images import Picture

ROOT = Path(__file__).parent.parent
WIDTH, HEIGHT, FPS = 320, 180, 10
FRAMES_PER_SHOT, PER_SHOT, PER_FRAME, PER_PHOTO = 12, 3, 12, 16
SECOND_FILM = 0.05  # of the first
REPEATS = 3
# What is not DVC's cost is kept short; no drawn picture is dropped and no crop refused.
PARAMS: dict[str, Any] = {
    "sample.width_px": 320, "sample.fps": 8,
    "keyframes.per_shot": PER_SHOT, "keyframes.min_gap_s": 0.2, "keyframes.cut_margin_s": 0.1,
    "dedup.max_distance": 0, "dedup.blur_sharpness": 0,
    "crop.per_frame": PER_FRAME, "crop.per_photo": PER_PHOTO, "crop.max_overlap": 1.0, "crop.min_edge_share": 0.0,
    "crop.max_upscale": 8.0, "photos": "data/films/photos",
    "model.generator": "tiny", "model.discriminator": "tiny",
    "pretrain.images": 8, "pretrain.crop_px": 32, "pretrain.content_layer": "relu1_2", "pretrain.target": "photo",
    "train.images": 8, "train.crop_px": 32, "train.log_every_images": 4, "train.sample_every_images": 8,
    "loss.content_layer": "relu1_2", "loss.style_layers": ["relu1_1"], "loss.target": "photo",
    "split.val": 0.02, "split.pred": 0.01, "evaluate.max_photos": 4, "evaluate.max_film": 4,
    "evaluate.baselines": False,
}  # fmt: skip


def draw(seed: int, shift: int = 0) -> Picture:
    """Draw flat shapes over a gradient; `shift` moves them, and each seed gives other shapes."""
    rng = np.random.default_rng(seed)
    low, high = rng.integers(60, 255, (2, 3))
    gradient = np.linspace(0, 1, HEIGHT)[:, None, None]
    picture = np.broadcast_to(low * (1 - gradient) + high * gradient, (HEIGHT, WIDTH, 3)).astype(np.uint8).copy()
    for _ in range(14):
        x, y, size = int(rng.integers(WIDTH)) + shift, int(rng.integers(HEIGHT)), int(rng.integers(15, 60))
        cv2.circle(picture, (x, y), size, [int(level) for level in rng.integers(30, 255, 3)], -1)
        cv2.circle(picture, (x, y), size, (20, 15, 25), 2)
    return picture


def write_film(path: Path, crops: int, first_shot: int) -> None:
    """Write a film that gives about `crops` crops."""

    def frames() -> Iterator[Picture]:
        for shot in range(math.ceil(crops / (PER_SHOT * PER_FRAME))):
            for step in range(FRAMES_PER_SHOT):
                yield draw(first_shot + shot, 3 * step)

    encoding.write_film(path, frames(), fps=FPS, crf=20)


def make_project(folder: Path, crops: int, side: int) -> None:
    """Clone this checkout, with a drawn film and photographs that give about `crops` crops, half from each."""
    listing = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listing.stdout.splitlines():
        if (ROOT / name).is_file() and not name.startswith(("tests/", "docs/")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    write_film(folder / "data/films/one.mp4", crops // 2, 0)
    write_film(folder / "data/films/two.mp4", int(crops * SECOND_FILM / 2), 1_000_000)
    (folder / "data/films/photos").mkdir()
    for index in range(math.ceil(crops / 2 / PER_PHOTO)):
        images.write(folder / f"data/films/photos/{index:05d}.png", draw(2_000_000 + index))
    set_params(folder, PARAMS | {"crop.size_px": side, "films": {"one": "data/films/one.mp4"}})
    for command in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.email=bench@example.org", "-c", "user.name=bench", "commit", "-qm", "start"],
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)


def set_params(folder: Path, changes: dict[str, Any]) -> None:
    """Change values of the project's params.yaml, by dotted key."""
    yaml = YAML()
    tree = yaml.load(folder / "params.yaml")
    for key, value in changes.items():
        *sections, last = key.split(".")
        place = tree
        for section in sections:
            place = place[section]
        place[last] = value
    yaml.dump(tree, folder / "params.yaml")


class Run(NamedTuple):
    """Seconds that a `dvc repro` took."""

    wall: float
    cpu: float
    stages: dict[str, float]  # those that ran, including DVC's own work on their results

    def __str__(self) -> str:
        stages = ", ".join(f"{name} {seconds:.1f}" for name, seconds in self.stages.items()) or "nothing"
        return f"CPU {self.cpu:.1f} s; ran {stages}"


def cpu_s() -> float:
    """CPU seconds of all programs that ended so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def repro(folder: Path) -> Run:
    """Run `dvc repro`."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(folder / ".dvc" / "site"),
        "PYTHONUNBUFFERED": "1",
    }
    start, before_s = time.monotonic(), cpu_s()
    begun: dict[str, float] = {}
    tail: list[str] = []
    with subprocess.Popen(
        ["dvc", "repro"], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            tail = [*tail[-30:], line]
            if found := re.match(r"Running stage '([^']+)'", line):
                begun[found[1]] = time.monotonic()
    if process.returncode:
        sys.exit("dvc repro failed:\n" + "".join(tail))
    end = time.monotonic()
    ends = [*list(begun.values())[1:], end]
    spent = {name: ends[index] - at for index, (name, at) in enumerate(begun.items())}
    return Run(end - start, cpu_s() - before_s, spent)


def print_line(metric: str, seconds: float, baseline_s: float, notes: str) -> None:
    """Print a result, and how loaded the machine was."""
    device = f"cpu, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    print_result(metric, seconds, "s", baseline_s, baseline_s / seconds, notes, device)


def count_crops(folder: Path) -> int:
    """Count the kept crops of a project."""
    return sum(
        len(manifest.kept(manifest.read(path.parent))) for path in (folder / "data/crop/about").glob("*/*/manifest.jsonl")
    )


def main() -> None:
    """Make the project, run it, and print a line for each case."""
    parser = argparse.ArgumentParser(description="what dvc repro costs when there is nothing or little to do")
    parser.add_argument("--crops", type=int, default=20_000, help="crops of the data set, half of them of the film")
    parser.add_argument("--side", type=int, default=256, help="their side, pixels")
    parser.add_argument("--folder", type=Path, help="where to make the project; by default a temporary folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as place:
        folder = Path(place)
        make_project(folder, arguments.crops, arguments.side)
        first = repro(folder)
        count = count_crops(folder)
        files = sum(path.is_file() for path in (folder / "data").rglob("*"))
        print_line("dvc_first_run", first.wall, first.wall, f"{count} crops, {files} files in data/; {first}")
        again = sorted((repro(folder) for _ in range(REPEATS)), key=lambda run: run.wall)
        middle = again[REPEATS // 2]
        notes = f"median of {REPEATS}, {again[0].wall:.2f} to {again[-1].wall:.2f}; {middle}"
        print_line("dvc_noop", middle.wall, first.wall, notes)
        set_params(folder, {"films": {"one": "data/films/one.mp4", "two": "data/films/two.mp4"}})
        added = repro(folder)
        spared = sum(
            seconds for name, seconds in first.stages.items() if name.startswith(("photo_index", "crop", "edge_smooth"))
        )
        print_line("dvc_film_added", added.wall, added.wall + spared, f"{count_crops(folder) - count} crops more; {added}")
        set_params(folder, {"films": {"one": "data/films/one.mp4"}})
        removed = repro(folder)
        print_line("dvc_film_removed", removed.wall, first.wall, str(removed))


if __name__ == "__main__":
    main()
