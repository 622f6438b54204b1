"""Crops by manifest row, whether they lie in folders (data/) or in WebDataset shards."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.core import files, manifest, stage
from pipeline.core.errors import UserError
from pipeline.core.manifest import Domain, Row, Split
from pipeline.core.text import repro_command
from pipeline.dataset import shards
from pipeline.media import images
from pipeline.media.images import Picture

EDGE_SMOOTH = "edge_smooth"
"""The stage that makes the copies of film crops."""


def list_crops(dataset: Path, domain: Domain, split: Split) -> list[Row]:
    """List the rows of the crops of one domain and split; [] if its manifest has none.

    Args:
        dataset: a folder with a manifest (data/split) or with shards (`dataset` in params.yaml).

    Raises:
        UserError: the folder holds neither for this domain, no shards of this split, or what it holds is damaged.
    """
    if shards.contain(dataset, domain):
        return shards.rows_of(dataset, domain, split)
    if not (dataset / domain / manifest.MANIFEST).is_file():
        raise UserError(
            f"{dataset}, named by dataset: in params.yaml, holds neither crops nor shards: run dvc repro split, or genga pack"
        )
    return manifest.kept(manifest.read(dataset / domain), domain, split)


def read_crop(row: Row, project: Path = Path()) -> Picture:
    """Decode the picture of a row: uint8 RGB HxWx3.

    Args:
        project: the folder that the row's `file` is relative to.

    Raises:
        UserError: the picture is missing, damaged, or not the one that the row describes.
    """
    path = project / (row.file or "")
    if not shards.is_inside(path):
        return images.read(manifest.file_of(row, project))
    content = shards.read_member(path)
    if row.digest is not None and files.digest(content) != row.digest:
        raise UserError(f"{path} is damaged: fetch {path.parent} again, or run genga pack")
    return images.read(path, data=content)


def edge_smoothed_rows(data: Path, rows: Sequence[Row]) -> list[Row]:
    """Find the row of the edge-smoothed copy of each film crop, in the order of the crops.

    Args:
        data: the folder data/.
        rows: film crops, at least one; either all in data/ or all in shards.

    Raises:
        UserError: a crop in data/ has no copy. In shards this is not checked: `read_crop` raises it when the copy is read.
    """
    if shards.is_inside(Path(rows[0].file or "")):
        suffix = f".{EDGE_SMOOTH}.png"
        return [row.model_copy(update={"file": (row.file or "").removesuffix(".png") + suffix, "digest": None}) for row in rows]
    about = data / EDGE_SMOOTH / stage.ABOUT
    copies = {row.id: row for row in manifest.kept(manifest.of_sources(about, rows))}
    if missing := [row.id for row in rows if row.id not in copies]:
        lacks = f"data/{EDGE_SMOOTH} has no picture for {missing[0]} ({len(missing)} missing)"
        raise UserError(f"{lacks}: run {repro_command(about)}")
    return [copies[row.id] for row in rows]
