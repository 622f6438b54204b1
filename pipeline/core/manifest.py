"""The typed row that stages hand to each other, and its JSONL file.

A picture's whole life can be read off its row and its parents': which film, which second, which shot, which box, and why it
was dropped. A row also tells what its picture's file holds, so a manifest changes when a picture does: stages that read
pictures depend on what lists them and never on the pictures, at each of which DVC would look once more for every such stage.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.core import files
from pipeline.core.errors import UserError

MANIFEST = "manifest.jsonl"

Domain = Literal["anime", "photo"]
Split = Literal["train", "val", "pred"]


class Row(BaseModel):
    """One picture, kept or dropped."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(description="unique, and the same whatever other films are there")
    domain: Domain = Field(description="anime: the look to learn; photo: the world to redraw")
    source: str = Field(description="the film's or footage's name in params.yaml, or `photos`")
    file: str | None = Field(default=None, description="path from the project's folder, with /; None when no picture was kept")
    digest: str | None = Field(default=None, description="what that file holds (`files.digest`)")
    width_px: int
    height_px: int
    time_s: float | None = Field(default=None, description="second of the film (presentation time stamp)")
    shot: str | None = Field(default=None, description="the shot, named by source, episode and number; a photo is its own shot")
    parent: str | None = Field(default=None, description="id of the picture it was cut from")
    box: Annotated[tuple[int, int, int, int], Field()] | None = Field(
        default=None, description="x, y, width, height in the parent (for a film frame: in the decoded frame), pixels"
    )
    avoid: list[tuple[int, int, int, int]] | None = Field(
        default=None, description="what was laid over the picture (subtitle, logo): x, y, width, height in its own pixels"
    )
    split: Split | None = None
    reason: str | None = Field(default=None, description="why it was dropped; None when kept")
    duplicate_of: str | None = Field(default=None, description="id of the kept picture that this one is a near-duplicate of")
    hashes: str | None = Field(default=None, description="pHash and dHash of a picture, 16 hexadecimal digits each")
    scores: dict[str, float] = Field(default_factory=dict, description="what was measured on it, by name")


def write(folder: Path, rows: Iterable[Row]) -> None:
    """Write `manifest.jsonl` into a stage's folder, in the order given."""
    with (folder / MANIFEST).open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(row.model_dump_json(exclude_none=True) + "\n")


def write_by_domain(folder: Path, rows: Sequence[Row]) -> None:
    """Write `manifest.jsonl`, and each domain's rows once more in a folder of its name, for stages that read one domain only.

    So what is made of photographs alone need not be made again when a film comes or goes.
    """
    write(folder, rows)
    domains: tuple[Domain, ...] = ("anime", "photo")
    for domain in domains:
        (folder / domain).mkdir(exist_ok=True)
        write(folder / domain, [row for row in rows if row.domain == domain])


def read(folder: Path) -> list[Row]:
    """All rows of a stage's folder (of a source, where it has one for each: data/STAGE/about/SOURCE).

    Raises:
        UserError: the manifest is missing or damaged.
    """
    path = folder / MANIFEST
    try:
        lines = path.read_text("utf-8").removesuffix("\n").split("\n")
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run dvc repro, which makes it") from None
    try:
        return [Row.model_validate_json(line) for line in lines if line]
    except ValidationError as error:
        raise UserError(f"{path} is damaged ({error.error_count()} faults): delete {folder} and run dvc repro") from None


def file_of(row: Row, project: Path = Path()) -> Path:
    """Where the picture of a row lies, and that it is the one that the row tells of.

    Raises:
        UserError: it is missing, or another.
    """
    path = project / (row.file or "")
    if row.digest is not None:
        try:
            same = files.digest(path) == row.digest
        except FileNotFoundError:
            raise UserError(
                f"{path} is missing: run dvc repro, which puts it back or makes it again (and dvc pull, where --allow-missing "
                "or a fresh clone left pictures out)"
            ) from None
        except OSError as error:
            raise UserError(f"{path} cannot be read ({error.strerror}): allow it, or delete it and run dvc repro") from None
        if not same:
            raise UserError(
                f"{path} has changed since it was listed: run dvc repro, which puts it back or goes by what it is now"
            )
    return path


def of_sources(folder: Path, rows: Iterable[Row]) -> list[Row]:
    """What a stage that works for each source made of the sources of some rows; others that lie there are not read.

    Args:
        folder: data/STAGE/about.

    Raises:
        UserError: the manifest of a source is missing or damaged.
    """
    return [row for source in dict.fromkeys(row.source for row in rows) for row in read(folder / source)]


def kept(rows: Iterable[Row], domain: Domain | None = None, split: Split | None = None) -> list[Row]:
    """The rows without a reason to be dropped, of one domain and one split where given."""
    return [
        row
        for row in rows
        if row.reason is None and (domain is None or row.domain == domain) and (split is None or row.split == split)
    ]


def number(seed: int, *names: str | int) -> int:
    """A 64-bit number that belongs to a seed and some names: the same on every machine, in any order of work."""
    text = "\0".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def rng(seed: int, *names: str | int) -> np.random.Generator:
    """Randomness that belongs to a row: `rng(seed, row.id)` does not depend on workers or on which other films are there."""
    return np.random.default_rng(number(seed, *names))
