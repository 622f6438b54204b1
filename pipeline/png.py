"""PNG at a third of zlib's time: each line as its difference from the one above, Huffman codes, and runs of zeros.

Deflate (RFC 1951) spends its time on looking for strings that come again, which the noise of a film hardly has; what is flat is
all zeros after filtering. So four bytes at a time are put into words by array arithmetic: either their four codes, or "four
zeros more". The bytes depend on nothing but the picture: no library's version, no machine.
"""

from __future__ import annotations

import heapq
import struct
import zlib

import cv2
import numpy as np
from numpy.typing import NDArray

_CHUNK = 1 << 17  # bytes worked on at a time: what stays in a core's cache
_LONGEST = 15  # bits of a code
_END, _FOUR, _LONG = 256, 258, 284  # symbols of lengths and literals: the end, a copy of 4 bytes, one of 227 to 257
_RUN = 64  # fours in a long run: 256 bytes
_LONG_EXTRA = (4 * _RUN - 227, 5)  # what follows the symbol of a long run, and its bits
_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)


def encode(picture: NDArray[np.uint8]) -> bytes:
    """A picture as a PNG file's bytes: uint8 RGB HxWx3."""
    height, width = picture.shape[:2]
    lines = picture.reshape(height, 3 * width)
    filtered = np.empty((height, 1 + 3 * width), np.uint8)
    filtered[:, 0] = 2  # filter type Up
    filtered[0, 1:] = lines[0]
    np.subtract(lines[1:], lines[:-1], out=filtered[1:, 1:])
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits, RGB, not interlaced
    data = b"\x78\x01" + deflate(filtered.ravel()) + struct.pack(">I", zlib.adler32(filtered))
    chunks = [(b"IHDR", header), (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(kind)))
        for kind, content in chunks
    )


def deflate(data: NDArray[np.uint8]) -> bytes:
    """Bytes as one deflate block of dynamic codes. uint8, one dimension, contiguous."""
    fours = len(data) // 4
    zeros = _zeros(data[: 4 * fours])
    long = _all(_all(zeros[: fours // _RUN * _RUN]))
    copies, runs = int(zeros.sum()), int(long.sum())
    counts = cv2.calcHist([data.reshape(1, -1)], [0], None, [286], [0, 286]).astype(np.int64).ravel()
    counts[0] -= 4 * copies
    counts[[_END, _FOUR, _LONG]] = 1, copies - _RUN * runs, runs
    lengths = code_lengths(counts.tolist())
    codes = _reversed_codes(lengths)
    out = _Words(len(data))
    out.put(*_header(lengths))
    pairs = _pairs(lengths, codes)
    # A copy's distance, 1, is the only one: a code of one bit, 0.
    four = codes[_FOUR], lengths[_FOUR] + 1
    run = codes[_LONG] | _LONG_EXTRA[0] << lengths[_LONG], lengths[_LONG] + _LONG_EXTRA[1] + 1
    for start in range(0, fours, _CHUNK // 4):
        part = slice(start, min(start + _CHUNK // 4, fours))
        # A table of doubles, because OpenCV has none of 64-bit integers; it only copies them.
        entries = cv2.LUT(data[4 * part.start : 4 * part.stop].view(np.uint16).reshape(1, -1), pairs).view(np.uint64).ravel()
        first, second = entries[::2], entries[1::2]
        sizes = first >> 32
        bits = (second & 0xFFFFFFFF) << sizes
        bits |= first & 0xFFFFFFFF
        sizes += second >> 32
        np.copyto(bits, four[0], where=zeros[part])
        np.copyto(sizes, four[1], where=zeros[part])
        heads = _RUN * np.flatnonzero(long[part.start // _RUN : part.stop // _RUN])
        if len(heads):
            kept = np.ones(len(bits), np.bool_)
            kept[: len(kept) // _RUN * _RUN].reshape(-1, _RUN)[heads // _RUN] = False
            kept[heads], bits[heads], sizes[heads] = True, *run
            bits, sizes = bits[kept], sizes[kept]
        out.put(bits, sizes)
    tail = [*data[4 * fours :].tolist(), _END]
    out.put(np.array([codes[one] for one in tail], np.uint64), np.array([lengths[one] for one in tail], np.uint64))
    return out.bytes()


def _zeros(data: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which fours of bytes are zero and come after a zero."""
    zeros = np.asarray(data.view("<u4") == 0)
    zeros[1:] &= data[3:-4:4] == 0
    zeros[:1] = False
    return zeros


def _all(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether all of each eight are true."""
    return np.asarray(flags.view(np.uint64) == 0x0101010101010101)


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


def _pairs(lengths: list[int], codes: list[int]) -> NDArray[np.uint64]:
    """For each two bytes their codes (low 32 bits) and how many bits these are (above)."""
    sizes, bits = np.array(lengths[:256], np.uint64), np.array(codes[:256], np.uint64)
    return np.asarray(bits[None] | bits[:, None] << sizes | (sizes + sizes[:, None]) << np.uint64(32)).reshape(1, -1).view(np.float64)


def _header(lengths: list[int]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The head of a block: the last one, of dynamic codes; lengths of codes stand in four bits each."""
    fields = [(1, 1), (2, 2), (len(lengths) - 257, 5), (0, 5), (len(_ORDER) - 4, 4)]
    fields += [(0 if symbol > 15 else 4, 3) for symbol in _ORDER]
    fields += [(int(f"{length:04b}"[::-1], 2), 4) for length in (*lengths, 1)]
    bits, sizes = np.array(fields, np.uint64).T
    return bits, sizes


class _Words:
    """Bits in a row, lowest first."""

    def __init__(self, count: int) -> None:
        self._words = np.zeros(count // 4 + 1024, np.uint64)  # twice what codes of 15 bits can take
        self._end = 0

    def put(self, bits: NDArray[np.uint64], sizes: NDArray[np.uint64]) -> None:
        """Append fields of up to 60 bits."""
        ends = np.cumsum(sizes)
        ends += np.uint64(self._end)
        self._end = int(ends[-1])
        starts = ends - sizes
        shifts = starts & np.uint64(63)
        starts >>= np.uint64(6)
        # Fields share no bit, so that their sum is their union; sums up to here, less those up to the word before.
        low = np.cumsum(bits << shifts)
        last = np.flatnonzero(np.append(starts[1:] != starts[:-1], True))
        first = int(starts[0])
        count = len(last)
        sums = low[last]
        sums[1:] -= low[last[:-1]]
        self._words[first : first + count] |= sums
        over = bits[last] >> np.uint64(1) >> (np.uint64(63) - shifts[last])
        self._words[first + 1 : first + count + 1] |= over

    def bytes(self) -> bytes:
        """All of them, filled up to a whole byte."""
        return self._words[: self._end // 64 + 1].astype("<u8", copy=False).tobytes()[: -(-self._end // 8)]
