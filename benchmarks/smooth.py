"""Edge smoothing of crops on one core: ours against the per-pixel loop and against plain OpenCV; one JSON object a line.

    python -m benchmarks.smooth [SQUARES] [--count 200] [--loop 10]

SQUARES is a folder of crops, such as data/crop/pictures/anime; without one, crops are cut out of the sample film.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from pipeline import sample
from pipeline.edge_smooth import edge_mask, smooth_edges
from pipeline.media import arrays, images
from pipeline.media.images import Picture
from pipeline.params.data import EdgeSmoothParams
from pipeline.params.schema import load

SIDE = 256
ROUNDS = 7


def loop(picture: Picture, params: EdgeSmoothParams) -> Picture:
    """The way of the published codes: at each pixel of the dilated edges a Gaussian by NumPy, channel by channel, truncated."""
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


def plain(picture: Picture, params: EdgeSmoothParams) -> Picture:
    """What OpenCV gives with no care for the last level: it rounds where the loop truncates."""
    blurred = cv2.GaussianBlur(picture, (params.blur_px, params.blur_px), 0, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(cv2.copyTo(blurred, edge_mask(picture, params), picture.copy()), np.uint8)


def crops(folder: Path | None, count: int) -> list[Picture]:
    """`count` crops spread evenly over a folder, or cut out of the sample film's shots."""
    if folder is not None:
        files = images.find(folder)
        count = min(count, len(files))
        return [images.read(files[index * len(files) // count]) for index in range(count)]
    return list(_drawn(count))


def _drawn(count: int) -> Iterator[Picture]:
    shots = [np.ascontiguousarray(picture) for _, picture in sample.middles(sample.film_of(1280, 24, 1))]
    rng = np.random.default_rng(0)
    for index in range(count):
        shot = shots[index % len(shots)]
        side = int(rng.uniform(0.4, 0.9) * shot.shape[0])
        y, x = int(rng.integers(shot.shape[0] - side)), int(rng.integers(shot.shape[1] - side))
        yield arrays.resize(shot[y : y + side, x : x + side], SIDE, SIDE)


def seconds_each(work: Callable[[Picture], object], pictures: Sequence[Picture], rounds: int) -> float:
    """Processor seconds a picture, of the best of some rounds: other work on the machine only ever adds."""
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        for picture in pictures:
            work(picture)
        best = min(best, time.process_time() - began)
    return best / len(pictures)


def main() -> None:
    """Print the two lines; end with an error when ours differs from the loop by a byte."""
    parser = argparse.ArgumentParser(description="edge smoothing on one core")
    parser.add_argument("crops", type=Path, nargs="?", help="folder of crops; by default the sample film's")
    parser.add_argument("--count", type=int, default=200, help="crops for ours and OpenCV")
    parser.add_argument("--loop", type=int, default=10, help="of these, crops for the loop (the first ones, spread evenly)")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    params = load().edge_smooth.model_copy(update={"variant": "blend"})
    pictures = crops(arguments.crops, arguments.count)
    few = [pictures[index * len(pictures) // arguments.loop] for index in range(min(arguments.loop, len(pictures)))]

    differing = [index for index, one in enumerate(few) if not np.array_equal(smooth_edges(one, params), loop(one, params))]
    if differing:
        raise SystemExit(f"ours differs from the loop on {len(differing)} of {len(few)} crops")
    share = np.mean([edge_mask(one, params).mean() / 255 for one in pictures])
    share_few = np.mean([edge_mask(one, params).mean() / 255 for one in few])
    apart = [np.abs(smooth_edges(one, params).astype(int) - plain(one, params)) for one in pictures]
    changed = np.mean([(one > 0).any(axis=2).mean() for one in apart])

    ours = seconds_each(lambda one: smooth_edges(one, params), pictures, ROUNDS)
    slow = seconds_each(lambda one: loop(one, params), few, 3) * float(share / share_few)  # its cost is that of the edge pixels
    opencv = seconds_each(lambda one: plain(one, params), pictures, ROUNDS)
    side = len(pictures[0])
    lines = (
        (
            "smooth_vs_loop",
            slow,
            f"byte-identical on {len(few)} of {len(few)} crops; {100 * share:.0f} % of pixels at edges; "
            f"the loop was timed on {len(few)} crops and scaled by edge pixels to all",
        ),
        (
            "smooth_vs_opencv",
            opencv,
            f"GaussianBlur and mask is not identical: {100 * changed:.1f} % of pixels differ, "
            f"by {max(one.max() for one in apart)} level at most",
        ),
    )
    for metric, baseline, notes in lines:
        line = {
            "metric": metric,
            "value": float(f"{1e3 * ours:.4g}"),
            "unit": f"ms a crop of {side} px",
            "baseline": float(f"{1e3 * baseline:.4g}"),
            "ratio": float(f"{baseline / ours:.4g}"),
            "device": "1 core",
            "notes": f"{len(pictures)} crops, {notes}",
        }
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
