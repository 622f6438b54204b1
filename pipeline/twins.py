"""Twins of squares: for each square of a source a picture of the same name and size, drawn from it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline import images, manifest, stage
from pipeline.images import Picture
from pipeline.manifest import Row

_SHEET_PAIRS = 60


def make(place: str, squares: Sequence[Row], draw: Callable[[Picture], Picture], out: Path, data: Path, workers: int) -> int:
    """Write the twin of every square, manifest.jsonl and a sheet of pairs; the number of twins.

    Args:
        place: the folder of `data` that `out` will be: STAGE/SOURCE.
        draw: uint8 RGB HxWx3 to the same; it goes to other processes.
    """
    work = functools.partial(_twin, draw=draw, out=out, home=data / place)
    manifest.write(out, stage.parallel(work, squares, workers, place.replace("/", " "), "squares"))
    pairs = squares[:: max(1, -(-len(squares) // _SHEET_PAIRS))]
    pictures = (images.read(path) for row in pairs for path in (Path(row.file or ""), out / f"{row.id}.png"))
    images.write(out / "sheet.jpg", images.sheet(pictures, columns=12, cell_px=160))
    return len(squares)


def _twin(row: Row, draw: Callable[[Picture], Picture], out: Path, home: Path) -> Row:
    images.write(out / f"{row.id}.png", draw(images.read(Path(row.file or ""))))
    return row.model_copy(update={"file": (home / f"{row.id}.png").as_posix(), "parent": row.id, "box": None, "scores": {}})
