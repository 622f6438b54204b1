"""The index gives the same results as comparing all pairs, for any hashes and any number of segments."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.dedup import all_pairs, synthetic_hashes
from pipeline.frames import hash_index, perceptual_hashes
from pipeline.frames.hash_index import Index, NamedIndex
from pipeline.frames.perceptual_hashes import Hashes
from tests.conftest import ROOT


@st.composite
def lookalikes(draw: st.DrawFn) -> Hashes:
    """Families of hashes, in many of which a hash is nearly empty, as those of skies are; 2 x n."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count, families = draw(st.integers(0, 150)), draw(st.integers(1, 40))
    heads = rng.integers(0, 2**64, (2, families), dtype=np.uint64)
    for _ in range(draw(st.integers(0, 3))):
        heads[draw(st.integers(0, 1))] &= rng.integers(0, 2**64, families, dtype=np.uint64)
    hashes = heads[:, rng.integers(0, families, count)]
    for _ in range(draw(st.integers(0, 12))):
        hashes ^= (np.uint64(1) << rng.integers(0, 64, (2, count), dtype=np.uint64)) * (rng.random((2, count)) < 0.7)
    return hashes


@settings(max_examples=100, deadline=None)
@given(lookalikes(), st.integers(0, 32), st.integers(0, 150), st.integers(1, 60), st.integers(1, 300), st.sampled_from([0, 20]))
def test_deduplication_equals_comparing_all_pairs(
    hashes: Hashes, distance: int, cut: int, batch: int, cells: int, scanned: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        # Sizes that decide how the work is cut up, so small that a few pictures go every way there is.
        patch.setattr(hash_index, "_BATCH", batch)
        patch.setattr(hash_index, "_PAIRS_PER_STEP", cells)
        patch.setattr(hash_index, "_MIN_INDEXED", scanned)
        index = Index(distance)
        found = np.concatenate([index.deduplicate(hashes[:, :cut]), index.deduplicate(hashes[:, cut:])])
        assert found.tolist() == all_pairs(hashes, distance).tolist()
        assert index.size == (found < 0).sum()


@settings(max_examples=50, deadline=None)
@given(lookalikes(), lookalikes(), st.integers(0, 16), st.integers(1, 50))
def test_search_finds_every_pair_once_nearest_first(kept: Hashes, asked: Hashes, distance: int, step: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hash_index, "_MIN_INDEXED", 4)
        index = Index(distance)
        for low in range(0, kept.shape[1], step):
            index.add(kept[:, low : low + step])
        asked = np.concatenate([asked, kept[:, :20]], axis=1)
        pairs = index.search(asked)
    bits = np.bitwise_count(asked[:, :, None] ^ kept[:, None]).astype(int)
    expected = [
        (int(one), int(bits[:, one, other].sum()), int(other)) for one, other in np.argwhere((bits <= distance).all(axis=0))
    ]
    assert list(zip(pairs.query.tolist(), pairs.distance.tolist(), pairs.kept.tolist(), strict=True)) == sorted(expected)
    nearest = {one: other for one, _, other in sorted(expected, reverse=True)}
    assert pairs.nearest(asked.shape[1]).tolist() == [nearest.get(one, -1) for one in range(asked.shape[1])]


@pytest.mark.parametrize("distance", [0, 6, 10])
def test_deduplication_of_thousands_equals_comparing_all_pairs(distance: int) -> None:
    hashes = synthetic_hashes(9000, np.random.default_rng(3))
    expected = all_pairs(hashes, distance)
    assert 0.1 < (expected < 0).mean() < 0.99
    assert np.array_equal(Index(distance).deduplicate(hashes), expected)


def test_pieces_cover_every_bit_once() -> None:
    for count in range(1, hash_index._MAX_DISTANCE + 2):
        masks = hash_index._masks(count)
        assert sum(int(mask) for mask in masks) == 2**64 - 1
        assert {int(mask).bit_count() for mask in masks} <= {64 // count, -(-64 // count)}


def test_a_named_index_returns_ids() -> None:
    index = NamedIndex(1)
    assert index.deduplicate([], perceptual_hashes.stack([])) == []
    assert index.deduplicate(["a", "b", "c"], perceptual_hashes.stack([(0, 0), (1, 1), (2**64 - 1, 0)])) == [None, "a", None]
    assert index.deduplicate(["d", "e"], perceptual_hashes.stack([(2**64 - 2, 1), (0, 3)])) == ["c", None], (
        "both hashes must agree"
    )


def test_the_benchmark_prints_json_lines() -> None:
    command = [sys.executable, "-m", "benchmarks.dedup", "--size", "3000", "--pairs-size", "1500"]
    lines = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    found = [json.loads(line) for line in lines]
    assert [one["metric"] for one in found] == ["dedup_vs_all_pairs", "dedup_seconds", "dedup_peak_memory"]
    assert all(one["value"] > 0 and one["ratio"] > 0 for one in found)
