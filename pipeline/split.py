"""Stage: divide crops into training and validation by shot, and photos also into those kept whole for predict.

    python -m pipeline.split

The side of a shot depends on the seed and its name alone, so adding or removing a film moves nothing else. A film that returns
to a place shows it in two shots, though: validation crops that resemble a training crop are dropped, as they would reward
memorizing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from pipeline.core import manifest, stage
from pipeline.core.errors import UserError
from pipeline.core.manifest import Domain, Row, Split
from pipeline.frames import fingerprints, hash_index
from pipeline.frames.fingerprints import Fingerprints
from pipeline.media import images, sheets
from pipeline.params.data import SplitParams
from pipeline.params.schema import Params, load

_SHEET_PICTURES = 48
# Crops with similar hashes show the same if their thumbnails differ by at most this (mean of 0-255). Pairs from different
# shots whose hashes were 6 to 16 bits apart: the same place 7, 12, 14; by chance 36 in a film, from 22 in photographs.
_MAX_DIFFERENCE = 18.0
# Queries and thumbnail comparisons at a time: a film of one unchanging picture must not fill the memory.
_QUERIES, _COMPARISONS = 256, 4096


def assign(groups: Iterable[str], domain: Domain, params: SplitParams) -> dict[str, Split]:
    """Assign each shot or photograph to a split; only photographs go to pred.

    In sets so small that chance leaves a split empty, the group drawn nearest to it is moved there: every run needs validation.

    Raises:
        UserError: there are fewer groups than splits.
    """
    draw = {group: manifest.number(params.seed, domain, group) / 2**64 for group in groups}
    pred = params.pred if domain == "photo" else 0.0
    needed: list[Split] = ["pred", "val", "train"] if pred else ["val", "train"]
    if len(draw) < len(needed):
        what = "shots" if domain == "anime" else "photographs"
        raise UserError(f"{len(draw)} {what} cannot be split into {', '.join(needed)}: give a longer film or more photographs")
    splits: dict[str, Split] = {
        group: "pred" if drawn < pred else "val" if drawn < pred + params.val else "train" for group, drawn in draw.items()
    }
    order = sorted(draw, key=lambda group: (draw[group], group))
    for split in needed:
        if split not in splits.values():
            movable = [group for group in order if sum(other == splits[group] for other in splits.values()) > 1]
            splits[movable[-1] if split == "train" else movable[0]] = split
    return splits


def find_leaks(val: Fingerprints, train: Fingerprints, max_distance: int) -> NDArray[np.int64]:
    """Find for each validation crop the index of the most similar training crop that shows the same, or -1.

    Two crops show the same if both their hashes differ in at most `max_distance` bits and their thumbnails look alike. Hashes
    alone do not suffice: crops may be all sky, and their hashes capture only how brightness varies.
    """
    index = hash_index.Index(max_distance)
    index.add(fingerprints.hashes(train))
    found = [np.zeros(0, np.int64)]
    for start in range(0, len(val), _QUERIES):
        part = val[start : start + _QUERIES]
        matches = index.search(fingerprints.hashes(part))
        differences = [
            np.abs(part["small"][matches.query[some]] - train["small"][matches.kept[some]].astype(np.int16)).mean(
                axis=(1, 2, 3)
            )
            for some in np.array_split(np.arange(len(matches.query)), len(matches.query) // _COMPARISONS + 1)
        ]
        found.append(matches.select(np.concatenate(differences) <= _MAX_DIFFERENCE).nearest(len(part)))
    return np.concatenate(found)


def drop_leaks(rows: Sequence[Row], prints: Fingerprints, max_distance: int) -> list[Row]:
    """Mark validation crops of a domain that resemble a training crop: reason near_train, and that crop in `duplicate_of`.

    Args:
        prints: the fingerprints of the rows.
    """
    val, train = ([index for index, row in enumerate(rows) if row.split == split] for split in ("val", "train"))
    nearest = find_leaks(prints[val], prints[train], max_distance)
    result = list(rows)
    for index, near in zip(val, nearest, strict=True):
        if near >= 0:
            changes = {"reason": "near_train", "duplicate_of": rows[train[near]].id}
            result[index] = rows[index].model_copy(update=changes)
    return result


def _with_splits(rows: Iterable[Row], splits: Mapping[str, Split]) -> list[Row]:
    return [row.model_copy(update={"split": splits[row.shot or row.id]}) for row in rows]


def _read_crops(about: Path, pictures: Iterable[Row]) -> tuple[list[Row], Fingerprints]:
    """Read the kept crops of some pictures' sources, and their fingerprints. `about`: data/crop/about/DOMAIN."""
    sources = list(dict.fromkeys(row.source for row in pictures))
    rows = [manifest.kept(manifest.read(about / source)) for source in sources]
    prints = [fingerprints.read(about / source, len(own)) for source, own in zip(sources, rows, strict=True)]
    return [row for own in rows for row in own], fingerprints.concatenate(prints)


def run(params: Params, out: Path, data: Path = stage.DATA) -> dict[str, float]:
    """Write manifest.jsonl (crops with split train or val, whole photographs with split pred) and a sheet of each split.

    The rows of a domain are also in anime/ and photo/. Validation crops that resemble training crops have reason near_train.
    """
    pictures = manifest.read(data / "dedup")
    rows: list[Row] = []
    domains: tuple[Domain, ...] = get_args(Domain)
    for domain in domains:
        whole = manifest.kept(pictures, domain)
        crops, prints = _read_crops(data / "crop" / stage.ABOUT / domain, whole)
        splits = assign({row.shot or row.id for row in (crops if domain == "anime" else whole)}, domain, params.split)
        crops = _with_splits(crops, splits)
        used = [index for index, row in enumerate(crops) if row.split != "pred"]
        rows += drop_leaks([crops[index] for index in used], prints[used], params.dedup.max_distance)
        if domain == "photo":
            rows += [row for row in _with_splits(whole, splits) if row.split == "pred"]
        for split in ("train", "val"):
            if not manifest.kept(rows, domain, split):
                lost = sum(row.domain == domain and row.split == split for row in rows)
                why = f" ({lost} were dropped as they resemble training crops)" if lost else ""
                raise UserError(
                    f"no {domain} crops in {split}{why}: give more pictures, or change split.val, split.seed or crop:"
                )
    manifest.write_by_domain(out, rows)
    kept = manifest.kept(rows)
    counts = Counter(f"{row.domain}_{row.split}" for row in kept)
    for name in counts:
        chosen = [row for row in kept if f"{row.domain}_{row.split}" == name]
        shown = sheets.evenly_spaced(chosen, _SHEET_PICTURES)
        sheet = sheets.contact_sheet((images.read(manifest.file_of(row)) for row in shown), columns=12, cell_px=128)
        images.write(out / f"sheet_{name}.jpg", sheet)
    dropped = Counter(row.domain for row in rows if row.reason is not None)
    near_train = {f"{domain}_val_near_train": dropped[domain] for domain in domains}
    return {**dict(sorted(counts.items())), **near_train}


if __name__ == "__main__":
    stage.main("split", run, load)
