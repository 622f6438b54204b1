"""Stage: cut square training crops out of the kept pictures of one source: seeded per picture, scaled, never distorted.

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
from pipeline.frames import faces, fingerprints, places
from pipeline.frames.fingerprints import Fingerprints
from pipeline.frames.places import Features
from pipeline.media import arrays, images, sheets
from pipeline.media.images import Picture
from pipeline.params.data import CropParams
from pipeline.params.schema import Params, load

Box = tuple[int, int, int, int]
"""x, y, width, height, pixels."""

_AREA_COLUMNS, _AREA_ROWS = 3, 2
_SHEET_CROPS = 120
_MIN_FACE_CROP, _MAX_FACE_CROP = 1.5, 4.0  # side of a crop around a face, in sides of the face


@dataclass(frozen=True)
class CropBox:
    """A square in a picture, pixels."""

    x: int
    y: int
    side: int

    def overlap(self, other: CropBox) -> float:
        """Return the shared area as a fraction of the smaller square's."""
        width = min(self.x + self.side, other.x + other.side) - max(self.x, other.x)
        height = min(self.y + self.side, other.y + other.side) - max(self.y, other.y)
        return max(width, 0) * max(height, 0) / min(self.side, other.side) ** 2

    def contains(self, box: Box) -> bool:
        """Tell whether a box lies wholly inside; edges may touch."""
        x, y, width, height = box
        return self.x <= x and self.y <= y and x + width <= self.x + self.side and y + height <= self.y + self.side


def draw_boxes(
    edges: NDArray[np.bool_],
    count: int,
    params: CropParams,
    rng: np.random.Generator,
    avoid: Sequence[Box] = (),
    around: Sequence[Box] = (),
) -> list[CropBox]:
    """Draw at most `count` crops of a picture (in mode areas: of each area) that are neither flat nor overlap too much.

    None are drawn of a picture so small that its crops would be enlarged by more than `params.max_upscale`.

    Args:
        edges: edge pixels of the picture, bool HxW, as from `edge_map`.
        rng: is advanced; the same state gives the same crops.
        avoid: boxes that no crop may overlap (subtitles, logos).
        around: boxes (faces): in mode random, a share `params.face_share` of the crops holds one each where that is possible.
    """
    height, width = edges.shape
    held = round(params.face_share * count) if around and params.mode == "random" else 0
    if _too_small(min(height, width), params):
        return []
    # An integral image: counting a crop's edge pixels takes the same time for any size.
    integral = np.zeros((height + 1, width + 1), np.int64)
    integral[1:, 1:] = edges.cumsum(axis=0, dtype=np.int64).cumsum(axis=1)
    # A free part is used if a crop of the usual size fits in it; in mode areas, of any size.
    min_side = max(params.side_min * min(width, height) if params.mode == "random" else 0, params.size_px / params.max_upscale)
    chosen: list[CropBox] = []
    for area in _areas(width, height, params.mode):
        free = [part for part in _free_parts(area, avoid) if min(part[2:]) >= min_side]
        for index in range(count if free else 0):
            around_tries = params.tries if index < held else 0
            for attempt in range(around_tries + params.tries):
                part = free[int(rng.integers(len(free)))] if len(free) > 1 else free[0]
                if attempt < around_tries:
                    face = around[int(rng.integers(len(around)))]
                    crop = _draw_box_around(face, part, min(width, height), params, rng)
                else:
                    crop = _draw_box(part, min(width, height), params, rng)
                if crop is None or any(crop.overlap(other) > params.max_overlap for other in chosen):
                    continue
                y1, x1 = crop.y + crop.side, crop.x + crop.side
                edge_pixels = integral[y1, x1] - integral[crop.y, x1] - integral[y1, crop.x] + integral[crop.y, crop.x]
                if edge_pixels >= params.min_edge_share * crop.side**2:
                    chosen.append(crop)
                    break
    return chosen


def _too_small(short_side: int, params: CropParams) -> bool:
    """Tell whether the largest crop of a picture would have to be enlarged by more than max_upscale."""
    return short_side * params.side_max < params.size_px / params.max_upscale


def _free_parts(area: Box, avoid: Sequence[Box]) -> list[Box]:
    """Return the largest (overlapping) boxes of an area that touch none of the boxes to avoid."""
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
    """Yield the areas within which crops are drawn: the whole picture, or three columns by two rows (JapananimeGAN)."""
    if mode == "random":
        yield 0, 0, width, height
        return
    for row, column in itertools.product(range(_AREA_ROWS), range(_AREA_COLUMNS)):
        x0, x1 = width * column // _AREA_COLUMNS, width * (column + 1) // _AREA_COLUMNS
        y0, y1 = height * row // _AREA_ROWS, height * (row + 1) // _AREA_ROWS
        yield x0, y0, x1 - x0, y1 - y0


