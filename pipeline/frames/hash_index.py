"""An index of perceptual hashes that finds near-duplicates exactly without comparing all pairs.

Two pictures are near-duplicates if both of their hashes (pHash and dHash, 64 bits each) differ in at most `max_distance` bits.
Hashes that differ in d bits agree in at least one of any d + 1 pieces (multi-index hashing: Norouzi, Punjani and Fleet, CVPR
2012). As both hashes have to agree, there is a table for each piece of one with each piece of the other: at distance 6 these
are 49 tables of about 18 bits, which name a handful of candidates among a million. Pieces of one hash alone would name
thousands, and more in films full of skies and nights, whose hashes crowd. Every candidate is then compared by both hashes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.frames.perceptual_hashes import Hashes

Ints = NDArray[np.int64]

_BITS = 64
_BATCH = 4096  # pictures deduplicated at once; if all of them were one picture, their pairs would take 1 GB
_PAIRS_PER_STEP = 1 << 17  # pairs compared at once: they fit the processor's cache
_MIN_INDEXED = 512  # so few hashes are compared faster than looked up
_MAX_DISTANCE = 10  # beyond it pieces are so short that nearly all hashes are candidates
_SCAN_SHARE = 2  # a query with more candidates than one in this many hashes is compared with all of them instead
# Odd multipliers: every bit of a piece reaches the top bits of the key.
_MULTIPLIERS = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F))


@dataclass(frozen=True)
class Matches:
    """Pairs of a query and an indexed picture that are near-duplicates, in order of query, then distance, then index."""

    query: Ints  # position among the queries
    kept: Ints  # position in the index
    distance: Ints  # bits that differ in both hashes together

    def select(self, mask: NDArray[np.bool_]) -> Matches:
        """Return the pairs where `mask` is true."""
        return Matches(self.query[mask], self.kept[mask], self.distance[mask])

    def nearest(self, count: int) -> Ints:
        """Return for each of `count` queries the position of the nearest indexed picture (of equals the first), or -1."""
        query, first = np.unique(self.query, return_index=True)
        nearest = np.full(count, -1, np.int64)
        nearest[query] = self.kept[first]
        return nearest


def _pack(query: Ints, kept: Ints, distance: Ints) -> Ints:
    """Pack each pair into one number, whose order is that of `Matches`."""
    return query << 39 | distance << 32 | kept


def _unpack(parts: Sequence[Ints]) -> Matches:
    """Unpack the pairs of all parts, without repetitions."""
    packed = np.sort(np.concatenate([np.zeros(0, np.int64), *parts]))
    packed = packed[np.diff(packed, prepend=-1) != 0]
    return Matches(packed >> 39, packed & 0xFFFFFFFF, packed >> 32 & 0x7F)


class _Segment:
    """An immutable part of an index: hashes and the tables to look them up by."""

    def __init__(self, hashes: Hashes, start: int, max_distance: int) -> None:
        """`start` is the position of the first hash in the whole index."""
        self.hashes, self.start, self.max_distance = hashes, start, max_distance
        self.size = hashes.shape[1]
        self._pieces: list[tuple[np.uint64, np.uint64]] = []
        if self.size > _MIN_INDEXED and max_distance <= _MAX_DISTANCE:
            self._build_tables()

    def _build_tables(self) -> None:
        masks = _masks(self.max_distance + 1)
        self._pieces = [(one, other) for one in masks for other in masks]
        self._key_bits = min(self.size.bit_length(), 20)
        slots = (1 << self._key_bits) + 1
        self._members = np.empty(len(self._pieces) * self.size, np.uint32)  # by table, ordered by key
        self._slot_starts = np.empty((len(self._pieces), slots), np.uint32)
        positions = np.arange(self.size, dtype=np.uint64)
        for table, piece in enumerate(self._pieces):
            # Sorting numbers that hold key and position is several times faster than argsort of the keys.
            ordered = np.sort(self._keys(piece, self.hashes) << np.uint64(32) | positions)
            start = table * self.size
            self._members[start : start + self.size] = ordered & np.uint64(0xFFFFFFFF)
            counts = np.bincount((ordered >> np.uint64(32)).astype(np.int64), minlength=slots)
            self._slot_starts[table, 0] = start
            self._slot_starts[table, 1:] = start + np.cumsum(counts[:-1])

    def _keys(self, piece: tuple[np.uint64, np.uint64], hashes: Hashes) -> Hashes:
        mixed = (hashes[0] & piece[0]) * _MULTIPLIERS[0] + (hashes[1] & piece[1]) * _MULTIPLIERS[1]
        keys: Hashes = mixed >> np.uint64(_BITS - self._key_bits)
        return keys

    def search(self, queries: Hashes) -> Iterator[Ints]:
        """Yield packed pairs of queries and near-duplicates; a pair may come more than once."""
        count = queries.shape[1]
        if count == 0 or self.size == 0:
            return
        if not self._pieces:
            yield from self._scan(queries, np.arange(count))
            return
        starts = np.empty((len(self._pieces), count), np.int64)
        counts = np.empty((len(self._pieces), count), np.int64)
        for table, piece in enumerate(self._pieces):
            keys = self._keys(piece, queries).astype(np.int64)
            starts[table] = self._slot_starts[table, keys]
            counts[table] = self._slot_starts[table, keys + 1] - starts[table]
        crowded = counts.sum(axis=0) > self.size // _SCAN_SHARE
        counts[:, crowded] = 0
        yield from self._look_up(queries, starts.reshape(-1), counts.reshape(-1))
        yield from self._scan(queries, np.flatnonzero(crowded))

    def _look_up(self, queries: Hashes, starts: Ints, counts: Ints) -> Iterator[Ints]:
        """Compare queries with the members of their slots; slots are given table by table, each with one slot a query."""
        filled = np.flatnonzero(counts)
        starts, counts = starts[filled], counts[filled]
        total = np.concatenate([[0], np.cumsum(counts)])
        cuts = np.unique([*np.searchsorted(total, np.arange(0, total[-1], _PAIRS_PER_STEP)), len(counts)])
        for low, high in itertools.pairwise(cuts):
            slot = np.repeat(np.arange(low, high), counts[low:high])
            inside = np.arange(total[low], total[high]) - total[slot]
            yield self._compare(queries, filled[slot] % queries.shape[1], self._members[starts[slot] + inside])

    def _scan(self, queries: Hashes, chosen: Ints) -> Iterator[Ints]:
        """Compare the chosen queries with all hashes."""
        step = max(1, _PAIRS_PER_STEP // max(self.size, 1))
        for low in range(0, len(chosen), step):
            some = chosen[low : low + step]
            near = np.bitwise_count(queries[0][some, None] ^ self.hashes[0]) <= self.max_distance
            row, column = np.divmod(np.flatnonzero(near), self.size)
            yield self._compare(queries, some[row], column)

    def _compare(self, queries: Hashes, query: Ints, kept: NDArray[np.integer]) -> Ints:
        """Pack those of some candidate pairs that are near-duplicates."""
        distance = np.bitwise_count(queries[0][query] ^ self.hashes[0][kept])
        near = np.flatnonzero(distance <= self.max_distance)
        query, kept, distance = query[near], kept[near], distance[near]
        other = np.bitwise_count(queries[1][query] ^ self.hashes[1][kept])
        near = np.flatnonzero(other <= self.max_distance)
        return _pack(query[near], kept[near].astype(np.int64) + self.start, distance[near].astype(np.int64) + other[near])


def _masks(count: int) -> list[np.uint64]:
    """Divide 64 bits into `count` pieces in turn: neighboring bits, which are correlated, go to different pieces."""
    return [np.uint64(sum(1 << bit for bit in range(piece, _BITS, count))) for piece in range(count)]


class Index:
    """Hashes of pictures, each known by its position: 0 for the first added.

    Near-duplicates differ in at most `max_distance` bits of pHash and at most as many of dHash.
    """

    def __init__(self, max_distance: int) -> None:
        self.max_distance = max_distance
        self.size = 0
        self._segments: list[_Segment] = []

    def add(self, hashes: Hashes) -> None:
        """Add pictures by their hashes (2 x n), near-duplicates or not.

        Segments are merged while the last is less than twice as large as the new one: there are few, and a picture is moved few
        times.
        """
        start, self.size = self.size, self.size + hashes.shape[1]
        while self._segments and self._segments[-1].size < 2 * hashes.shape[1]:
            last = self._segments.pop()
            start, hashes = last.start, np.concatenate([last.hashes, hashes], axis=1)
        if hashes.shape[1]:
            self._segments.append(_Segment(hashes, start, self.max_distance))

    def search(self, queries: Hashes) -> Matches:
        """Find all near-duplicates in the index of some pictures, given by their hashes (2 x n)."""
        return _unpack([found for segment in self._segments for found in segment.search(queries)])

    def deduplicate(self, hashes: Hashes) -> Ints:
        """Add pictures (hashes 2 x n) one after the other, except near-duplicates of one in the index.

        Returns:
            For each picture the position of its nearest near-duplicate in the index, or -1 if it was added.
        """
        batches = [self._deduplicate(hashes[:, low : low + _BATCH]) for low in range(0, hashes.shape[1], _BATCH)]
        return np.concatenate([np.zeros(0, np.int64), *batches])

    def _deduplicate(self, hashes: Hashes) -> Ints:
        count = hashes.shape[1]
        known = self.search(hashes)
        new = np.setdiff1d(np.arange(count), known.query)
        # Later pictures of the batch can duplicate only those that may be added.
        within = _unpack(list(_Segment(hashes[:, new], 0, self.max_distance).search(hashes)))
        original = new[within.kept]
        later = within.query > original
        query, original, distance = within.query[later], original[later], within.distance[later]
        order = np.lexsort((query, original))
        query, original, distance = query[order], original[order], distance[order]
        position = np.full(count, -1, np.int64)
        position[new] = 0
        starts, ends = np.searchsorted(original, new), np.searchsorted(original, new, "right")
        has_duplicates = ends > starts
        for picture, start, end in zip(new[has_duplicates], starts[has_duplicates], ends[has_duplicates], strict=True):
            if position[picture] == 0:
                position[query[start:end]] = -1
        added = np.flatnonzero(position == 0)
        position[added] = self.size + np.arange(len(added))
        valid = position[original] >= 0
        in_batch = _pack(query[valid], position[original[valid]], distance[valid])
        self.add(hashes[:, added])
        return _unpack([_pack(known.query, known.kept, known.distance), in_batch]).nearest(count)


class NamedIndex:
    """An `Index` that knows pictures by their ids."""

    def __init__(self, max_distance: int) -> None:
        self._index = Index(max_distance)
        self._ids: list[str] = []

    def add(self, ids: Sequence[str], hashes: Hashes) -> None:
        """Add pictures (hashes 2 x n), near-duplicates or not."""
        self._index.add(hashes)
        self._ids += ids

    def deduplicate(self, ids: Sequence[str], hashes: Hashes) -> list[str | None]:
        """Add pictures except near-duplicates of added ones; return for each the id of its nearest, or None if it was added."""
        nearest = self._index.deduplicate(hashes)
        self._ids += [name for name, position in zip(ids, nearest, strict=True) if position < 0]
        return [None if position < 0 else self._ids[position] for position in nearest]
