"""Stage: which key frames and photographs are worth training on. Every picture dropped has a reason; none is deleted.

    python -m pipeline.dedup

Worthless pictures first (credits, dark, blank, blurred), then near-duplicates: two pictures are the same when two
perceptual hashes of different kind agree, because each alone is fooled (PIPELINE_FACTS, section 3). The sharpest of a family is
kept. Films are gone through in the order of params.yaml, so adding one at the end changes nothing in those before it.
Over all this stands what a person said in data/keep.txt and data/drop.txt.
"""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline import images, manifest, near, overrule, stage
from pipeline.faults import Fault
from pipeline.images import Picture
from pipeline.manifest import Row
from pipeline.near import Library
from pipeline.overrule import Verdict
from pipeline.params import DedupParams, Params

Reason = Literal["dark", "blank", "blurred", "credits", "near_duplicate", "by_hand", "unreadable"]

_FORCED: Mapping[Verdict, Reason | None] = {"keep": None, "drop": "by_hand"}
_MEASURE_WIDTH = 480
_LETTER_PX = 9  # strokes thinner than this at the measuring width may be lettering
_LETTER_LUMA = 40  # and they are this much brighter than what is behind them
_LEAST_LETTERING = 0.002  # share of the picture
_SHEET_PICTURES = 96
_NAMED = 20  # unreadable photographs named in a warning

log = logging.getLogger("genga")


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
    # A picture a few pixels wide would otherwise become one of millions of rows.
    height = min(max(9, round(_MEASURE_WIDTH * full.shape[0] / full.shape[1])), 9 * _MEASURE_WIDTH)
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


def cull(
    rows: Sequence[Row],
    measured: Sequence[Measures],
    library: Library,
    params: DedupParams,
    forced: Mapping[str, Verdict] = MappingProxyType({}),
) -> list[Row]:
    """The rows of one source with reasons and scores filled in, in their own order; what is kept goes into the library.

    Args:
        forced: what a person said, by id; it stands whatever is measured.
    """
    reasons: dict[str, tuple[Reason | None, str | None]] = {}
    worthy: list[tuple[str, Measures]] = []
    for row, one in sorted(zip(rows, measured, strict=True), key=lambda pair: (-pair[1].sharpness, pair[0].id)):
        verdict = forced.get(row.id)
        reason = judge(one, params, row.domain == "anime") if verdict is None else _FORCED[verdict]
        reasons[row.id] = (reason, None)
        if reason is None:
            worthy.append((row.id, one))
    for by_hand, group in itertools.groupby(worthy, lambda pair: pair[0] in forced):
        ids, looks = zip(*((name, (one.phash, one.dhash)) for name, one in group), strict=True)
        if by_hand:
            library.add(ids, near.hashes_of(looks))
            continue
        for name, rival in zip(ids, library.take(ids, near.hashes_of(looks)), strict=True):
            if rival is not None:
                reasons[name] = ("near_duplicate", rival)
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
    for path in images.find(photos, allow_empty, undecoded=True):
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


def _left_out(stills: Sequence[Row], broken: Mapping[str, str], params: DedupParams) -> list[Row]:
    """The rows of photographs that cannot be read, with that reason; they are named in a warning.

    Args:
        broken: what is wrong with each picture that cannot be read, by id.

    Raises:
        Fault: a key frame is among the broken, or a photograph is and dedup.on_bad_photo says stop; all are named.
    """
    rows = [row.model_copy(update={"reason": "unreadable"}) for row in stills if row.id in broken]
    texts = [broken[row.id] for row in rows]
    if frames := [text for name, text in broken.items() if name not in {row.id for row in rows}]:
        raise Fault("\n  ".join([f"{len(frames)} key frames cannot be read: delete data/keyframes and run dvc repro", *frames]))
    if texts and params.on_bad_photo == "stop":
        head = f"{len(texts)} of {len(stills)} photographs cannot be read: mend them, or set dedup.on_bad_photo to skip"
        raise Fault("\n  ".join([head, *texts]))
    if texts:
        named = texts[:_NAMED] + [f"and {len(texts) - _NAMED} more"] * (len(texts) > _NAMED)
        log.warning("%d of %d photographs cannot be read and are left out:\n  %s", len(texts), len(stills), "\n  ".join(named))
    return rows


def run(params: Params, out: Path, data: Path = stage.DATA) -> dict[str, float]:
    """Judge all key frames and photographs; write manifest.jsonl and contact sheets of what was kept and dropped.

    Raises:
        Fault: pictures that may not be left out are damaged (all are named), a list of ids is not sound, or nothing is left of
            one side.
    """
    forced = overrule.read(data)
    sources = [manifest.read(data / "keyframes" / name) for name in [*params.films, *params.footage]]
    sources.append(still_rows(Path(params.photos), allow_empty=bool(params.footage)))
    everything = [row for rows in sources for row in rows]
    overrule.warn_of_unknown(forced, (row.id for row in everything), data)
    results = list(stage.parallel(_measure_row, everything, params.workers, "dedup", "pictures"))
    broken = {row.id: text for row, text in zip(everything, results, strict=True) if isinstance(text, str)}
    unreadable = _left_out(sources[-1], broken, params.dedup)
    sources[-1] = [row for row in sources[-1] if row.id not in broken]
    measured = {row.id: one for row, one in zip(everything, results, strict=True) if isinstance(one, Measures)}
    libraries = {"anime": Library(params.dedup.max_distance), "photo": Library(params.dedup.max_distance)}
    rows = [
        row.model_copy(update={"width_px": measured[row.id].width_px, "height_px": measured[row.id].height_px})
        for group in sources
        if group
        for row in cull(group, [measured[row.id] for row in group], libraries[group[0].domain], params.dedup, forced)
    ]
    rows += unreadable
    for domain, remedy in (("anime", "films: in params.yaml"), ("photo", "photos: or footage: in params.yaml")):
        if not any(row.domain == domain and row.reason is None for row in rows):
            raise Fault(
                f"every {domain} picture was dropped: give better ones under {remedy}, loosen the thresholds under dedup:, "
                "or take ids out of data/drop.txt"
            )
    manifest.write(out, rows)
    _write_sheet(out / "sheet_kept.jpg", [row for row in rows if row.reason is None])
    _write_sheet(out / "sheet_dropped.jpg", [row for row in rows if row.reason not in (None, "unreadable")])
    counts = Counter(f"{row.domain}_{row.reason or 'kept'}" for row in rows)
    return dict(sorted(counts.items()))


def _write_sheet(path: Path, rows: Sequence[Row]) -> None:
    shown = rows[:: max(1, -(-len(rows) // _SHEET_PICTURES))]
    captions = [f"{row.reason or row.source} {'' if row.time_s is None else f'{row.time_s:.1f} s'}" for row in shown]
    pictures = (images.shrink(images.read(Path(row.file or "")), 256) for row in shown)
    images.write(path, images.sheet(pictures, captions))


if __name__ == "__main__":
    stage.main("dedup", run)
