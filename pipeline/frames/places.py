"""Which pictures show the same place: shots cut too often, a film that returns, a camera that passes by again.

Places are compared by local features (ORB: Rublee et al., ICCV 2011), of which enough have to agree on one shift, turn and
scale. Among many pictures, candidates are those that share features: a part of the bits of each is looked up in tables
(locality-sensitive hashing: Indyk and Motwani, STOC 1998).
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import UserError
from pipeline.core.text import repro_command
from pipeline.media import arrays
from pipeline.media.images import Picture

FILE = "places.npy"
_RECORD = np.dtype([("picture", "<u4"), ("at", "<u2", 2), ("bits", "u1", 32)])
_SIDE = 320  # of a picture, its shorter side where longer: details matter less than places
_FEATURES = 160
_GRID = 4  # features are spread over so many rows and columns, as a figure would have most of them
_MAX_DISTANCE = 48  # bits in which two features that match differ
_MIN_AGREEING, _MIN_AGREEING_NEAR = 10, 6  # features, in pictures from anywhere and in neighbors
_REACH_PX = 6.0  # how far off a feature that agrees may lie
_MIN_EXTENT_PX, _MAX_SCALE = 60, 3.3  # of the part of a picture that agrees, in both directions; between the pictures
_TABLES, _KEY_BITS, _MAX_BUCKET = 8, 18, 24
_MIN_SHARED = 3  # tables' hits of a pair of pictures that is looked at
_NEIGHBORS = 4  # pictures before and after that are always looked at

Features = NDArray[np.void]
"""Records of n features: `picture` (its position among those of a source), `at` (x and y) and `bits` (descriptor)."""


def features(picture: Picture, position: int = 0) -> Features:
    """Find at most 160 local features of a picture (uint8 RGB HxWx3), spread over it; even areas have none.

    `at` is in pixels of the picture shrunk to a shorter side of 320, `picture` is `position`.
    """
    gray = arrays.luma(picture)
    scale = _SIDE / min(gray.shape)
    if scale < 1:
        gray = arrays.resize(gray, round(gray.shape[1] * scale), round(gray.shape[0] * scale))
    found = cv2.ORB.create(8 * _FEATURES, fastThreshold=8).detect(gray)
    cells: dict[tuple[int, int], list[cv2.KeyPoint]] = {}
    for point in sorted(found, key=lambda point: -point.response):
        cell = int(point.pt[0] * _GRID / gray.shape[1]), int(point.pt[1] * _GRID / gray.shape[0])
        cells.setdefault(cell, []).append(point)
    chosen = [point for some in cells.values() for point in some[: _FEATURES // _GRID**2]]
    points, bits = cv2.ORB.create().compute(gray, chosen)
    records = np.zeros(len(points), _RECORD)
    if len(points):
        records["picture"], records["bits"] = position, bits
        records["at"] = np.rint([point.pt for point in points])
    return records


def write(folder: Path, parts: Iterable[Features]) -> None:
    """Write places.npy: the features of a source's pictures, in their order, renumbered from 0 (in the given parts too)."""
    parts = [np.zeros(0, _RECORD), *parts]
    for position, part in enumerate(parts[1:]):
        part["picture"] = position
    np.save(folder / FILE, np.concatenate(parts), allow_pickle=False)


def read(folder: Path, first: int = 0) -> Features:
    """Read the features of a source's pictures, of which the first has position `first`.

    Raises:
        UserError: the file is missing or damaged.
    """
    path = folder / FILE
    try:
        records: Features = np.load(path, allow_pickle=False)
        if records.dtype != _RECORD:
            raise ValueError
    except (OSError, ValueError, EOFError):
        raise UserError(f"{path} is missing or damaged: delete {folder} and run {repro_command(path)}") from None
    records["picture"] += first
    return records


def same_place(one: Features, other: Features, near: bool = False) -> bool:
    """Whether two pictures show the same place, at least in part; `near`: they are neighbors in a film, so less is enough."""
    enough = _MIN_AGREEING_NEAR if near else _MIN_AGREEING
    if min(len(one), len(other)) < enough:
        return False
    matches = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(one["bits"], other["bits"])
    matched = [(match.queryIdx, match.trainIdx) for match in matches if match.distance <= _MAX_DISTANCE]
    if len(matched) < enough:
        return False
    first, second = np.array(matched).T
    source, target = one["at"][first].astype(np.float32), other["at"][second].astype(np.float32)
    cv2.setRNGSeed(0)
    motion, agreeing = cv2.estimateAffinePartial2D(source, target, ransacReprojThreshold=_REACH_PX)
    if motion is None or int(agreeing.sum()) < enough:
        return False
    # What agrees in a small part of the picture is a figure, which goes to other places too.
    extent = np.diff(np.percentile(source[agreeing.ravel() > 0], (10, 90), axis=0), axis=0)
    return bool(extent.min() >= _MIN_EXTENT_PX) and 1 / _MAX_SCALE < float(np.hypot(*motion[:, 0])) < _MAX_SCALE


def pairs(records: Features, sources: Sequence[str]) -> list[tuple[int, int]]:
    """Find the pairs of pictures that show the same place: their positions, the earlier first, in ascending order.

    Args:
        records: the features of all pictures, in order of pictures.
        sources: the source of each picture; neighbors in one source are always compared.
    """
    count = len(sources)
    starts = np.searchsorted(records["picture"], np.arange(count + 1))
    parts = [records[start:end] for start, end in itertools.pairwise(starts)]
    near = {
        (index, other)
        for index in range(count)
        for other in range(index + 1, min(index + 1 + _NEIGHBORS, count))
        if sources[index] == sources[other]
    }
    compared = sorted(near | set(_candidates(records, count)))
    return [(one, other) for one, other in compared if same_place(parts[one], parts[other], (one, other) in near)]


def _candidates(records: Features, count: int) -> Iterator[tuple[int, int]]:
    """Yield pairs of pictures, the earlier first, that have a few features in common."""
    bits = np.unpackbits(records["bits"], axis=1)
    rng = np.random.default_rng(0)
    shared: list[NDArray[np.int64]] = []
    for _ in range(_TABLES if len(records) else 0):
        chosen = bits[:, rng.permutation(bits.shape[1])[:_KEY_BITS]].astype(np.int64)
        keys = chosen @ (1 << np.arange(_KEY_BITS))
        order = np.argsort(keys, kind="stable")
        pictures = records["picture"][order].astype(np.int64)
        breaks = np.flatnonzero(np.diff(keys[order])) + 1
        # Features that many pictures have tell nothing of the place.
        for low, high in itertools.pairwise([0, *breaks.tolist(), len(order)]):
            if 1 < high - low <= _MAX_BUCKET:
                some = np.unique(pictures[low:high])
                row, column = np.triu_indices(len(some), 1)
                shared.append(some[row] * count + some[column])
    found, times = np.unique(np.concatenate([np.zeros(0, np.int64), *shared]), return_counts=True)
    for pair in found[times >= _MIN_SHARED].tolist():
        yield divmod(pair, count)
