"""PNG in half of zlib's time: each line as its difference from the one above, Huffman codes, and runs of zeros.

Deflate (RFC 1951) spends its time on looking for strings that come again. The noise of a film hardly has any, and what is flat
is all zeros once filtered. So bytes are taken four at a time by array arithmetic, as their four codes or as "four zeros more".
What comes out depends on nothing but the picture: no library's version, no processor.
"""

from __future__ import annotations

import heapq
import struct
import zlib
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

# Smaller pictures go by zlib, which is as fast for them and finds more. Bytes once filtered.
_LARGE = 1 << 20
# And so do pictures of which less than this share would be left: of flat ones zlib leaves less still, and is quick.
_LEAST_SHARE = 0.2
_PIECE = 1 << 18  # bytes worked on at a time: memory that stays in a core's cache, and is not fetched anew for each picture
_SAMPLED = 4  # of so many pieces one is counted
_LONGEST = 15  # bits of a code
_END, _FOUR, _LONG = 256, 258, 284  # symbols: the end, a copy of 4 bytes, one of 227 to 257
_RUN = 64  # fours in a long copy: 256 bytes
_LONG_EXTRA = (4 * _RUN - 227, 5)  # what follows the symbol of a long copy, and its bits
# The order in which deflate wants the lengths of the codes of lengths.
_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)

Fields = tuple[NDArray[np.uint64], NDArray[np.uint64]]  # bits, and how many they are, up to 60


