"""Choose the crops that a generator is evaluated on: photos it has not seen, and film crops it has and has not seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.core import manifest
from pipeline.core.errors import UserError
from pipeline.core.manifest import Domain, Row, Split
from pipeline.dataset import crop_files


@dataclass(frozen=True)
class EvaluationSet:
    """The crops that are measured."""

    photos: list[Row]
    unseen: list[Row]
    """Film crops that were not trained on (val split)."""
    seen: list[Row]
    """Film crops that were trained on (train split)."""


def group_of(row: Row) -> str:
    """Return the id of the shot or else the photograph that a crop comes from; the crop's own id if its row names neither."""
    return row.shot or row.parent or row.id


def draw_sample(rows: Sequence[Row], count: int) -> list[Row]:
    """Draw at most `count` rows in a fixed random order of their ids, so that adding or removing other rows changes little."""
    return sorted(rows, key=lambda row: manifest.number(0, "evaluate", row.id))[:count]


def spread_over_shots(rows: Sequence[Row], count: int) -> list[Row]:
    """Return at most `count` rows: the first of each shot or photograph, in the order given, before any further ones."""
    seen: set[str] = set()
    first: list[Row] = []
    later: list[Row] = []
    for row in rows:
        key = group_of(row)
        (later if key in seen else first).append(row)
        seen.add(key)
    return (first + later)[:count]


def choose(dataset: Path, max_photos: int, max_film: int) -> EvaluationSet:
    """Choose validation photos, validation film crops and training film crops, the same on every run.

    Args:
        dataset: the folder that lists the crops (`dataset` in params.yaml).
        max_photos: largest number of photos.
        max_film: largest number of film crops from val, and likewise of those from train.

    Raises:
        UserError: there are no crops of one of the three, or `dataset` is missing or damaged.
    """
    photos = sample_crops(dataset, "photo", "val", max_photos)
    unseen = sample_crops(dataset, "anime", "val", max_film)
    return EvaluationSet(photos, unseen, spread_over_shots(sample_crops(dataset, "anime", "train"), max_film))


def sample_crops(dataset: Path, domain: Domain, split: Split, count: int | None = None) -> list[Row]:
    """Draw at most `count` crops of a split at random, the same on every run (None: all of them, shuffled).

    Raises:
        UserError: there are none, or `dataset` is missing or damaged.
    """
    rows = crop_files.list_crops(dataset, domain, split)
    if not rows:
        more = "films" if domain == "anime" else "photos"
        raise UserError(f"no {domain} crops in the {split} split: give more {more}, or another split.val")
    return draw_sample(rows, len(rows) if count is None else count)
