"""Manifests: the typed row that describes a picture, and the JSONL files by which stages pass rows on.

A row and its parents tell where a picture comes from: film, second, shot, box, and why it was dropped. A row also holds the
digest of its picture's file, so a manifest changes when a picture does. Stages that read pictures therefore depend on manifests
and not on the folders of pictures, at each file of which DVC would look again for every such stage.
"""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.core import files
from pipeline.core.errors import UserError, log
from pipeline.core.text import repro_command

MANIFEST = "manifest.jsonl"

Domain = Literal["anime", "photo"]
Split = Literal["train", "val", "pred"]


class Row(BaseModel):
    """One picture, kept or dropped."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(description="unique, and independent of which other films there are")
    domain: Domain = Field(description="anime: pictures of the style to learn; photo: pictures of the real world")
    source: str = Field(description="the film's or footage's name in params.yaml, or `photos`")
    file: str | None = Field(default=None, description="path from the project's folder, with /; None when no picture was kept")
    digest: str | None = Field(default=None, description="digest of that file (`files.digest`)")
    width_px: int
    height_px: int
    time_s: float | None = Field(default=None, description="second of the film (presentation time stamp)")
    shot: str | None = Field(default=None, description="its shot, named by source, episode and number; each photo is its own")
    parent: str | None = Field(default=None, description="id of the picture it was cut from")
    box: Annotated[tuple[int, int, int, int], Field()] | None = Field(
        default=None, description="x, y, width, height in the parent (of a film frame: in the decoded frame), in pixels"
    )
    avoid: list[tuple[int, int, int, int]] | None = Field(
        default=None, description="overlays (subtitle, logo): x, y, width, height in this picture, in pixels"
    )
    split: Split | None = None
    reason: str | None = Field(default=None, description="why it was dropped; None when kept")
    duplicate_of: str | None = Field(default=None, description="id of the kept picture that this one is a near-duplicate of")
    hashes: str | None = Field(default=None, description="pHash and dHash of a picture, 16 hexadecimal digits each")
    scores: dict[str, float] = Field(default_factory=dict, description="measurements by name")


def write(folder: Path, rows: Iterable[Row]) -> None:
    """Write `manifest.jsonl` into a stage's folder, in the order given."""
    with (folder / MANIFEST).open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(row.model_dump_json(exclude_none=True) + "\n")


def write_by_domain(folder: Path, rows: Sequence[Row]) -> None:
    """Write `manifest.jsonl`, and the rows of each domain again in a folder of its name.

    Stages that read photos alone depend on `photo/`, and so are not repeated when a film is added or removed.
    """
    write(folder, rows)
    domains: tuple[Domain, ...] = ("anime", "photo")
    for domain in domains:
        (folder / domain).mkdir(exist_ok=True)
        write(folder / domain, [row for row in rows if row.domain == domain])


def read(folder: Path) -> list[Row]:
    """Read all rows of `manifest.jsonl` in a stage's folder: data/STAGE, or data/STAGE/about/SOURCE if it runs for each source.

    Raises:
        UserError: the manifest is missing or damaged.
    """
    path = folder / MANIFEST
    try:
        lines = path.read_text("utf-8").removesuffix("\n").split("\n")
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run {repro_command(path)}, which writes it") from None
    try:
        return [Row.model_validate_json(line) for line in lines if line]
    except ValidationError as error:
        raise UserError(
            f"{path} is damaged ({error.error_count()} errors): delete {folder} and run {repro_command(path)}"
        ) from None


def file_of(row: Row, project: Path = Path()) -> Path:
    """Return the path of a row's picture, after checking that the file has the row's digest (a row without one is not checked).

    Args:
        project: the folder that the row's path starts from.

    Raises:
        UserError: the file is missing, unreadable, or has changed.
    """
    path = project / (row.file or "")
    if row.digest is not None:
        try:
            same = files.digest(path) == row.digest
        except FileNotFoundError:
            raise UserError(
                f"{path} is missing: run {repro_command(path)}, which restores it or makes it again (or dvc pull, if "
                "--allow-missing or a fresh clone left pictures out)"
            ) from None
        except OSError as error:
            raise UserError(
                f"{path} cannot be read ({error.strerror}): correct its permissions, or delete it and run {repro_command(path)}"
            ) from None
        if not same:
            raise UserError(
                f"{path} has changed since it was listed: run {repro_command(path)}, which restores it or takes the change over"
            )
    return path


def on_this_machine(rows: Sequence[Row], project: Path = Path()) -> list[Row]:
    """Select the rows whose picture exists in `project`: a clone may lack the user's photos. A warning counts missing files."""
    absent = [row.file for row in rows if row.file and not (project / row.file).exists()]
    if absent:
        log.warning("%d of %d photos are not on this machine and are left out: %s, ...", len(absent), len(rows), absent[0])
    return [row for row in rows if row.file and row.file not in absent]


def of_sources(folder: Path, rows: Iterable[Row]) -> list[Row]:
    """Read all rows that a stage has written for the sources that occur in `rows`, source by source in order of occurrence.

    Args:
        folder: data/STAGE/about, with a folder for each source.

    Raises:
        UserError: the manifest of a source is missing or damaged.
    """
    return [row for source in dict.fromkeys(row.source for row in rows) for row in read(folder / source)]


def kept(rows: Iterable[Row], domain: Domain | None = None, split: Split | None = None) -> list[Row]:
    """Select the rows that were not dropped, of one domain and one split if given."""
    return [
        row
        for row in rows
        if row.reason is None and (domain is None or row.domain == domain) and (split is None or row.split == split)
    ]


def number(seed: int, *names: str | int) -> int:
    """Derive a 64-bit number from a seed and some names: the same on every machine and in any order of work."""
    text = "\0".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=8).digest(), "big")


def rng(seed: int, *names: str | int) -> np.random.Generator:
    """Create a random generator from a seed and some names: `rng(seed, row.id)` depends on neither workers nor other rows."""
    return np.random.default_rng(number(seed, *names))
