"""Stage: crop training pictures cut out of the kept frames of one source, undistorted, seeded by picture.

python -m pipeline.crop DOMAIN/NAME        anime/NAME or photo/NAME, as under films: or footage:, or photo/photos
"""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.core import manifest, stage
from pipeline.core.manifest import Row
from pipeline.frames import fingerprints
from pipeline.frames.fingerprints import Fingerprints
from pipeline.media import arrays, images, sheets
from pipeline.media.images import Picture
from pipeline.params.data import CropParams
from pipeline.params.schema import Params, load

Box = tuple[int, int, int, int]  # x, y, width, height

_AREA_COLUMNS, _AREA_ROWS = 3, 2
_SHEET_SQUARES = 120


@dataclass(frozen=True)
class CropBox:
    """A place in a picture, pixels."""

    x: int
    y: int
    side: int

    def overlap(self, other: CropBox) -> float:
        """Shared area as a fraction of the smaller crop's."""
        width = min(self.x + self.side, other.x + other.side) - max(self.x, other.x)
        height = min(self.y + self.side, other.y + other.side) - max(self.y, other.y)
        return max(width, 0) * max(height, 0) / min(self.side, other.side) ** 2


def places(
    edges: NDArray[np.bool_], count: int, params: CropParams, rng: np.random.Generator, avoid: Sequence[Box] = ()
) -> list[CropBox]:
    """Up to `count` crops in a picture (in mode areas: in each of its six areas), none too flat, none too much alike.

    Args:
        edges: where the picture has edges, bool HxW.
        rng: the picture's own randomness.
        avoid: boxes that no crop touches.
    """
    height, width = edges.shape
    if min(height, width) * params.side_max < params.size_px / params.max_upscale:
        return []
    # Sums over any box in constant time: a crop's edge share costs the same whatever its size.
    table = np.zeros((height + 1, width + 1), np.int64)
    table[1:, 1:] = edges.cumsum(axis=0, dtype=np.int64).cumsum(axis=1)
    # What is left beside an avoided box counts where a square of the usual size fits; in the six areas, one of any size.
    least = max(params.side_min * min(width, height) if params.mode == "random" else 0, params.size_px / params.max_upscale)
    chosen: list[CropBox] = []
    for area in _areas(width, height, params.mode):
        free = [part for part in _free(area, avoid) if min(part[2:]) >= least]
        for _ in range(count if free else 0):
            for _ in range(params.tries):
                part = free[int(rng.integers(len(free)))] if len(free) > 1 else free[0]
                crop = _draw(part, min(width, height), params, rng)
                if crop is None or any(crop.overlap(other) > params.max_overlap for other in chosen):
                    continue
                y1, x1 = crop.y + crop.side, crop.x + crop.side
                found = table[y1, x1] - table[crop.y, x1] - table[y1, crop.x] + table[crop.y, crop.x]
                if found >= params.min_edge_share * crop.side**2:
                    chosen.append(crop)
                    break
    return chosen


def _free(area: Box, avoid: Sequence[Box]) -> list[Box]:
    """The largest boxes of an area that touch none of those to be avoided: above, below, left and right of each."""
    free = [area]
    for left, top, wide, high in avoid:
        right, bottom = left + wide, top + high
        parts: list[Box] = []
        for x, y, width, height in free:
            if right <= x or x + width <= left or bottom <= y or y + height <= top:
                parts.append((x, y, width, height))
                continue
            sides = [
                (x, y, width, top - y),
                (x, bottom, width, y + height - bottom),
                (x, y, left - x, height),
                (right, y, x + width - right, height),
            ]
            parts += [side for side in sides if side[2] > 0 and side[3] > 0]
        free = parts
    return free


def _areas(width: int, height: int, mode: str) -> Iterator[Box]:
    """Boxes x, y, width, height within which crops are drawn: the whole, or three columns by two rows (JapananimeGAN)."""
    if mode == "random":
        yield 0, 0, width, height
        return
    for row, column in itertools.product(range(_AREA_ROWS), range(_AREA_COLUMNS)):
        x0, x1 = width * column // _AREA_COLUMNS, width * (column + 1) // _AREA_COLUMNS
        y0, y1 = height * row // _AREA_ROWS, height * (row + 1) // _AREA_ROWS
        yield x0, y0, x1 - x0, y1 - y0


