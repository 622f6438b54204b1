"""Twins of crops: for each crop of a source a picture of the same name and size, drawn from it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.core import manifest, stage
from pipeline.core.manifest import Row
from pipeline.media import images, sheets
from pipeline.media.images import Picture

_SHEET_PAIRS = 60


def make(place: str, crops: Sequence[Row], draw: Callable[[Picture], Picture], out: Path, data: Path, workers: int) -> int:
    """Write the twin of every crop (pictures/), manifest.jsonl and a sheet of pairs; the number of twins.

    Args:
        place: whose they are: STAGE/SOURCE.
        draw: uint8 RGB HxWx3 to the same; it goes to other processes.
    """
    name, _, source = place.partition("/")
    work = functools.partial(_twin, draw=draw, out=out / stage.PICTURES, home=data / name / stage.PICTURES / source)
    manifest.write(out, stage.parallel(work, crops, workers, place.replace("/", " "), "crops"))
    pairs = crops[:: max(1, -(-len(crops) // _SHEET_PAIRS))]
    pictures = (images.read(path) for row in pairs for path in (manifest.file_of(row), out / stage.PICTURES / f"{row.id}.png"))
    images.write(out / "sheet.jpg", sheets.contact_sheet(pictures, columns=12, cell_px=160))
    return len(crops)


def _twin(row: Row, draw: Callable[[Picture], Picture], out: Path, home: Path) -> Row:
    digest = images.write(out / f"{row.id}.png", draw(images.read(manifest.file_of(row))))
    file = (home / f"{row.id}.png").as_posix()
    return row.model_copy(update={"file": file, "digest": digest, "parent": row.id, "box": None, "scores": {}})
