"""Near-duplicates among many pictures: all pairs against the index at one size, then the index at full size. JSON lines.

    python -m benchmarks.dedup [--size 1000000] [--pairs-size 20000] [--distance 6]

The hashes are those of made-up pictures (random low frequencies that fall off as in photographs): half of them one of a kind, a
third in families as frames of a shot are, the rest crowded as skies and nights are. Each is judged against those kept before.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import sys
import time

import numpy as np
from numpy.typing import NDArray

from pipeline.frames.hash_index import Index
from pipeline.frames.perceptual_hashes import Hashes

BUDGET_S, BUDGET_GB = 60.0, 4.0
CHUNK = 50_000


def _cosines(points: int) -> NDArray[np.float64]:
    """The eight lowest frequencies at so many points of a side, points x 8."""
    return np.cos(np.pi * (np.arange(points)[:, None] + 0.5) * np.arange(8) / points)


def made_up(count: int, rng: np.random.Generator) -> Hashes:
    """pHash and dHash of made-up pictures, 2 x count."""
    across, down = np.meshgrid(np.arange(8), np.arange(8))
    fall = 1 / np.maximum(np.hypot(across, down), 1)
    low = rng.normal(0, 25, (count, 8, 8)) * fall
    kind = rng.random(count)
    sky = kind < 0.15
    # Skies: brightness runs from top to bottom, all else is faint. Nights: all is faint, and 8 bits swallow much of it.
    low[sky, :, 1:] *= rng.uniform(0.01, 0.1, (int(sky.sum()), 1, 1))
    low[sky, 1, 0] = rng.uniform(30, 60, int(sky.sum()))
    low[(kind >= 0.15) & (kind < 0.2)] *= 0.04
    # Families of about 30 near here, most frames of which are the same but for grain and small motion.
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
    """What `Index.deduplicate` answers, by comparing each picture with every one kept before it."""
    kept = np.zeros_like(hashes)
    rivals = np.full(hashes.shape[1], -1, np.int64)
    size = 0
    for index in range(hashes.shape[1]):
        bits = np.bitwise_count(kept[:, :size] ^ hashes[:, index : index + 1])
        alike = np.flatnonzero((bits <= distance).all(axis=0))
        if len(alike):
            rivals[index] = alike[bits[:, alike].sum(axis=0).argmin()]
        else:
            kept[:, size] = hashes[:, index]
            size += 1
    return rivals


def tell(metric: str, value: float, unit: str, baseline: float | None, ratio: float | None, notes: str) -> None:
    """Print a figure as the benchmarks do."""
    line = {
        "metric": metric,
        "value": float(f"{value:.4g}"),
        "unit": unit,
        "baseline": baseline and float(f"{baseline:.4g}"),
        "ratio": ratio and float(f"{ratio:.4g}"),
        "device": f"cpu, {platform.machine()}",
        "notes": notes,
    }
    print(json.dumps(line), flush=True)


def main() -> None:
    """Print three lines: against all pairs, at full size, and whether that keeps to the budget."""
    parser = argparse.ArgumentParser(
        description="near-duplicate search: all pairs against the index, then the index at full size"
    )
    parser.add_argument("--size", type=int, default=1_000_000, help="pictures at full size")
    parser.add_argument("--pairs-size", type=int, default=20_000, help="pictures that all pairs are compared of")
    parser.add_argument("--distance", type=int, default=6, help="bits that may differ in each hash")
    arguments = parser.parse_args()

    rng = np.random.default_rng(1)
    sizes = [min(CHUNK, arguments.size - low) for low in range(0, arguments.size, CHUNK)]
    hashes = np.concatenate([made_up(size, rng) for size in sizes], axis=1)

    few = hashes[:, : arguments.pairs_size]
    start = time.perf_counter()
    expected = all_pairs(few, arguments.distance)
    slow_s = time.perf_counter() - start
    start = time.perf_counter()
    found = Index(arguments.distance).deduplicate(few)
    fast_s = time.perf_counter() - start
    if not np.array_equal(found, expected):
        sys.exit(f"the index answers {int((found != expected).sum())} of {few.shape[1]} pictures otherwise than all pairs do")
    share = f"{float((expected < 0).mean()):.0%} kept"
    tell("dedup_vs_all_pairs", fast_s, "s", slow_s, slow_s / fast_s, f"{few.shape[1]} pictures, {share}, equal answers")

    start, before_cpu = time.perf_counter(), time.process_time()
    found = Index(arguments.distance).deduplicate(hashes)
    seconds, cpu_s = time.perf_counter() - start, time.process_time() - before_cpu
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e9 if sys.platform == "darwin" else 1e6)
    notes = f"{len(found)} pictures, {float((found < 0).mean()):.0%} kept, distance {arguments.distance}, CPU {cpu_s:.3g} s"
    tell("dedup_seconds", seconds, "s", BUDGET_S, BUDGET_S / seconds, notes)
    tell("dedup_peak_memory", peak_gb, "GB", BUDGET_GB, BUDGET_GB / peak_gb, "the whole process")
    if arguments.size >= 1_000_000:
        within = seconds < BUDGET_S and peak_gb < BUDGET_GB
        tell(
            "dedup_1m_within_budget", float(within), "1 if so", 1.0, float(within), f"under {BUDGET_S:g} s and {BUDGET_GB:g} GB"
        )


if __name__ == "__main__":
    main()
