"""Seconds and peak memory of every stage of the data side on a film and on its first half; one JSON object a line.

    python -m benchmarks.data_side [FILM] [--photos FOLDER] [--share 1.0]

FILM is by default Big Buck Bunny under $GENGA_SHARED (or ../shared). Each stage runs as a user's would, `python -m
pipeline.STAGE` in a project of its own with the committed parameters. The half is cut without re-encoding. Memory is the peak
of a stage and its processes together, sampled ten times a second (proportional set size where the system reports it, so that
shared pages count once).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import av
import psutil

from benchmarks.output import print_result
from pipeline.media import video
from pipeline.params import schema

ROOT = Path(__file__).parent.parent
STAGES = ("keyframes film", "photo_index", "dedup", "crop anime/film", "crop photo/photos", "edge_smooth film", "split")


class Cost(NamedTuple):
    """Time and memory of a stage."""

    seconds: float
    peak_mb: float


def memory_mb(process: psutil.Process) -> float:
    """Measure the memory of a process and its children now."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            memory = one.memory_full_info()
            total += getattr(memory, "pss", memory.uss)
        except psutil.Error:  # it has just ended
            continue
    return total / 1e6


def run_stage(project: Path, name: str) -> Cost:
    """Run one stage as a process and measure it."""
    module, *source = name.split()
    command = [sys.executable, "-m", f"pipeline.{module}", *source]
    start, peak = time.perf_counter(), 0.0
    with (project / "log.txt").open("w") as log:
        process = subprocess.Popen(command, cwd=project, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=log, stderr=log)
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            peak = max(peak, memory_mb(watched))
            time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"{name} failed:\n{(project / 'log.txt').read_text()}")
    return Cost(time.perf_counter() - start, peak)


def cut_film(film: Path, share: float, out: Path) -> Path:
    """Copy the first share of a film's video packets."""
    until_s = (video.probe(film).duration_s or 0) * share
    with av.open(str(film)) as source, av.open(str(out), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.pts is None or packet.time_base is None:
                continue
            if packet.pts * packet.time_base > until_s:
                break
            packet.stream = copy
            target.mux(packet)
    return out


def make_project(folder: Path, film: Path, photos: Path) -> Path:
    """Make a folder to run stages in: the committed parameters with one film."""
    folder.mkdir()
    tree = schema.load(ROOT / "params.yaml").model_dump(mode="json")
    tree |= {"films": {"film": str(film.resolve())}, "footage": {}, "photos": str(photos.resolve())}
    (folder / "params.yaml").write_text(json.dumps(tree))
    return folder


def metrics_path(name: str) -> Path:
    """Return the path of a stage's metrics in its project."""
    return Path("data", name.replace(" ", "/about/"), "metrics.json")


def short(name: str) -> str:
    """Return a stage's name as part of a metric's."""
    return "_".join(name.replace("/", " ").split()[:2]).removesuffix("_film")


def main() -> None:
    """Measure every stage on the first half of the film and on the whole; print the results."""
    shared = Path(os.environ.get("GENGA_SHARED", "../shared"))
    parser = argparse.ArgumentParser(description="seconds and memory of the data side, half a film against the whole")
    parser.add_argument("film", type=Path, nargs="?", default=shared / "films" / "big_buck_bunny_full_486p.mp4", help="a film")
    parser.add_argument("--photos", type=Path, default=shared / "photos" / "endless_sky", help="folder of photographs")
    parser.add_argument("--share", type=float, default=1.0, help="use only this share of the film")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        costs: dict[str, list[Cost]] = {}
        for which, share in (("half", arguments.share / 2), ("whole", arguments.share)):
            film = arguments.film if share == 1 else cut_film(arguments.film, share, Path(place) / f"{which}.mkv")
            info = video.probe(film)
            about = f"{which} film, {info.width_px}x{info.height_px}, {info.duration_s or 0:.0f} s"
            folder = make_project(Path(place) / which, film, arguments.photos)
            costs[which] = [run_stage(folder, name) for name in STAGES]
            for name, cost in zip(STAGES, costs[which], strict=True):
                metrics = json.loads((folder / metrics_path(name)).read_text())
                counts = ", ".join(f"{key} {value:g}" for key, value in metrics.items())
                print_result(f"data_side_{short(name)}_seconds", cost.seconds, "s", notes=f"{about}: {counts}")
                print_result(f"data_side_{short(name)}_peak", cost.peak_mb, "MB", notes=about)
            print_result("data_side_seconds", sum(cost.seconds for cost in costs[which]), "s", notes=about)
        for name, half, whole in zip(STAGES, costs["half"], costs["whole"], strict=True):
            metric, ratio = f"data_side_{short(name)}_memory_flat", half.peak_mb / whole.peak_mb
            print_result(metric, whole.peak_mb, "MB", half.peak_mb, ratio, "1 = no growth from half to whole")


if __name__ == "__main__":
    main()
