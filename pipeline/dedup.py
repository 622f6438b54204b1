"""Stage: which key frames and photographs are worth training on. Every picture dropped has a reason; none is deleted.

    python -m pipeline.dedup

Worthless pictures first (credits, dark, blank, blurred), then near-duplicates: two pictures are the same when two
perceptual hashes of different kind agree, because each alone is fooled (PIPELINE_FACTS, section 3). The sharpest of a family is
kept. Films are gone through in the order of params.yaml, so adding one at the end changes nothing in those before it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline import images, manifest, near, stage
from pipeline.faults import Fault
from pipeline.images import Picture
from pipeline.manifest import Row
from pipeline.near import Library
from pipeline.params import DedupParams, Params

Reason = Literal["dark", "blank", "blurred", "credits", "near_duplicate"]

_MEASURE_WIDTH = 480
_LETTER_PX = 9  # strokes thinner than this at the measuring width may be lettering
_LETTER_LUMA = 40  # and they are this much brighter than what is behind them
_LEAST_LETTERING = 0.002  # share of the picture
_SHEET_PICTURES = 96


@dataclass(frozen=True)
class Measures:
    """What a picture is judged by."""

    width_px: int
    height_px: int
    luma_p95: float  # 95th percentile of luma, 0-255
    luma_std: float  # standard deviation of luma
    sharpness: float  # variance of the Laplacian of luma at 480 px width
    lettering: float  # share of edges that belong to thin bright strokes; 0 where there are hardly any strokes
    phash: int
    dhash: int


def measure(picture: Picture) -> Measures:
    """Measure a picture (uint8 RGB HxWx3)."""
    full = images.luma(picture)
    height = max(9, round(_MEASURE_WIDTH * full.shape[0] / full.shape[1]))
    grey = images.resize(full, _MEASURE_WIDTH, height)
    return Measures(
        width_px=picture.shape[1],
        height_px=picture.shape[0],
        luma_p95=float(np.percentile(grey, 95)),
        luma_std=float(grey.std()),
        sharpness=images.sharpness(grey),
        lettering=lettering(grey),
        phash=near.phash(grey),
        dhash=near.dhash(grey),
    )


def lettering(grey: NDArray[np.uint8]) -> float:
    """How far a picture is nothing but bright lettering on a calm ground: 0 to 1.

    The share of Canny's edges that lie at thin bright strokes (white top-hat). Credits and title cards reach 0.99 on any
    ground, pictures of the world stay under 0.94 (measured on Big Buck Bunny and Sintel). Dark letters on a bright ground
    are not looked for: ink lines of a drawing would pass for them.

    Args:
        grey: uint8 HxW, 480 wide.
    """
    opened = cv2.morphologyEx(grey, cv2.MORPH_OPEN, np.ones((_LETTER_PX, _LETTER_PX), np.uint8))
    strokes = (cv2.subtract(grey, opened) > _LETTER_LUMA).astype(np.uint8)
    edges = cv2.Canny(grey, 100, 200) > 0
    if strokes.mean() < _LEAST_LETTERING or not edges.any():
        return 0.0
    near = cv2.dilate(strokes, np.ones((5, 5), np.uint8)) > 0
    return float((edges & near).sum() / edges.sum())


def judge(measures: Measures, params: DedupParams, drawn: bool) -> Reason | None:
    """Why a picture is worthless by itself, or None. `drawn`: a film frame, which may be credits."""
    if drawn and measures.lettering >= params.credits_lettering:
        return "credits"
    if measures.luma_p95 <= params.dark_luma:
        return "dark"
    if measures.luma_std <= params.blank_std:
        return "blank"
    if measures.sharpness <= params.blur_sharpness:
        return "blurred"
    return None


def cull(rows: Sequence[Row], measured: Sequence[Measures], library: Library, params: DedupParams) -> list[Row]:
    """The rows of one source with reasons and scores filled in, in their own order; what is kept goes into the library."""
    reasons: dict[str, tuple[Reason | None, str | None]] = {}
    worthy: list[tuple[str, Measures]] = []
    for row, one in sorted(zip(rows, measured, strict=True), key=lambda pair: (-pair[1].sharpness, pair[0].id)):
        reasons[row.id] = (judge(one, params, row.domain == "anime"), None)
        if reasons[row.id][0] is None:
            worthy.append((row.id, one))
    rivals = library.take([name for name, _ in worthy], near.hashes_of((one.phash, one.dhash) for _, one in worthy))
    reasons |= {name: ("near_duplicate", rival) for (name, _), rival in zip(worthy, rivals, strict=True) if rival is not None}
    return [
        row.model_copy(update={"reason": reasons[row.id][0], "rival": reasons[row.id][1], "scores": row.scores | _scores(one)})
        for row, one in zip(rows, measured, strict=True)
    ]


def _scores(one: Measures) -> dict[str, float]:
    return {
        "luma_p95": round(one.luma_p95, 1),
        "luma_std": round(one.luma_std, 1),
        "sharpness": round(one.sharpness, 1),
        "lettering": round(one.lettering, 3),
    }


def still_rows(photos: Path, allow_empty: bool = False) -> list[Row]:
    """A row for each photograph of a folder, its size not yet known."""
    root = photos if photos.is_dir() else photos.parent
    rows = []
    for path in images.find(photos, allow_empty):
        inside = path.relative_to(root)
        name = f"{inside.stem}-{manifest.number(0, inside.as_posix()) & 0xFFFFFF:06x}"
        rows.append(Row(id=name, domain="photo", source="photos", file=path.as_posix(), width_px=0, height_px=0, shot=name))
    return rows


def _measure_row(row: Row) -> Measures | str:
    """Measures of a row's picture, or what is wrong with its file."""
    try:
        return measure(images.read(Path(row.file or "")))
    except Fault as fault:
        return str(fault)


