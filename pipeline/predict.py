"""Stage: redraw the photos of the pred split, and the user's own photos, whole and at full size.

`pictures/` holds the results as PNG, `sheet.jpg` shows photos beside results, `manifest.jsonl` says which result is whose.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from pipeline.core import manifest, stage
from pipeline.core.errors import UserError, log
from pipeline.core.manifest import Row
from pipeline.inference.inputs import name_results
from pipeline.inference.photos import stylize_photos
from pipeline.inference.render_options import GAP_PX, RenderOptions, side_by_side
from pipeline.inference.scaled_stylizer import ScaledStylizer
from pipeline.inference.stylizer import Stylizer
from pipeline.inference.torch_stylizer import TorchStylizer
from pipeline.media import images, sheets
from pipeline.media.images import Picture
from pipeline.params.results import PredictParams
from pipeline.params.schema import Params, load

PICTURES = "pictures"
SHEET = "sheet.jpg"
CELL_PX = 480
MAX_SHEET_PAIRS = 24
USER_SOURCE = "predict.input"


class Photo(NamedTuple):
    """A photo to redraw."""

    id: str
    source: str
    path: Path
    shot: str | None = None


def photos_of_split(rows: Iterable[Row]) -> list[Photo]:
    """List the photos of the pred split that are on this machine."""
    here = manifest.on_this_machine(manifest.kept(rows, "photo", "pred"))
    return [Photo(row.id, row.source, manifest.file_of(row), row.shot) for row in here]


def photos_of_user(location: str) -> list[Photo]:
    """List the photos at a location (`predict.input`), a photo or a folder (may be empty); ids are predict.input/PATH.

    Raises:
        UserError: nothing is there.
    """
    root = Path(location).expanduser()
    if not root.exists():
        raise UserError(f"{USER_SOURCE}: {root} does not exist: give a photo, or a folder of photos (it may be empty)")
    folder = root if root.is_dir() else root.parent
    paths = images.find(root, allow_empty=True)
    return [Photo(f"{USER_SOURCE}/{path.relative_to(folder).as_posix()}", USER_SOURCE, path) for path in paths]


def redraw(
    photos: list[Photo], stylizer: Stylizer, options: RenderOptions, out: Path, final: PurePosixPath
) -> tuple[list[Row], list[Picture]]:
    """Redraw photos into the folder `out`; one that fails is logged and becomes a row with a reason.

    Args:
        final: where `out` will lie when the stage has finished; rows name the results there.

    Returns:
        A row per photo, in order, and for at most `MAX_SHEET_PAIRS` of them, evenly spread, the photo beside its result.

    Raises:
        UserError: `out` cannot be written to.
    """
    names = name_results([PurePosixPath(photo.path.name) for photo in photos], [".png"] * len(photos))
    shown = set(np.linspace(0, len(photos) - 1, min(MAX_SHEET_PAIRS, len(photos))).round().astype(int).tolist())
    rows, pairs = [], []
    plan = [(photo.path, out / name) for photo, name in zip(photos, names, strict=True)]
    results = stage.progress(stylize_photos(plan, stylizer, options, CELL_PX), "redraw", "photos", len(photos))
    for index, (photo, name, result) in enumerate(zip(photos, names, results, strict=True)):
        row = Row(
            id=photo.id, domain="photo", source=photo.source, file=None, width_px=result.width_px, height_px=result.height_px,
            shot=photo.shot, parent=photo.id, split="pred",
        )  # fmt: skip
        if result.digest is None:
            reason = f"{result.error}{' (predict.max_megapixels)' if 'over the limit' in str(result.error) else ''}"
            log.warning("left out: %s", reason)
            rows.append(row.model_copy(update={"reason": reason}))
            continue
        rows.append(row.model_copy(update={"file": str(final / name), "digest": result.digest}))
        if index in shown and result.thumbnails is not None:
            pairs.append(side_by_side(*result.thumbnails))
    return rows, pairs


def _open_generator(section: PredictParams, data: Path) -> Stylizer:
    network = TorchStylizer.from_file(data / "train" / "generator.safetensors", max_megapixels=section.max_megapixels)
    return network if section.working_px is None else ScaledStylizer(network, section.working_px, section.max_megapixels)


def run(params: Params, out: Path, data: Path = stage.DATA, stylizer: Stylizer | None = None) -> Mapping[str, float]:
    """Redraw the photos that params name into `out`, which becomes `data`/predict.

    Args:
        stylizer: what to redraw with; None for the trained generator, which is not needed if there are no photos.
    """
    section = params.predict
    photos = photos_of_split(manifest.read(data / "split")) + photos_of_user(section.input)
    rows: list[Row] = []
    pairs: list[Picture] = []
    (out / PICTURES).mkdir()
    if photos:
        stylizer = stylizer or _open_generator(section, data)
        final = PurePosixPath(data.as_posix()) / "predict" / PICTURES
        options = RenderOptions(strength=section.strength, keep_color=section.keep_color)
        rows, pairs = redraw(photos, stylizer, options, out / PICTURES, final)
    else:
        log.warning(
            "nothing to redraw: the pred split has no photo (raise split.pred, or add photos), and neither has %s (%s): "
            "put your photos there",
            USER_SOURCE,
            section.input,
        )
    manifest.write(out, rows)
    images.write(out / SHEET, sheets.contact_sheet(pairs, columns=2, cell_px=2 * CELL_PX + GAP_PX))
    done = len(manifest.kept(rows))
    if done:
        log.info("your pictures: %s, overview %s", data / "predict" / PICTURES, data / "predict" / SHEET)
    return {"pictures": done, "failed": len(rows) - done}


if __name__ == "__main__":
    stage.main("predict", run, load)
