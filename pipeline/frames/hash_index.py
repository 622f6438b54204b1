"""Which pictures kept so far look the same: an exact search that need not compare all pairs.

A picture is known by two 64-bit hashes of different kind, and two pictures are the same when both differ in at most
`max_distance` bits. Hashes that differ in d bits agree wholly in one of any d + 1 pieces (multi-index hashing: Norouzi, Punjani
and Fleet, CVPR 2012). As both hashes must agree, a table is kept for each piece of the one with each piece of the other: at
distance 6 these are 49 tables of about 18 bits, each naming a handful of candidates among a million, where the pieces of one
hash alone name thousands, and more in films full of skies and nights, whose hashes crowd. Every candidate is then held against
both hashes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]  # 2 x n: one row for each kind of hash

_BITS = 64
_BATCH = 4096  # pictures judged at a time; were all of them one picture, their pairs would take 1 GB
_CELLS = 1 << 17  # pairs compared at a time: they stay in the processor's cache
_SCANNED = 512  # so few are compared faster one by one than looked up
_MAX_DISTANCE = 10  # beyond it pieces are so short that most of the shelf is a candidate
_SHARE = 2  # a picture with more candidates than one in so many of the shelf is compared with all instead
_SPREAD = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F))  # odd: every bit of a piece reaches the key's top bits


def phash(grey: NDArray[np.uint8]) -> int:
    """64 bits: which of the 8x8 lowest frequencies (DCT of the picture at 32x32) exceed their median."""
    low = cv2.dct(cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32))[:8, :8]
    return _bits(low > np.median(low))


def dhash(grey: NDArray[np.uint8]) -> int:
    """64 bits: where brightness rises from left to right in the picture at 9x8."""
    small = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA)
    return _bits(small[:, 1:] > small[:, :-1])


def _bits(flags: NDArray[np.bool_]) -> int:
    return int.from_bytes(np.packbits(flags.reshape(-1)).tobytes(), "big")


def hashes_of(looks: Iterable[tuple[int, int]]) -> Hashes:
    """The (pHash, dHash) of pictures as the index takes them, 2 x n."""
    return np.array(list(looks), np.uint64).reshape(-1, 2).T.copy()


@dataclass(frozen=True)
class Pairs:
    """Which pictures asked about are the same as which kept ones: by place in the question, the nearest first."""

    asked: NDArray[np.int64]  # place in the question
    kept: NDArray[np.int64]  # place among the kept
    distance: NDArray[np.int64]  # bits that differ in both hashes together

    def only(self, chosen: NDArray[np.bool_]) -> Pairs:
        """Some of the pairs."""
        return Pairs(self.asked[chosen], self.kept[chosen], self.distance[chosen])

    def nearest(self, count: int) -> NDArray[np.int64]:
        """For each of `count` pictures asked about, the nearest kept one (of equals the one kept first), or -1."""
        asked, first = np.unique(self.asked, return_index=True)
        found = np.full(count, -1, np.int64)
        found[asked] = self.kept[first]
        return found


def _pack(asked: NDArray[np.int64], kept: NDArray[np.int64], distance: NDArray[np.int64]) -> NDArray[np.int64]:
    """Each pair as one number, which sorts by who asked, then by distance, then by who was kept first."""
    return asked << 39 | distance << 32 | kept


def _unpack(parts: Sequence[NDArray[np.int64]]) -> Pairs:
    """Pairs of all parts, each once."""
    packed = np.sort(np.concatenate([np.zeros(0, np.int64), *parts]))
    packed = packed[np.diff(packed, prepend=-1) != 0]
    return Pairs(packed >> 39, packed & 0xFFFFFFFF, packed >> 32 & 0x7F)


class _Shelf:
    """Hashes that do not change, with the tables to look them up by."""

    def __init__(self, hashes: Hashes, start: int, max_distance: int) -> None:
        """`start`: place of the first among all that are kept."""
        self.hashes, self.start, self.max_distance = hashes, start, max_distance
        self.size = hashes.shape[1]
        self._pieces: list[tuple[np.uint64, np.uint64]] = []
        if self.size > _SCANNED and max_distance <= _MAX_DISTANCE:
            self._build()

    def _build(self) -> None:
        masks = _masks(self.max_distance + 1)
        self._pieces = [(one, other) for one in masks for other in masks]
        self._key_bits = min(self.size.bit_length(), 20)
        slots = (1 << self._key_bits) + 1
        self._members = np.empty(len(self._pieces) * self.size, np.uint32)
        self._begins = np.empty((len(self._pieces), slots), np.uint32)
        places = np.arange(self.size, dtype=np.uint64)
        for index, piece in enumerate(self._pieces):
            # Sorting a number that holds key and place is several times faster than asking for the order of keys.
            ordered = np.sort(self._keys(piece, self.hashes) << np.uint64(32) | places)
            begin = index * self.size
            self._members[begin : begin + self.size] = ordered & np.uint64(0xFFFFFFFF)
            counts = np.bincount((ordered >> np.uint64(32)).astype(np.int64), minlength=slots)
            self._begins[index, 0] = begin
            self._begins[index, 1:] = begin + np.cumsum(counts[:-1])

    def _keys(self, piece: tuple[np.uint64, np.uint64], hashes: Hashes) -> Hashes:
        mixed = (hashes[0] & piece[0]) * _SPREAD[0] + (hashes[1] & piece[1]) * _SPREAD[1]
        keys: Hashes = mixed >> np.uint64(_BITS - self._key_bits)
        return keys

    def pairs(self, asked: Hashes) -> Iterator[NDArray[np.int64]]:
        """All pairs of pictures asked about and pictures on the shelf that are the same; a pair may come more than once."""
        count = asked.shape[1]
        everyone = np.arange(count)
        if count == 0 or self.size == 0:
            return
        if not self._pieces:
            yield from self._scan(asked, everyone)
            return
        begins = np.empty((len(self._pieces), count), np.int64)
        counts = np.empty((len(self._pieces), count), np.int64)
        for index, piece in enumerate(self._pieces):
            keys = self._keys(piece, asked).astype(np.int64)
            begins[index] = self._begins[index, keys]
            counts[index] = self._begins[index, keys + 1] - begins[index]
        crowded = counts.sum(axis=0) > self.size // _SHARE
        counts[:, crowded] = 0
        yield from self._look(asked, begins.reshape(-1), counts.reshape(-1))
        yield from self._scan(asked, everyone[crowded])

    def _look(self, asked: Hashes, begins: NDArray[np.int64], counts: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """Hold the members of some slots against those who asked; slots are in rounds of one for each asked."""
        filled = np.flatnonzero(counts)
        begins, counts = begins[filled], counts[filled]
        total = np.concatenate([[0], np.cumsum(counts)])
        cuts = np.unique([*np.searchsorted(total, np.arange(0, total[-1], _CELLS)), len(counts)])
        for low, high in itertools.pairwise(cuts):
            many = counts[low:high]
            slot = np.repeat(np.arange(low, high), many)
            inside = np.arange(total[low], total[high]) - total[slot]
            yield self._compare(asked, filled[slot] % asked.shape[1], self._members[begins[slot] + inside])

    def _compare(self, asked: Hashes, who: NDArray[np.int64], whom: NDArray[np.integer]) -> NDArray[np.int64]:
        distance = np.bitwise_count(asked[0][who] ^ self.hashes[0][whom])
        near = np.flatnonzero(distance <= self.max_distance)
        who, whom, distance = who[near], whom[near], distance[near]
        other = np.bitwise_count(asked[1][who] ^ self.hashes[1][whom])
        near = np.flatnonzero(other <= self.max_distance)
        return _pack(who[near], whom[near].astype(np.int64) + self.start, distance[near].astype(np.int64) + other[near])

    def _scan(self, asked: Hashes, chosen: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """All pairs of the chosen ones with the whole shelf, compared one by one."""
        step = max(1, _CELLS // max(self.size, 1))
        for low in range(0, len(chosen), step):
            some = chosen[low : low + step]
            near = np.bitwise_count(asked[0][some, None] ^ self.hashes[0]) <= self.max_distance
            row, column = np.divmod(np.flatnonzero(near), self.size)
            yield self._compare(asked, some[row], column)


def _masks(count: int) -> list[np.uint64]:
    """64 bits dealt out to `count` pieces in turn: neighbours, which are alike in pictures, go to different pieces."""
    return [np.uint64(sum(1 << bit for bit in range(piece, _BITS, count))) for piece in range(count)]


class Index:
    """The looks of the pictures kept so far, each known by its place: 0 for the first kept."""

    def __init__(self, max_distance: int) -> None:
        self.max_distance = max_distance
        self.size = 0
        self._shelves: list[_Shelf] = []

    def add(self, hashes: Hashes) -> None:
        """Keep pictures, whatever they look like.

        Shelves merge while the last is less than twice as large as the new one: there are few, and a picture moves few times.
        """
        start, self.size = self.size, self.size + hashes.shape[1]
        while self._shelves and self._shelves[-1].size < 2 * hashes.shape[1]:
            last = self._shelves.pop()
            start, hashes = last.start, np.concatenate([last.hashes, hashes], axis=1)
        if hashes.shape[1]:
            self._shelves.append(_Shelf(hashes, start, self.max_distance))

    def pairs(self, asked: Hashes) -> Pairs:
        """Every pair of a picture asked about and a kept one that are the same."""
        return _unpack([found for shelf in self._shelves for found in shelf.pairs(asked)])

    def take(self, hashes: Hashes) -> NDArray[np.int64]:
        """Judge pictures one after the other, and keep those that resemble none kept before them.

        Returns:
            For each the nearest that was kept before it, as its place among the kept, or -1 where it was kept itself.
        """
        rivals = [self._take(hashes[:, low : low + _BATCH]) for low in range(0, hashes.shape[1], _BATCH)]
        return np.concatenate([np.zeros(0, np.int64), *rivals])

    def _take(self, hashes: Hashes) -> NDArray[np.int64]:
        count = hashes.shape[1]
        known = self.pairs(hashes)
        free = np.setdiff1d(np.arange(count), known.asked)
        # Only the free can become rivals of those after them in this batch.
        among = _unpack(list(_Shelf(hashes[:, free], 0, self.max_distance).pairs(hashes)))
        rival = free[among.kept]
        later = among.asked > rival
        asked, rival, distance = among.asked[later], rival[later], among.distance[later]
        order = np.lexsort((asked, rival))
        asked, rival, distance = asked[order], rival[order], distance[order]
        place = np.full(count, -1, np.int64)
        place[free] = 0
        begins = np.searchsorted(rival, free)
        ends = np.searchsorted(rival, free, "right")
        for one, begin, end in zip(free[ends > begins], begins[ends > begins], ends[ends > begins], strict=True):
            if place[one] == 0:
                place[asked[begin:end]] = -1
        kept = np.flatnonzero(place == 0)
        place[kept] = self.size + np.arange(len(kept))
        valid = place[rival] >= 0
        here = _pack(asked[valid], place[rival[valid]], distance[valid])
        self.add(hashes[:, kept])
        return _unpack([_pack(known.asked, known.kept, known.distance), here]).nearest(count)


class Library:
    """An index that knows its pictures by their ids."""

    def __init__(self, max_distance: int) -> None:
        self._index = Index(max_distance)
        self._ids: list[str] = []

    def take(self, ids: Sequence[str], hashes: Hashes) -> list[str | None]:
        """Judge pictures in order, as `Index.take` does: the rival's id, or None where the picture was kept."""
        rivals = self._index.take(hashes)
        self._ids += [name for name, rival in zip(ids, rivals, strict=True) if rival < 0]
        return [None if rival < 0 else self._ids[rival] for rival in rivals]

    def add(self, ids: Sequence[str], hashes: Hashes) -> None:
        """Keep pictures, whatever they resemble."""
        self._index.add(hashes)
        self._ids += ids