def run(params: Params, out: Path, data: Path = stage.DATA) -> dict[str, float]:
    """Judge all key frames and photographs; write manifest.jsonl and contact sheets of what was kept and dropped.

    Raises:
        Fault: pictures are damaged (all are named), or nothing is left of one side.
    """
    sources = [manifest.read(data / "keyframes" / name) for name in [*params.films, *params.footage]]
    sources.append(still_rows(Path(params.photos), allow_empty=bool(params.footage)))
    everything = [row for rows in sources for row in rows]
    results = list(stage.parallel(_measure_row, everything, params.workers, "dedup", "pictures"))
    broken = [text for text in results if isinstance(text, str)]
    if broken:
        raise Fault(f"{len(broken)} of {len(everything)} pictures cannot be read:\n  " + "\n  ".join(broken))
    measured = {row.id: one for row, one in zip(everything, results, strict=True) if isinstance(one, Measures)}
    libraries = {"anime": Library(params.dedup.max_distance), "photo": Library(params.dedup.max_distance)}
    rows = [
        row.model_copy(update={"width_px": measured[row.id].width_px, "height_px": measured[row.id].height_px})
        for group in sources
        if group
        for row in cull(group, [measured[row.id] for row in group], libraries[group[0].domain], params.dedup)
    ]
    for domain, remedy in (("anime", "films: in params.yaml"), ("photo", "photos: or footage: in params.yaml")):
        if not any(row.domain == domain and row.reason is None for row in rows):
            raise Fault(
                f"every {domain} picture was dropped: give better ones under {remedy}, or loosen the thresholds under dedup:"
            )
    manifest.write(out, rows)
    _write_sheet(out / "sheet_kept.jpg", [row for row in rows if row.reason is None])
    _write_sheet(out / "sheet_dropped.jpg", [row for row in rows if row.reason is not None])
    counts = Counter(f"{row.domain}_{row.reason or 'kept'}" for row in rows)
    return dict(sorted(counts.items()))


def _write_sheet(path: Path, rows: Sequence[Row]) -> None:
    shown = rows[:: max(1, -(-len(rows) // _SHEET_PICTURES))]
    captions = [f"{row.reason or row.source} {'' if row.time_s is None else f'{row.time_s:.1f} s'}" for row in shown]
    pictures = (images.shrink(images.read(Path(row.file or "")), 256) for row in shown)
    images.write(path, images.sheet(pictures, captions))


if __name__ == "__main__":
    stage.main("dedup", run)
