"""Stage: the photographs of a folder, each measured as a film's key frames are; those that cannot be read are left out, named.

python -m pipeline.photo_index
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from pipeline.core import files, manifest, stage
from pipeline.core.errors import UserError
from pipeline.core.manifest import Row
from pipeline.frames import quality
from pipeline.media import images
from pipeline.params.schema import PHOTOS, Params, load

_NAMED = 20  # unreadable photographs named in a warning

log = logging.getLogger("genga")


def still_rows(photos: Path) -> list[Row]:
    """A row for each photograph of a folder, which may be empty; its size is not yet known."""
    root = photos if photos.is_dir() else photos.parent
    rows = []
    for path in images.find(photos, allow_empty=True, include_unsupported=True):
        inside = path.relative_to(root)
        name = f"{inside.stem}-{manifest.number(0, inside.as_posix()) & 0xFFFFFF:06x}"
        file = path.as_posix()
        rows.append(Row(id=name, domain="photo", source=PHOTOS, file=file, width_px=0, height_px=0, shot=name))
    return rows


def _measured(row: Row) -> Row | str:
    """The row with what was measured on its picture, or what is wrong with its file."""
    try:
        picture = images.read(Path(row.file or ""))
    except UserError as fault:
        return str(fault)
    found = quality.measure(picture)
    height, width = picture.shape[:2]
    measured = {"width_px": width, "height_px": height, "scores": found.scores, "hashes": found.hashes}
    return row.model_copy(update=measured | {"digest": files.digest(Path(row.file or ""))})


def _tell(texts: Sequence[str], count: int, stop: bool) -> None:
    """Name the photographs that cannot be read."""
    if texts and stop:
        head = f"{len(texts)} of {count} photographs cannot be read: mend them, or set dedup.on_bad_photo to skip"
        raise UserError("\n  ".join([head, *texts]))
    if texts:
        named = [*texts[:_NAMED], *[f"and {len(texts) - _NAMED} more"] * (len(texts) > _NAMED)]
        log.warning("%d of %d photographs cannot be read and are left out:\n  %s", len(texts), count, "\n  ".join(named))


def run(params: Params, out: Path) -> dict[str, float]:
    """Write manifest.jsonl: a row a photograph, last those that cannot be read, with that reason.

    Raises:
        UserError: the folder does not exist, or a photograph cannot be read and dedup.on_bad_photo says stop; all are named.
    """
    rows = still_rows(Path(params.photos))
    found = list(stage.parallel(_measured, rows, params.workers, "photo_index", "photographs"))
    _tell([text for text in found if isinstance(text, str)], len(rows), params.dedup.on_bad_photo == "stop")
    unreadable = [
        row.model_copy(update={"reason": "unreadable"}) for row, one in zip(rows, found, strict=True) if isinstance(one, str)
    ]
    manifest.write(out, [*(one for one in found if isinstance(one, Row)), *unreadable])
    return {"photographs": len(rows) - len(unreadable), "unreadable": len(unreadable)}


if __name__ == "__main__":
    stage.main("photo_index", run, load)