def _draw(area: Box, short_side: int, params: CropParams, rng: np.random.Generator) -> CropBox | None:
    x, y, width, height = area
    least = max(params.side_min * short_side, params.size_px / params.max_upscale)
    most = min(params.side_max * short_side, width, height)
    # In small areas the crop takes what there is; it never becomes smaller than what max_upscale allows.
    least = max(min(least, most), params.size_px / params.max_upscale)
    if most < least:
        return None
    side = int(rng.uniform(least, most))
    return CropBox(x + int(rng.integers(width - side + 1)), y + int(rng.integers(height - side + 1)), side)


def edge_map(picture: Picture) -> NDArray[np.bool_]:
    """Where a picture (uint8 RGB HxWx3) has edges: Canny 100/200. bool HxW."""
    return np.asarray(cv2.Canny(arrays.luma(picture), 100, 200) > 0)


def _cut(row: Row, params: CropParams, out: Path, home: Path) -> list[tuple[Row, Fingerprints]]:
    """Write the crops of one picture; their rows and looks. A picture that gives none gives one row with the reason."""
    picture = images.read(manifest.file_of(row))
    count = params.per_frame if row.domain == "anime" else params.per_photo
    edges = edge_map(picture)
    crops = places(edges, count, params, manifest.rng(params.seed, row.id), row.avoid or ())
    if not crops:
        small = min(picture.shape[:2]) * params.side_max < params.size_px / params.max_upscale
        covered = row.avoid and places(edges, 1, params, manifest.rng(params.seed, row.id))
        reason = "too_small" if small else "covered" if covered else "flat"
        changes: dict[str, Any] = {"file": None, "digest": None, "hashes": None, "scores": {}}
        return [(row.model_copy(update=changes | {"parent": row.id, "reason": reason}), fingerprints.concatenate([]))]
    made = []
    for index, crop in enumerate(crops):
        name = f"{row.id}-{index:02d}"
        inside = (slice(crop.y, crop.y + crop.side), slice(crop.x, crop.x + crop.side))
        cut = arrays.resize(picture[inside], params.size_px, params.size_px)
        digest = images.write(out / f"{name}.png", cut)
        crop_row = Row(
            id=name,
            domain=row.domain,
            source=row.source,
            file=(home / f"{name}.png").as_posix(),
            digest=digest,
            width_px=params.size_px,
            height_px=params.size_px,
            time_s=row.time_s,
            shot=row.shot,
            parent=row.id,
            box=(crop.x, crop.y, crop.side, crop.side),
            scores={"edge_share": round(float(edges[inside].mean()), 4)},
        )
        made.append((crop_row, fingerprints.compute(cut)))
    return made


def run(params: Params, out: Path, source: str, data: Path = stage.DATA) -> dict[str, float]:
    """Cut crops out of every kept picture of a source; write them (pictures/), manifest.jsonl, fingerprints.npy and sheet.jpg.

    Args:
        source: anime/NAME or photo/NAME.
    """
    kept = manifest.read(data / "dedup" / Path(source).name)
    crops, home = out / stage.PICTURES, data / "crop" / stage.PICTURES / source
    work = functools.partial(_cut, params=params.crop, out=crops, home=home)
    made = [one for some in stage.parallel(work, kept, params.workers, f"crop {source}", "pictures") for one in some]
    rows = [row for row, _ in made]
    manifest.write(out, rows)
    fingerprints.write(out, [fingerprint for _, fingerprint in made])
    chosen = manifest.kept(rows)
    shown = chosen[:: max(1, -(-len(chosen) // _SHEET_SQUARES))]
    pictures = (images.read(crops / f"{row.id}.png") for row in shown)
    images.write(out / "sheet.jpg", sheets.contact_sheet(pictures, columns=12, cell_px=128))
    reasons = Counter(row.reason for row in rows)
    return {"crops": len(chosen), **{reason: reasons[reason] for reason in ("too_small", "flat", "covered")}}


if __name__ == "__main__":
    stage.main_of_source("crop", run, load, "anime/NAME or photo/NAME, of a film, of footage, or photo/photos")
