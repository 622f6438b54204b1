"""Speed of extracting key frames against PySceneDetect's own way and against decoding alone; one JSON object a line.

    python -m benchmarks.keyframes [--seconds 300] [--width 1920] [--format png|jpg] [--film FILE]

Renders a film (H.264, 24 frames a second, hard cuts, moving objects, grain) and extracts three frames of each shot:
- plain: PySceneDetect's detect() with the same detector, then its own save_images, which decodes the film again;
- genga: pipeline.keyframes.extract, which also detects bars, scores frames and writes rows;
- decode: every frame through pipeline.media.video, unused.
Each runs in its own process. Ratios are of wall time; CPU seconds are in the notes. PySceneDetect writes what --format says, as
genga does (PNG at its quickest level).
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from benchmarks.output import print_result
from pipeline import keyframes
from pipeline.frames.cut_detectors import make_detector
from pipeline.media import encoding, video
from pipeline.media.images import Picture
from pipeline.params import schema

FPS = 24
DEFAULTS = Path(__file__).parent.parent / "params.yaml"


class Cost(NamedTuple):
    """Time that some work took."""

    wall_s: float
    cpu_s: float
    pictures: int  # written, or decoded


def drawn(seconds: float, width: int, seed: int = 1) -> Iterator[Picture]:
    """Draw panning backgrounds, outlined figures that move on twos, and grain, with a hard cut every one to eight seconds."""
    rng = np.random.default_rng(seed)
    height = width * 9 // 32 * 2
    grain = rng.normal(0, 2.5, (height + 64, width + 64)).astype(np.int16)
    left = round(seconds * FPS)
    while left > 0:
        length = min(left, int(rng.uniform(1, 8) * FPS))
        left -= length
        coarse = rng.integers(30, 230, (9, 20, 3)).astype(np.uint8)
        ground = cv2.resize(coarse, (width + 200, height), interpolation=cv2.INTER_CUBIC)
        for _ in range(60):
            x, y = (int(value) for value in rng.integers(0, (width + 200, height)))
            color = [int(value) for value in rng.integers(20, 240, 3)]
            cv2.ellipse(ground, (x, y), (width // 25, height // 50), int(rng.integers(180)), 0, 360, color, -1)
        figures = [(rng.uniform(0.1, 0.9, 2), rng.uniform(-0.1, 0.1, 2), rng.integers(20, 250, 3)) for _ in range(5)]
        pan = rng.choice([0, 0, 1, 2])
        for step in range(length):
            picture = ground[:, min(200, pan * step) :][:, :width].copy()
            for place, speed, inside in figures:
                x, y = (place + speed * (step // 2 * 2) / FPS) * (width, height)
                center, axes, paint = (int(x), int(y)), (width // 14, height // 5), [int(value) for value in inside]
                cv2.ellipse(picture, center, axes, 0, 0, 360, paint, -1)
                cv2.ellipse(picture, center, axes, 0, 0, 360, (25, 15, 20), max(2, width // 400))
            top, side = rng.integers(0, 64, 2)
            noise = grain[top : top + height, side : side + width]
            yield np.asarray(cv2.add(picture, cv2.merge([noise] * 3), dtype=cv2.CV_8U), np.uint8)


def plain(film: Path, out: Path, form: str) -> int:
    """Run PySceneDetect's detection and then its save_images, which decodes the film again; return the pictures written."""
    from scenedetect import detect, open_video, save_images

    committed = schema.load(DEFAULTS).keyframes
    cutter = make_detector(committed.detector, committed.threshold, committed.min_shot_s)
    scenes = detect(str(film), cutter, start_in_scene=True)
    options = {"encoder_param": 1 if form == "png" else 95, "image_extension": form}
    saved = save_images(scenes, open_video(str(film)), num_images=3, output_dir=str(out), **options)
    return sum(len(names) for names in saved.values())


def genga(film: Path, out: Path, form: str) -> int:
    """Run the stage's work on one film; return the pictures written."""
    committed = schema.load(DEFAULTS).keyframes
    wanted = committed.model_copy(update={"per_shot": 3, "format": form})
    episode = keyframes.Episode("film", "anime", film, "", out, out)
    return len(keyframes.extract(episode, wanted, quiet=True).report.rows)


def decode(film: Path, out: Path, form: str) -> int:
    """Decode all frames without converting any; return their number."""
    return sum(1 for _ in video.frames(film, lambda missing: None))


def _measure(work: Callable[[Path, Path, str], int], film: Path, form: str, answer: multiprocessing.SimpleQueue[Cost]) -> None:
    with tempfile.TemporaryDirectory() as out:
        before = resource.getrusage(resource.RUSAGE_SELF)
        start = time.perf_counter()
        count = work(film, Path(out), form)
        wall_s = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_SELF)
        answer.put(Cost(wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, count))


def measure(work: Callable[[Path, Path, str], int], film: Path, form: str) -> Cost:
    """Measure some work in a process of its own."""
    context = multiprocessing.get_context("spawn")
    answer = context.SimpleQueue()
    process = context.Process(target=_measure, args=(work, film, form, answer))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{work.__name__} failed on {film}")
    cost: Cost = answer.get()
    return cost


def main() -> None:
    """Render a film, measure, print the results."""
    parser = argparse.ArgumentParser(description="key frames against PySceneDetect's own way and against decoding alone")
    parser.add_argument("--seconds", type=float, default=300, help="length of the film rendered")
    parser.add_argument("--width", type=int, default=1920, help="width of the film rendered, pixels; a multiple of 32")
    parser.add_argument("--format", choices=["png", "jpg"], default="png", help="how frames are written, by both")
    parser.add_argument("--film", type=Path, help="measure on this film instead")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        film = arguments.film
        if film is None:
            film = Path(folder) / "film.mp4"
            encoding.write_film(film, drawn(arguments.seconds, arguments.width), fps=FPS, crf=18)
        info = video.probe(film)
        size = film.stat().st_size * 8e-6 / (info.duration_s or 1)
        costs = {work.__name__: measure(work, film, arguments.format) for work in (decode, plain, genga)}
    notes = {
        name: f"{cost.cpu_s:.1f} CPU s, {cost.pictures} {'frames' if name == 'decode' else 'pictures'}"
        for name, cost in costs.items()
    }
    about = f"{info.width_px}x{info.height_px} {info.codec} {size:.1f} Mb/s, {info.duration_s or 0:.0f} s, {arguments.format}"
    for name, cost in costs.items():
        print_result(f"keyframes_{name}_seconds", cost.wall_s, "s", notes=f"{about}: {notes[name]}")
    own_s, own_cpu_s = costs["genga"].wall_s, costs["genga"].cpu_s
    for metric, baseline in (("keyframes_vs_two_pass", costs["plain"]), ("keyframes_vs_decode", costs["decode"])):
        note = f"{about}: in CPU time {baseline.cpu_s / own_cpu_s:.2f}"
        print_result(metric, own_s, "s", baseline.wall_s, baseline.wall_s / own_s, note)


if __name__ == "__main__":
    main()
