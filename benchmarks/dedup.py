"""Near-duplicate search: the index against comparing all pairs at one size, then the index at full size; JSON lines.

    python -m benchmarks.dedup [--size 1000000] [--pairs-size 20000] [--distance 6]

The hashes are of synthetic pictures (random low frequencies that fall off as in photographs): half of them unique, a third in
families like the frames of a shot, the rest as similar as skies and nights are.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time

import numpy as np
from numpy.typing import NDArray

from benchmarks.output import print_result
from pipeline.frames.hash_index import Index
from pipeline.frames.perceptual_hashes import Hashes

BUDGET_S, BUDGET_GB = 60.0, 4.0
CHUNK = 50_000


def _cosines(points: int) -> NDArray[np.float64]:
    """Sample the eight lowest cosines at some points of a side, points x 8."""
    return np.cos(np.pi * (np.arange(points)[:, None] + 0.5) * np.arange(8) / points)


def synthetic_hashes(count: int, rng: np.random.Generator) -> Hashes:
    """Compute pHash and dHash of synthetic pictures, 2 x count."""
    across, down = np.meshgrid(np.arange(8), np.arange(8))
    fall = 1 / np.maximum(np.hypot(across, down), 1)
    low = rng.normal(0, 25, (count, 8, 8)) * fall
    kind = rng.random(count)
    sky = kind < 0.15
    # Skies: a vertical gradient, all else is faint. Nights: all is faint, and much is lost in 8 bits.
    low[sky, :, 1:] *= rng.uniform(0.01, 0.1, (int(sky.sum()), 1, 1))
    low[sky, 1, 0] = rng.uniform(30, 60, int(sky.sum()))
    low[(kind >= 0.15) & (kind < 0.2)] *= 0.04
    # Families of about 30 neighbors, most of which differ only by grain and small motion.
    family = np.flatnonzero(kind >= 0.67)
    head = family // 90 * 90
    low[family] = low[head] + rng.normal(0, 25, (len(family), 8, 8)) * fall * rng.uniform(0.005, 0.08, (len(family), 1, 1))
    low[:, 0, 0] = 110
    small = np.clip(_cosines(8) @ low @ _cosines(9).T, 0, 255).astype(np.uint8)
    flags = np.stack(
        [
            (low > np.median(low, axis=(1, 2), keepdims=True)).reshape(count, 64),
            (small[:, :, 1:] > small[:, :, :-1]).reshape(count, 64),
        ]
    )
    return np.ascontiguousarray(np.packbits(flags, axis=2).view(">u8")[..., 0].astype(np.uint64))


def all_pairs(hashes: Hashes, distance: int) -> NDArray[np.int64]:
    """Compute what `Index.deduplicate` does by comparing each picture with every one kept before it."""
    kept = np.zeros_like(hashes)
    originals = np.full(hashes.shape[1], -1, np.int64)
    size = 0
    for index in range(hashes.shape[1]):
        bits = np.bitwise_count(kept[:, :size] ^ hashes[:, index : index + 1])
        alike = np.flatnonzero((bits <= distance).all(axis=0))
        if len(alike):
            originals[index] = alike[bits[:, alike].sum(axis=0).argmin()]
        else:
            kept[:, size] = hashes[:, index]
            size += 1
    return originals


def main() -> None:
    """Measure against all pairs, then at full size; print the results and whether they are within budget."""
    parser = argparse.ArgumentParser(
        description="near-duplicate search: all pairs against the index, then the index at full size"
    )
    parser.add_argument("--size", type=int, default=1_000_000, help="pictures at full size")
    parser.add_argument("--pairs-size", type=int, default=20_000, help="pictures for the comparison with all pairs")
    parser.add_argument("--distance", type=int, default=6, help="bits by which each hash may differ")
    arguments = parser.parse_args()

    rng = np.random.default_rng(1)
    sizes = [min(CHUNK, arguments.size - low) for low in range(0, arguments.size, CHUNK)]
    hashes = np.concatenate([synthetic_hashes(size, rng) for size in sizes], axis=1)

    few = hashes[:, : arguments.pairs_size]
    start = time.perf_counter()
    expected = all_pairs(few, arguments.distance)
    slow_s = time.perf_counter() - start
    start = time.perf_counter()
    found = Index(arguments.distance).deduplicate(few)
    fast_s = time.perf_counter() - start
    if not np.array_equal(found, expected):
        sys.exit(f"the index differs from all pairs for {int((found != expected).sum())} of {few.shape[1]} pictures")
    share = f"{float((expected < 0).mean()):.0%} kept"
    print_result("dedup_vs_all_pairs", fast_s, "s", slow_s, slow_s / fast_s, f"{few.shape[1]} pictures, {share}, equal answers")

    start, before_cpu = time.perf_counter(), time.process_time()
    found = Index(arguments.distance).deduplicate(hashes)
    seconds, cpu_s = time.perf_counter() - start, time.process_time() - before_cpu
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e9 if sys.platform == "darwin" else 1e6)
    notes = f"{len(found)} pictures, {float((found < 0).mean()):.0%} kept, distance {arguments.distance}, CPU {cpu_s:.3g} s"
    print_result("dedup_seconds", seconds, "s", BUDGET_S, BUDGET_S / seconds, notes)
    print_result("dedup_peak_memory", peak_gb, "GB", BUDGET_GB, BUDGET_GB / peak_gb, "the whole process")
    if arguments.size >= 1_000_000:
        within = seconds < BUDGET_S and peak_gb < BUDGET_GB
        print_result(
            "dedup_1m_within_budget", float(within), "1 if so", 1.0, float(within), f"under {BUDGET_S:g} s and {BUDGET_GB:g} GB"
        )


if __name__ == "__main__":
    main()
