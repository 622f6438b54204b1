"""Which crops a generator is judged on: photos it never saw, and film crops that it did and did not see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.core import manifest
from pipeline.core.errors import UserError
from pipeline.core.manifest import Row
from pipeline.dataset import shards


@dataclass(frozen=True)
class Material:
    """The crops that are measured."""

    photos: list[Row]
    unseen: list[Row]  # film crops of the val split
    seen: list[Row]  # and of the train split
    flattened: Mapping[str, Row] = field(default_factory=dict)  # photo -> its flattened twin, where there are such


def group(row: Row) -> str:
    """The shot or photograph that a crop comes from."""
    return row.shot or row.parent or row.id


def draw_sample(rows: Sequence[Row], count: int) -> list[Row]:
    """At most `count` rows, at random by their ids alone: other rows coming or going change little of it."""
    return sorted(rows, key=lambda row: manifest.number(0, "evaluate", row.id))[:count]


def spread_over_shots(rows: Sequence[Row], count: int) -> list[Row]:
    """The first `count` rows, those of shots not yet shown before the others."""
    seen: set[str] = set()
    first: list[Row] = []
    later: list[Row] = []
    for row in rows:
        key = group(row)
        (later if key in seen else first).append(row)
        seen.add(key)
    return (first + later)[:count]


def choose(listed: Path, max_photos: int, max_film: int) -> Material:
    """Choose what is measured, the same on every run.

    Args:
        listed: the folder that the key crops names.

    Raises:
        UserError: a side has no crops.
    """
    photos = needed(listed, "photo", "val", max_photos)
    unseen = needed(listed, "anime", "val", max_film)
    return Material(photos, unseen, spread_over_shots(needed(listed, "anime", "train", 10**9), max_film))


def needed(listed: Path, domain: manifest.Domain, split: manifest.Split, count: int) -> list[Row]:
    """At most `count` crops of a side, at random.

    Raises:
        UserError: it has none.
    """
    found = draw_sample([row for row in shards.listed(listed, domain, split) if row.file], count)
    if not found:
        more = "films" if domain == "anime" else "photos"
        raise UserError(f"no {domain} crops in the {split} split: give more {more}, or another split.val")
    return found
