"""Make paired pictures: for each crop of a source, a filtered picture of the same name and size."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.core import manifest, stage
from pipeline.core.manifest import Row
from pipeline.dataset.crop_files import PairedStage
from pipeline.media import images, sheets
from pipeline.media.images import Picture

_SHEET_PAIRS = 60


def write_pairs(
    stage_name: PairedStage,
    source: str,
    crops: Sequence[Row],
    transform: Callable[[Picture], Picture],
    out: Path,
    data: Path,
    workers: int,
) -> int:
    """Write a transformed picture of each crop (pictures/), manifest.jsonl and a contact sheet; return the number of pictures.

    Args:
        transform: maps uint8 RGB HxWx3 to the same; it must be picklable, as worker processes call it.
        out: the folder to fill.
        data: the folder data/, where `out` will end up.
    """
    home = data / stage_name / stage.PICTURES / source
    work = functools.partial(_write_one, transform=transform, out=out / stage.PICTURES, home=home)
    manifest.write(out, stage.parallel(work, crops, workers, f"{stage_name} {source}", "crops"))
    shown = sheets.evenly_spaced(crops, _SHEET_PAIRS)
    pictures = (images.read(path) for row in shown for path in (manifest.file_of(row), out / stage.PICTURES / f"{row.id}.png"))
    images.write(out / "sheet.jpg", sheets.contact_sheet(pictures, columns=12, cell_px=160))
    return len(crops)


def _write_one(row: Row, transform: Callable[[Picture], Picture], out: Path, home: Path) -> Row:
    digest = images.write(out / f"{row.id}.png", transform(images.read(manifest.file_of(row))))
    file = (home / f"{row.id}.png").as_posix()
    return row.model_copy(update={"file": file, "digest": digest, "parent": row.id, "box": None, "scores": {}})
