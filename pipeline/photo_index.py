"""Stage: measure every photograph of a folder as key frames of films are measured; report those that cannot be read.

python -m pipeline.photo_index
"""

from collections.abc import Sequence
from pathlib import Path

from pipeline.core import files, manifest, stage
from pipeline.core.errors import UserError, log
from pipeline.core.manifest import Row
from pipeline.core.text import is_unicode, printable, safe_name
from pipeline.frames import quality
from pipeline.media import images
from pipeline.params.schema import PHOTOS, Params, load

_MAX_REPORTED = 20  # unreadable photographs named in a warning


def photo_rows(photos: Path) -> list[Row]:
    """List a photograph, or those of a folder, as rows of size 0x0; a path that is not UTF-8 is in `parent`, not in `file`."""
    root = photos if photos.is_dir() else photos.parent
    rows = []
    for path in images.find(photos, allow_empty=True, include_unsupported=True):
        inside = path.relative_to(root)
        name = f"{safe_name(inside.stem)}-{manifest.number(0, inside.as_posix()) & 0xFFFFFF:06x}"
        row = Row(id=name, domain="photo", source=PHOTOS, width_px=0, height_px=0, shot=name)
        where = {"file": path.as_posix()} if is_unicode(path) else {"parent": printable(path.as_posix())}
        rows.append(row.model_copy(update=where))
    return rows


def _measure(row: Row) -> Row | str:
    """Measure a photograph; return its completed row, or why it cannot be read."""
    if row.file is None:
        return f"{row.parent} has a name that is not UTF-8, so that DVC cannot track it: rename it"
    path = Path(row.file)
    try:
        picture = images.read(path)
    except UserError as error:
        return str(error)
    measured = quality.measure(picture)
    height, width = picture.shape[:2]
    update = {"width_px": width, "height_px": height, "scores": measured.scores, "hashes": measured.hashes}
    if (frames := images.frame_count(path)) > 1:
        log.warning("%s has %d frames, of which the first is used: give it as footage to use all", path, frames)
    return row.model_copy(update=update | {"digest": files.digest(path)})


def _report_unreadable(texts: Sequence[str], count: int, stop: bool) -> None:
    if texts and stop:
        head = f"{len(texts)} of {count} photographs cannot be read: fix them, or set dedup.on_bad_photo to skip"
        raise UserError("\n  ".join([head, *texts]))
    if texts:
        named = [*texts[:_MAX_REPORTED], *[f"and {len(texts) - _MAX_REPORTED} more"] * (len(texts) > _MAX_REPORTED)]
        text = "\n  ".join(named)
        log.warning("%d of %d photographs cannot be read and are left out:\n  %s", len(texts), count, text)


def run(params: Params, out: Path) -> dict[str, float]:
    """Write manifest.jsonl with a row for each photograph; those that cannot be read come last, with that reason.

    Raises:
        UserError: the folder does not exist; or some photographs cannot be read (all are named) and dedup.on_bad_photo is stop.
    """
    rows = photo_rows(Path(params.photos))
    results = list(stage.parallel(_measure, rows, params.workers, "photo_index", "photographs"))
    _report_unreadable([text for text in results if isinstance(text, str)], len(rows), params.dedup.on_bad_photo == "stop")
    readable = [result for result in results if isinstance(result, Row)]
    failed = [row for row, result in zip(rows, results, strict=True) if isinstance(result, str)]
    manifest.write(out, [*readable, *(row.model_copy(update={"reason": "unreadable"}) for row in failed)])
    return {"photographs": len(readable), "unreadable": len(failed)}


if __name__ == "__main__":
    stage.main("photo_index", run, load)
