"""Whether a generator's style depends on the size of the photo: the same photos at several sizes, measured at one."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.core import manifest
from pipeline.dataset.evaluation_set import spread_over_shots
from pipeline.inference.stylizer import Stylizer
from pipeline.media import arrays, images
from pipeline.media.images import Picture
from pipeline.metrics import pixels
from pipeline.metrics.reference import MIN_PICTURES, Reference
from pipeline.metrics.style_score import Sample, Scale

SIZES_PX = (512, 1024, 2048, 4096)
"""Long sides."""
COMMON_PX = 512
"""Long side at which results are measured."""
CROP_PX = 256
"""Side of the squares on which the style score is measured."""

StyleScorer = Callable[[Sequence[Picture]], float]


def read_whole_photos(dataset: Path, count: int) -> list[Picture]:
    """Read at most `count` whole photos that training does not see: of the pred split, else those that validation crops are of.

    Photos that are not on this machine are left out.

    Args:
        dataset: the folder that lists the crops (`dataset` in params.yaml). Without a `dedup` beside it, as with shards, the
            list is empty.
    """
    whole = dataset.parent / "dedup"
    if not all((folder / manifest.MANIFEST).is_file() for folder in (dataset, whole)):
        return []
    split = manifest.kept(manifest.read(dataset), "photo")
    rows = [row for row in split if row.split == "pred"]
    if not rows:
        parents = {row.parent for row in split if row.split == "val"}
        rows = [row for row in manifest.kept(manifest.read(whole), "photo") if row.id in parents]
    rows = manifest.on_this_machine(rows, project := dataset.parent.parent)
    return [images.read(manifest.file_of(row, project)) for row in spread_over_shots(rows, count)]


def measure_sizes(
    photos: Sequence[Picture], stylizer: Stylizer, style_score: StyleScorer | None = None
) -> dict[int, dict[str, float]]:
    """Bring whole photos to several sizes, redraw them, bring the results to one size, and measure them.

    Args:
        photos: one at least; uint8 RGB HxWx3 of any sizes.
        style_score: scores the results, one for each photo in their order; None if that is undefined.

    Returns:
        For each long side in `SIZES_PX`, line_strength (of all results together) and, if it is defined, style_score.
    """
    measured = {}
    for size in SIZES_PX:
        results = [_resize(stylizer(_resize(photo, size)), COMMON_PX) for photo in photos]
        counts = [pixels.line_counts(result) for result in results]
        measured[size] = {"line_strength": 100 * sum(lines for lines, _ in counts) / max(1, sum(edges for _, edges in counts))}
        if style_score is not None:
            measured[size]["style_score"] = style_score(results)
    return measured


def build_style_scorer(photos: Sequence[Picture], reference: Reference) -> StyleScorer | None:
    """Return a function that scores results of these photos, in their order; None if photos or crops are too few or alike."""
    if min(2 * len(photos), len(reference.seen.groups), len(reference.unseen.groups)) < MIN_PICTURES:
        return None

    def features(pictures: Sequence[Picture]) -> Tensor:
        return torch.cat([reference.style_features(_ends(picture)) for picture in pictures])

    groups = [number for number in range(len(photos)) for _ in range(2)]
    photo_sample = Sample(features([_resize(photo, COMMON_PX) for photo in photos]), groups)
    scale = Scale(photo_sample, reference.seen, reference.unseen)
    return (lambda pictures: scale.score(features(pictures)).value or 0.0) if scale.usable else None


def _resize(picture: Picture, long_side: int) -> Picture:
    height, width = picture.shape[:2]
    scale = long_side / max(height, width)
    return arrays.resize(picture, max(1, round(width * scale)), max(1, round(height * scale)))


def _ends(picture: Picture) -> list[Picture]:
    """Return the two squares at the ends of a picture's long side, in the middle of the short one."""
    height, width = picture.shape[:2]
    side = min(CROP_PX, height, width)
    top, left = (height - side) // 2, (width - side) // 2
    corners = [(0, left), (height - side, left)] if height > width else [(top, 0), (top, width - side)]
    squares = [np.ascontiguousarray(picture[y : y + side, x : x + side]) for y, x in corners]
    return [arrays.resize(square, CROP_PX, CROP_PX) for square in squares]
