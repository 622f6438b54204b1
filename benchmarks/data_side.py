"""Seconds and peak memory of every stage of the data side on one film, whole and its first half; one JSON object a line.

    python -m benchmarks.data_side [FILM] [--photos FOLDER] [--share 1.0]

FILM is by default Big Buck Bunny under $GENGA_SHARED (or ../shared). Each stage runs as a user's would, `python -m
pipeline.STAGE` in a project of its own with the committed params. The half is cut without re-encoding. Memory is
the most that a stage and its processes held at once (proportional set size where the system tells it, so that shared pages
count once), looked at ten times a second.
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

from pipeline.media import video
from pipeline.params import schema

ROOT = Path(__file__).parent.parent
STAGES = ("keyframes film", "photo_index", "dedup", "crop anime/film", "crop photo/photos", "smooth film", "split")


class Cost(NamedTuple):
    """What a stage took."""

    seconds: float
    peak_mb: float


def held_mb(process: psutil.Process) -> float:
    """Memory of a process and its children now."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            memory = one.memory_full_info()
            total += getattr(memory, "pss", memory.uss)
        except psutil.Error:  # it has just ended
            continue
    return total / 1e6


def stage(project: Path, name: str) -> Cost:
    """Run one stage and watch it."""
    module, *source = name.split()
    command = [sys.executable, "-m", f"pipeline.{module}", *source]
    start, peak = time.perf_counter(), 0.0
    with (project / "log.txt").open("w") as log:
        process = subprocess.Popen(command, cwd=project, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=log, stderr=log)
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            peak = max(peak, held_mb(watched))
            time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"{name} failed:\n{(project / 'log.txt').read_text()}")
    return Cost(time.perf_counter() - start, peak)


def beginning(film: Path, share: float, out: Path) -> Path:
    """The first share of a film's pictures, packets copied."""
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


def project(folder: Path, film: Path, photos: Path) -> Path:
    """A folder to run stages in: the committed parameters with one film."""
    folder.mkdir()
    tree = schema.load(ROOT / "params.yaml").model_dump(mode="json")
    tree |= {"films": {"film": str(film.resolve())}, "footage": {}, "photos": str(photos.resolve())}
    (folder / "params.yaml").write_text(json.dumps(tree))
    return folder


def made(folder: Path, name: str) -> str:
    """What a stage says it made."""
    path = folder / "data" / name.replace(" ", "/") / "metrics.json"
    return ", ".join(f"{key} {value:g}" for key, value in json.loads(path.read_text()).items())


def short(name: str) -> str:
    """A stage as metrics call it."""
    return "_".join(name.replace("/", " ").split()[:2]).removesuffix("_film")


def line(metric: str, value: float, unit: str, baseline: float | None, ratio: float | None, notes: str) -> None:
    """Print one measurement."""
    shown = {"metric": metric, "value": value, "unit": unit, "baseline": baseline, "ratio": ratio}
    rounded = {key: round(one, 2) if isinstance(one, float) else one for key, one in shown.items()}
    print(json.dumps({**rounded, "device": f"cpu x{os.cpu_count()}", "notes": notes}), flush=True)


def main() -> None:
    """The half, then the whole; a line a stage of each, and what the whole takes beyond the half."""
    shared = Path(os.environ.get("GENGA_SHARED", "../shared"))
    parser = argparse.ArgumentParser(description="seconds and memory of the data side, half a film against the whole")
    parser.add_argument("film", type=Path, nargs="?", default=shared / "films" / "big_buck_bunny_full_486p.mp4", help="a film")
    parser.add_argument("--photos", type=Path, default=shared / "photos" / "endless_sky", help="folder of photographs")
    parser.add_argument("--share", type=float, default=1.0, help="use only this share of the film")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        costs: dict[str, list[Cost]] = {}
        for which, share in (("half", arguments.share / 2), ("whole", arguments.share)):
            film = arguments.film if share == 1 else beginning(arguments.film, share, Path(place) / f"{which}.mkv")
            info = video.probe(film)
            about = f"{which} film, {info.width_px}x{info.height_px}, {info.duration_s or 0:.0f} s"
            folder = project(Path(place) / which, film, arguments.photos)
            costs[which] = [stage(folder, name) for name in STAGES]
            for name, cost in zip(STAGES, costs[which], strict=True):
                line(f"data_side_{short(name)}_seconds", cost.seconds, "s", None, None, f"{about}: {made(folder, name)}")
                line(f"data_side_{short(name)}_peak", cost.peak_mb, "MB", None, None, about)
            line("data_side_seconds", sum(cost.seconds for cost in costs[which]), "s", None, None, about)
        for name, half, whole in zip(STAGES, costs["half"], costs["whole"], strict=True):
            ratio = half.peak_mb / whole.peak_mb
            line(
                f"data_side_{short(name)}_memory_flat",
                whole.peak_mb,
                "MB",
                half.peak_mb,
                ratio,
                "1 = no growth from half to whole",
            )


if __name__ == "__main__":
    main()
