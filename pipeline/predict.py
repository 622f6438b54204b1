"""Stage: the photos of the pred split, and photos of one's own, redrawn whole and in their own size.

`pictures/` holds the results (PNG), `sheet.jpg` photo beside result, `manifest.jsonl` whose picture is whose.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from pipeline.core import manifest, stage
from pipeline.core.errors import UserError
from pipeline.core.manifest import Row
from pipeline.inference import photos as files
from pipeline.inference.photos import GAP_PX, Look, Redraws, beside, name_results
from pipeline.inference.stylizer import Stylizer
from pipeline.media import images, sheets
from pipeline.media.images import Picture
from pipeline.params.schema import Params, load

PICTURES = "pictures"
SHEET = "sheet.jpg"
CELL_PX = 480
SHEET_PAIRS = 24
OWN = "predict.input"

log = logging.getLogger("genga")


class Photo(NamedTuple):
    """A photo to be redrawn."""

    id: str
    source: str
    path: Path
    shot: str | None = None


def photos_of_split(rows: Iterable[Row]) -> list[Photo]:
    """The photos that `split` kept whole to be redrawn."""
    kept = manifest.kept(rows, "photo", "pred")
    return [Photo(row.id, row.source, manifest.file_of(row), row.shot) for row in kept if row.file]


def photos_of_user(place: str) -> list[Photo]:
    """The photos under `predict.input`, perhaps none; ids follow their path in it."""
    root = Path(place).expanduser()
    if not root.exists():
        raise UserError(f"{OWN}: {root} does not exist: give a photo, or a folder of photos (it may be empty)")
    above = root if root.is_dir() else root.parent
    return [Photo(f"{OWN}/{path.relative_to(above).as_posix()}", OWN, path) for path in images.find(root, allow_empty=True)]


def redraw(
    photos: Iterable[Photo], redraws: Redraws, out: Path, place: PurePosixPath, max_megapixels: float, look: Look | None = None
) -> tuple[list[Row], list[Picture]]:
    """Redraw each photo into `out`; one that cannot be is told in a line and becomes a row with a reason.

    Args:
        place: the folder's final path, for the rows.

    Returns:
        A row for each photo, and some photo-beside-result pictures for the sheet, evenly spread.
    """
    todo = list(photos)
    names = name_results(PurePosixPath(photo.path.name) for photo in todo)
    shown = set(np.linspace(0, len(todo) - 1, min(SHEET_PAIRS, len(todo))).round().astype(int).tolist())
    rows, pairs = [], []
    out.mkdir(parents=True, exist_ok=True)
    plan = [(photo.path, out / name) for photo, name in zip(todo, names, strict=True)]
    each = files.redraw(plan, redraws, look or Look(), max_megapixels, CELL_PX)
    for index, made in enumerate(stage.progress(each, "redraw", "photos", len(todo))):
        photo = todo[index]
        row = Row(
            id=photo.id, domain="photo", source=photo.source, file=None, width_px=0, height_px=0,
            shot=photo.shot, parent=photo.id, split="pred",
        )  # fmt: skip
        if made.digest is None:
            reason = str(made.reason)
            reason += " (predict.max_megapixels)" if "over the limit" in reason else ""
            log.warning("left out: %s", reason)
            rows.append(row.model_copy(update={"reason": reason}))
            continue
        told = {
            "file": str(place / names[index]),
            "digest": made.digest,
            "width_px": made.width_px,
            "height_px": made.height_px,
        }
        rows.append(row.model_copy(update=told))
        if index in shown and made.small is not None:
            pairs.append(beside(*made.small))
    return rows, pairs


def run_in(params: Params, out: Path, data: Path, redraws: Redraws | None = None) -> Mapping[str, float]:
    """Redraw what params ask for into `out`, which becomes `data`/predict; `redraws` stands in for the trained generator."""
    photos = photos_of_split(manifest.read(data / "split")) + photos_of_user(params.predict.input)
    rows: list[Row] = []
    pairs: list[Picture] = []
    if photos:
        section = params.predict
        redraws = redraws or Stylizer(
            data / "train" / "generator.safetensors", max_megapixels=section.max_megapixels, memory_mb=section.memory_mb
        )
        place = PurePosixPath(data.as_posix()) / "predict" / PICTURES
        look = Look(strength=section.strength, keep_color=section.keep_color)
        rows, pairs = redraw(photos, redraws, out / PICTURES, place, section.max_megapixels, look)
    else:
        (out / PICTURES).mkdir()
        log.warning(
            "nothing to redraw: no photo fell to the pred split (raise split.pred, or add photos) and %s (%s) holds none: "
            "put your photos there",
            OWN,
            params.predict.input,
        )
    manifest.write(out, rows)
    images.write(out / SHEET, sheets.contact_sheet(pairs, columns=2, cell_px=2 * CELL_PX + GAP_PX))
    done = len(manifest.kept(rows))
    return {"pictures": done, "failed": len(rows) - done}


def run(params: Params, out: Path) -> Mapping[str, float]:
    """Redraw what params ask for."""
    metrics = run_in(params, out, stage.DATA)
    if metrics["pictures"]:
        final = stage.DATA / "predict"
        log.info("your pictures: %s, overview %s", final / PICTURES, final / SHEET)
    return metrics


if __name__ == "__main__":
    stage.main("predict", run, load)