def _draw_box(area: Box, short_side: int, params: CropParams, rng: np.random.Generator) -> CropBox | None:
    x, y, width, height = area
    smallest = max(params.side_min * short_side, params.size_px / params.max_upscale)
    largest = min(params.side_max * short_side, width, height)
    # In small areas crops may be smaller than side_min, but never smaller than max_upscale allows.
    smallest = max(min(smallest, largest), params.size_px / params.max_upscale)
    if largest < smallest:
        return None
    side = int(rng.uniform(smallest, largest))
    return CropBox(x + int(rng.integers(width - side + 1)), y + int(rng.integers(height - side + 1)), side)


def _draw_box_around(face: Box, area: Box, short_side: int, params: CropParams, rng: np.random.Generator) -> CropBox | None:
    """Draw a crop that holds a face; it may be smaller than side_min, as long as it is not enlarged for that."""
    left, top, wide, high = face
    x, y, width, height = area
    largest = min(params.side_max * short_side, width, height)
    smallest = max(_MIN_FACE_CROP * max(wide, high), min(params.size_px, largest))
    largest = min(largest, max(_MAX_FACE_CROP * max(wide, high), smallest))
    if largest < smallest:
        return None
    side = int(rng.uniform(smallest, largest))
    first_x, last_x = max(x, left + wide - side), min(x + width - side, left)
    first_y, last_y = max(y, top + high - side), min(y + height - side, top)
    if last_x < first_x or last_y < first_y:
        return None
    return CropBox(int(rng.integers(first_x, last_x + 1)), int(rng.integers(first_y, last_y + 1)), side)


def edge_map(picture: Picture) -> NDArray[np.bool_]:
    """Find edge pixels of a picture (uint8 RGB HxWx3) by Canny with thresholds 100 and 200: bool HxW."""
    return np.asarray(cv2.Canny(arrays.luma(picture), 100, 200) > 0)


def _crop_picture(row: Row, params: CropParams, out: Path, home: Path) -> tuple[list[tuple[Row, Fingerprints]], Features]:
    """Write the crops of one picture; return their rows and fingerprints, and the picture's features.

    If there are no crops, the one row has the reason why.
    """
    picture = images.read(manifest.file_of(row))
    place = places.features(picture)
    count = params.per_frame if row.domain == "anime" else params.per_photo
    edges = edge_map(picture)
    found = faces.find(picture) if params.face_share else []
    boxes = draw_boxes(edges, count, params, manifest.rng(params.seed, row.id), row.avoid or (), found)
    row = row.model_copy(update={"file": None, "digest": None, "hashes": None, "scores": {}, "parent": row.id})
    if not boxes:
        covered = row.avoid and draw_boxes(edges, 1, params, manifest.rng(params.seed, row.id))
        reason = "too_small" if _too_small(min(picture.shape[:2]), params) else "covered" if covered else "flat"
        return [(row.model_copy(update={"reason": reason}), fingerprints.concatenate([]))], place
    made = []
    for index, box in enumerate(boxes):
        name = f"{row.id}-{index:02d}"
        inside = (slice(box.y, box.y + box.side), slice(box.x, box.x + box.side))
        crop = arrays.resize(picture[inside], params.size_px, params.size_px)
        scores = {"edge_share": round(float(edges[inside].mean()), 4)}
        if params.face_share:
            scores["faces"] = sum(map(box.contains, found))
        fields: dict[str, Any] = {
            "id": name,
            "file": (home / f"{name}.png").as_posix(),
            "digest": images.write(out / f"{name}.png", crop),
            "width_px": params.size_px,
            "height_px": params.size_px,
            "box": (box.x, box.y, box.side, box.side),
            "avoid": None,
            "scores": scores,
        }
        made.append((row.model_copy(update=fields), fingerprints.compute(crop)))
    return made, place


def run(params: Params, out: Path, source: str, data: Path = stage.DATA) -> dict[str, float]:
    """Crop every kept picture of a source; write the crops (pictures/), manifest.jsonl, sheet.jpg, and what crops
    and pictures are compared by: fingerprints.npy and places.npy.

    Args:
        source: anime/NAME or photo/NAME.
    """
    kept = manifest.read(data / "dedup" / Path(source).name)
    pictures, home = out / stage.PICTURES, data / "crop" / stage.PICTURES / source
    work = functools.partial(_crop_picture, params=params.crop, out=pictures, home=home)
    results = list(stage.parallel(work, kept, params.workers, f"crop {source}", "pictures"))
    made = [crop for crops, _ in results for crop in crops]
    rows = [row for row, _ in made]
    manifest.write(out, rows)
    fingerprints.write(out, [fingerprint for _, fingerprint in made])
    places.write(out, [place for _, place in results])
    crops = manifest.kept(rows)
    shown = sheets.evenly_spaced(crops, _SHEET_CROPS)
    sheet = sheets.contact_sheet((images.read(pictures / f"{row.id}.png") for row in shown), columns=12, cell_px=128)
    images.write(out / "sheet.jpg", sheet)
    reasons = Counter(row.reason for row in rows)
    return {"crops": len(crops), **{reason: reasons[reason] for reason in ("too_small", "flat", "covered")}}


if __name__ == "__main__":
    stage.main_of_source("crop", run, load, "anime/NAME or photo/NAME, of a film, of footage, or photo/photos")