def encode(picture: NDArray[np.uint8]) -> bytes:
    """A picture as a PNG file's bytes: uint8 RGB HxWx3."""
    height, width = picture.shape[:2]
    lines = picture.reshape(height, 3 * width)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits, RGB, not interlaced
    lengths, share = _sampled(lines) if height * (1 + 3 * width) >= _LARGE else ([], 0.0)
    if share < _LEAST_SHARE:
        pieces = [zlib.compress(np.concatenate(list(_filtered(lines))).data, 1)]
    else:
        pieces = list(_deflated(lines, lengths))
    chunks = [(b"IHDR", header), *((b"IDAT", piece) for piece in pieces), (b"IEND", b"")]
    parts = (
        (struct.pack(">I", len(data)), kind, data, struct.pack(">I", zlib.crc32(data, zlib.crc32(kind))))
        for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(part for parts_of_chunk in parts for part in parts_of_chunk)


def _filtered(lines: NDArray[np.uint8], step: int = 1) -> Iterator[NDArray[np.uint8]]:
    """The bytes that are compressed, piece by piece, or every so many pieces one. Lines: HxB."""
    height, width = lines.shape
    count = max(4, _PIECE // (1 + width) // 4 * 4)  # by four, so that only the last piece is not whole fours of bytes
    for start in range(0, height, step * count):
        part = lines[start : start + count]
        piece = np.empty((len(part), 1 + width), np.uint8)
        piece[:, 0] = 2  # filter type Up
        np.subtract(part[1:], part[:-1], out=piece[1:, 1:])
        np.subtract(part[0], lines[start - 1] if start else 0, out=piece[0, 1:])
        yield piece.reshape(-1)


def _sampled(lines: NDArray[np.uint8]) -> tuple[list[int], float]:
    """Lengths of codes for some pieces of a picture, and what share of their size is left of these."""
    counts, size = np.zeros(286, np.int64), 0
    for piece in _filtered(lines, _SAMPLED):
        copies, runs = _copies(piece)
        inside, long = int(copies.sum()), int(runs.sum())
        counts[:256] += cv2.calcHist([piece.reshape(1, -1)], [0], None, [256], [0, 256]).astype(np.int64).ravel()
        counts[0] -= 4 * inside
        counts[[_FOUR, _LONG]] += inside - _RUN * long, long
        size += len(piece)
    counts[[*range(_END + 1), _FOUR, _LONG]] += 1  # what was not met may still come
    lengths = code_lengths(counts.tolist())
    return lengths, float(counts @ np.array(lengths)) / (8 * size)


def _deflated(lines: NDArray[np.uint8], lengths: list[int]) -> Iterator[bytes]:
    """The zlib stream of a picture: one block of dynamic codes of these lengths."""
    coder = _Coder(lengths)
    stream, check = _Bits(), 1
    yield b"\x78\x01"
    stream.put(*coder.header())
    for piece in _filtered(lines):
        check = zlib.adler32(piece.data, check)
        stream.put(*coder.body(piece))
        if rest := len(piece) % 4:
            stream.put(*coder.single(piece[-rest:].tolist()))
        yield stream.take()
    stream.put(*coder.single([_END]))
    yield stream.rest() + struct.pack(">I", check)


def _copies(piece: NDArray[np.uint8]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which fours of bytes are zeros after a zero, and which rows of 64 fours are all of that kind."""
    fours = len(piece) // 4
    copies = np.asarray(piece[: 4 * fours].view(np.uint32) == 0)
    copies[1:] &= piece[3 : 4 * fours - 1 : 4] == 0
    copies[:1] = False
    rows = copies[: fours // _RUN * _RUN]
    for _ in range(2):
        rows = np.asarray(rows.view(np.uint64) == 0x0101010101010101)
    return copies, rows


class _Coder:
    """Turns bytes into codes of given lengths."""

    def __init__(self, lengths: list[int]) -> None:
        self._lengths, self._codes = lengths, _reversed_codes(lengths)
        sizes, bits = np.array(lengths[:256], np.uint64), np.array(self._codes[:256], np.uint64)
        pairs = bits[None] | bits[:, None] << sizes | (sizes + sizes[:, None]) << np.uint64(32)
        # For each two bytes their codes (low 32 bits) and how many bits these have (above); as doubles, since OpenCV looks up
        # those, and only copies them.
        self._pairs = pairs.reshape(1, -1).view(np.float64)
        # A copy's distance is always 1, a code of one bit, 0.
        self._four = self._codes[_FOUR], lengths[_FOUR] + 1
        self._long = self._codes[_LONG] | _LONG_EXTRA[0] << lengths[_LONG], lengths[_LONG] + _LONG_EXTRA[1] + 1

    def header(self) -> Fields:
        """The head of a block: the last one, of dynamic codes, whose lengths stand in four bits each."""
        fields = [(1, 1), (2, 2), (len(self._lengths) - 257, 5), (0, 5), (len(_ORDER) - 4, 4)]
        fields += [(0 if symbol > _LONGEST else 4, 3) for symbol in _ORDER]
        fields += [(int(f"{length:04b}"[::-1], 2), 4) for length in (*self._lengths, 1)]
        bits, sizes = np.array(fields, np.uint64).T
        return bits, sizes

    def body(self, piece: NDArray[np.uint8]) -> Fields:
        """The whole fours of bytes of a piece."""
        copies, runs = _copies(piece)
        pairs = cv2.LUT(piece[: 4 * len(copies)].view(np.uint16).reshape(1, -1), self._pairs).view(np.uint64).ravel()
        sizes = pairs >> np.uint64(32)
        pairs &= np.uint64(0xFFFFFFFF)
        bits = pairs[1::2] << sizes[::2]
        bits |= pairs[::2]
        sizes = sizes[::2] + sizes[1::2]
        fours = np.flatnonzero(copies)
        bits[fours], sizes[fours] = self._four
        rows = np.flatnonzero(runs)
        if len(rows):
            kept = np.ones(len(bits), np.bool_)
            kept[: len(kept) // _RUN * _RUN].reshape(-1, _RUN)[rows] = False
            heads = _RUN * rows
            kept[heads], bits[heads], sizes[heads] = True, *self._long
            bits, sizes = bits[kept], sizes[kept]
        return bits, sizes

    def single(self, symbols: list[int]) -> Fields:
        """One code after the other."""
        bits, sizes = ([table[symbol] for symbol in symbols] for table in (self._codes, self._lengths))
        return np.array(bits, np.uint64), np.array(sizes, np.uint64)


def code_lengths(counts: list[int]) -> list[int]:
    """Lengths of Huffman codes, at most 15 bits; 0 for what never occurs. At least two must occur."""
    present = [index for index, count in enumerate(counts) if count]
    least = 1
    while True:
        heap = [(max(counts[index], least), node) for node, index in enumerate(present)]
        heapq.heapify(heap)
        parents = [0] * (2 * len(present) - 1)
        for node in range(len(present), len(parents)):
            one, left = heapq.heappop(heap)
            other, right = heap[0]
            parents[left] = parents[right] = node
            heapq.heapreplace(heap, (one + other, node))
        depths = [0] * len(parents)
        for node in range(len(parents) - 2, -1, -1):
            depths[node] = depths[parents[node]] + 1
        if max(depths) <= _LONGEST:
            lengths = [0] * len(counts)
            for node, index in enumerate(present):
                lengths[index] = depths[node]
            return lengths
        # Codes grow long where what is rare is too rare.
        least = max(2 * least, sum(counts) >> _LONGEST)


def _reversed_codes(lengths: list[int]) -> list[int]:
    """The canonical codes of these lengths, first bit lowest, as deflate wants them."""
    codes, code = [0] * len(lengths), 0
    for length in range(1, _LONGEST + 1):
        for symbol, own in enumerate(lengths):
            if own == length:
                codes[symbol] = int(f"{code:0{length}b}"[::-1], 2)
                code += 1
        code <<= 1
    return codes


class _Bits:
    """Bits in a row, lowest first."""

    def __init__(self) -> None:
        self._full: list[bytes] = []
        self._open, self._used = np.uint64(0), 0  # the word that is begun, and how many of its bits are taken

    def put(self, bits: NDArray[np.uint64], sizes: NDArray[np.uint64]) -> None:
        """Append fields."""
        ends = np.cumsum(sizes)
        ends += np.uint64(self._used)
        end = int(ends[-1])
        starts = ends
        starts -= sizes
        shifts = starts & np.uint64(63)
        starts >>= np.uint64(6)
        last = np.append(np.flatnonzero(starts[1:] != starts[:-1]), len(starts) - 1)
        # Fields share no bit, so that those of a word are their sum: what it is up to here, less what it was a word before.
        sums = np.cumsum(np.left_shift(bits, shifts))[last]
        sums[1:] -= sums[:-1]
        # As a field is shorter than a word, one begins in each word, and only the last of a word reaches into the next.
        words = np.zeros(len(last) + 1, np.uint64)
        words[:-1] = sums
        words[0] |= self._open
        words[1:] |= bits[last] >> np.uint64(1) >> (np.uint64(63) - shifts[last])
        self._full.append(words[: end // 64].astype("<u8", copy=False).tobytes())
        self._open, self._used = words[end // 64], end % 64

    def take(self) -> bytes:
        """The words that are full."""
        full = b"".join(self._full)
        self._full.clear()
        return full

    def rest(self) -> bytes:
        """All that is left, filled up to a whole byte."""
        return self.take() + int(self._open).to_bytes(8, "little")[: -(-self._used // 8)]
