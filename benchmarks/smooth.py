"""Time edge smoothing of crops on one core against the published per-pixel loop and against plain OpenCV.

    python -m benchmarks.smooth [CROPS] [--count 200] [--loop 10]

CROPS is a folder of crops, such as data/crop/pictures/anime; without one, crops are cut out of the sample film. Prints one JSON
object a line.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from benchmarks.output import print_result
from pipeline import sample
from pipeline.edge_smooth import edge_mask, smooth_edges
from pipeline.media import arrays, images
from pipeline.media.images import Picture
from pipeline.params.data import EdgeSmoothParams
from pipeline.params.schema import load

SIDE_PX = 256
ROUNDS = 7


def smooth_by_loop(picture: Picture, params: EdgeSmoothParams) -> Picture:
    """Smooth as published codes do: at each pixel of the dilated edges a Gaussian by NumPy, per channel, truncated."""
    size = params.blur_px
    kernel = cv2.getGaussianKernel(size, 0)
    gauss = kernel @ kernel.T
    half = size // 2
    padded = np.pad(picture, ((half, half), (half, half), (0, 0)), mode="reflect")
    result = picture.copy()
    rows, columns = np.nonzero(edge_mask(picture, params))
    for y, x in zip(rows, columns, strict=True):
        for channel in range(3):
            result[y, x, channel] = np.sum(np.multiply(padded[y : y + size, x : x + size, channel], gauss))
    return result


def smooth_by_opencv(picture: Picture, params: EdgeSmoothParams) -> Picture:
    """Smooth by OpenCV's Gaussian and a mask, which rounds where the loop truncates."""
    blurred = cv2.GaussianBlur(picture, (params.blur_px, params.blur_px), 0, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(cv2.copyTo(blurred, edge_mask(picture, params), picture.copy()), np.uint8)


def crops(folder: Path | None, count: int) -> list[Picture]:
    """Return `count` crops spread evenly over a folder, or cut out of the sample film's shots."""
    if folder is not None:
        return [images.read(file) for file in _spread(images.find(folder), count)]
    return list(_sample_crops(count))


def _spread(items: Sequence[Path], count: int) -> list[Path]:
    count = min(count, len(items))
    return [items[index * len(items) // count] for index in range(count)]


def _sample_crops(count: int) -> Iterator[Picture]:
    shots = [np.ascontiguousarray(frame) for _, frame in sample.middle_frames(sample.film_of(1280, 24, 1))]
    rng = np.random.default_rng(0)
    for index in range(count):
        shot = shots[index % len(shots)]
        side = int(rng.uniform(0.4, 0.9) * shot.shape[0])
        y, x = int(rng.integers(shot.shape[0] - side)), int(rng.integers(shot.shape[1] - side))
        yield arrays.resize(shot[y : y + side, x : x + side], SIDE_PX, SIDE_PX)


def seconds_each(work: Callable[[Picture], object], pictures: Sequence[Picture], rounds: int) -> float:
    """Return processor seconds per picture of the best of some rounds, as other work on the machine only ever adds."""
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        for picture in pictures:
            work(picture)
        best = min(best, time.process_time() - began)
    return best / len(pictures)


def main() -> None:
    """Print the two lines; end with an error when the pipeline's result differs from the loop's by a byte."""
    parser = argparse.ArgumentParser(description="edge smoothing on one core")
    parser.add_argument("crops", type=Path, nargs="?", help="folder of crops; by default the sample film's")
    parser.add_argument("--count", type=int, default=200, help="crops for the pipeline and OpenCV")
    parser.add_argument("--loop", type=int, default=10, help="of these, crops for the loop (spread evenly)")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    params = load().edge_smooth.model_copy(update={"variant": "blend"})
    pictures = crops(arguments.crops, arguments.count)
    few = [pictures[index * len(pictures) // arguments.loop] for index in range(min(arguments.loop, len(pictures)))]

    differing = sum(not np.array_equal(smooth_edges(one, params), smooth_by_loop(one, params)) for one in few)
    if differing:
        raise SystemExit(f"the pipeline's result differs from the loop's on {differing} of {len(few)} crops")
    edge_share, edge_share_few = (np.mean([edge_mask(one, params).mean() / 255 for one in some]) for some in (pictures, few))
    differences = [np.abs(smooth_edges(one, params).astype(int) - smooth_by_opencv(one, params)) for one in pictures]
    changed = np.mean([(one > 0).any(axis=2).mean() for one in differences])

    pipeline = seconds_each(lambda one: smooth_edges(one, params), pictures, ROUNDS)
    # The loop's time is proportional to the number of edge pixels.
    loop = seconds_each(lambda one: smooth_by_loop(one, params), few, 3) * float(edge_share / edge_share_few)
    opencv = seconds_each(lambda one: smooth_by_opencv(one, params), pictures, ROUNDS)
    lines = (
        (
            "smooth_vs_loop",
            loop,
            f"byte-identical on {len(few)} of {len(few)} crops; {100 * edge_share:.0f} % of pixels at edges; "
            f"the loop was timed on {len(few)} crops and scaled by edge pixels to all",
        ),
        (
            "smooth_vs_opencv",
            opencv,
            f"GaussianBlur and mask is not identical: {100 * changed:.1f} % of pixels differ, "
            f"by {max(one.max() for one in differences)} level at most",
        ),
    )
    for metric, baseline, notes in lines:
        unit, about = f"ms a crop of {len(pictures[0])} px", f"{len(pictures)} crops, {notes}"
        print_result(metric, 1e3 * pipeline, unit, 1e3 * baseline, baseline / pipeline, about, "1 core")


if __name__ == "__main__":
    main()
