"""Stage: divide crops into training and validation by place, and photos also into those kept whole for predict.

    python -m pipeline.split

Validation crops of places that are trained on would reward memorizing. So shots that show the same place, or that one take of
the camera passes, form a group, whose side depends on the seed and the name of its first shot: a film appended last moves
nothing in those before it. A group that shares a place with an earlier film follows that film. Validation crops that resemble
a training crop all the same are dropped.
"""

import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from pipeline.core import manifest, stage
from pipeline.core.errors import UserError
from pipeline.core.manifest import Domain, Row, Split
from pipeline.frames import fingerprints, hash_index, places
from pipeline.frames.fingerprints import Fingerprints
from pipeline.media import images, sheets
from pipeline.params.data import SplitParams
from pipeline.params.schema import Params, load

_SHEET_PICTURES = 48
# Crops with similar hashes show the same if their thumbnails differ by at most this (mean of 0-255). Pairs from different
# shots whose hashes were 6 to 16 bits apart: the same place 7, 12, 14; by chance 36 in a film, from 22 in photographs.
_MAX_DIFFERENCE = 18.0
_MAX_TAKE = 0.5  # of a source's shots; a longer take is no group, but what is alike in it
_MAX_VAL_GROUP = 0.34  # of a source's shots; a larger group is trained on
_MIN_GROUPS, _PARTS = 4, 8  # a source of fewer groups is divided into parts
# Queries and thumbnail comparisons at a time: a film of one unchanging picture must not fill the memory.
_QUERIES, _COMPARISONS = 256, 4096


def group_by_place(rows: Sequence[Row], pairs: Sequence[tuple[int, int]]) -> dict[str, str]:
    """Group the shots of a domain that show the same place; return for each shot the name of its group's first shot.

    Shots of one take belong together too, unless most shots of a source would.

    Args:
        rows: pictures, in order of sources; one without a shot counts as a shot by itself, named by its id.
        pairs: positions in `rows` of two pictures that show the same place, the earlier first.
    """
    groups: dict[str, str] = {}
    for source in dict.fromkeys(row.source for row in rows):
        own = {index: _shot(row) for index, row in enumerate(rows) if row.source == source}
        same = [(own[one], own[other]) for one, other in pairs if one in own and other in own]
        found = _group_source({shot: rows[index] for index, shot in own.items()}, same)
        # A place of an earlier source decides for all of a group.
        followed: dict[str, str] = {}
        for one, other in pairs:
            if one not in own and other in own and _shot(rows[one]) in groups:
                followed.setdefault(found[own[other]], groups[_shot(rows[one])])
        groups |= {shot: followed.get(name, name) for shot, name in found.items()}
    return groups


def _group_source(shots: Mapping[str, Row], same: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Group the shots of one source, each given with one of its pictures, by pairs that show the same place and by takes."""
    takes: dict[tuple[str, float], list[str]] = {}
    for shot, row in shots.items():
        if (take := row.scores.get("take")) is not None:
            takes.setdefault((shot.rpartition("-")[0], take), []).append(shot)
    passed = [pair for take in takes.values() for pair in itertools.pairwise(take)]
    joined, by_place = _join(shots, [*same, *passed]), _join(shots, same)
    sizes = Counter(joined.values())
    groups = {shot: name if sizes[name] <= _MAX_TAKE * len(shots) else by_place[shot] for shot, name in joined.items()}
    if len(set(groups.values())) < _MIN_GROUPS:
        # One place, or one long pan: parts of it, from which what they share is dropped.
        names, size = list(shots), -(-len(shots) // _PARTS)
        return {shot: names[index // size * size] for index, shot in enumerate(names)}
    return groups


def _shot(row: Row) -> str:
    return row.shot or row.id


def _join(names: Iterable[str], pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return for each name the first of those that pairs join it with."""
    order = {name: index for index, name in enumerate(dict.fromkeys(names))}
    first = {name: name for name in order}

    def find(name: str) -> str:
        while first[name] != name:
            first[name] = name = first[first[name]]
        return name

    for one, other in pairs:
        low, high = sorted((find(one), find(other)), key=order.__getitem__)
        first[high] = low
    return {name: find(name) for name in order}


def drop_shared_places(rows: Sequence[Row], pictures: Sequence[Row], pairs: Iterable[tuple[int, int]]) -> list[Row]:
    """Drop crops of a place that is in training and in validation: the later source's, or if it is one source, validation's.

    Args:
        rows: crops with their splits.
        pictures: those that crops are of.
        pairs: positions in `pictures` of two that show the same place, the earlier first.

    Returns:
        All rows; dropped ones have reason near_train or near_val, and in `duplicate_of` the id of the other picture.
    """
    splits = {row.parent: row.split for row in rows}
    dropped: dict[str, tuple[str, str]] = {}
    for one, other in pairs:
        sides = splits.get(pictures[one].id), splits.get(pictures[other].id)
        if set(sides) != {"train", "val"}:
            continue
        same_source = pictures[one].source == pictures[other].source
        out, kept = (one, other) if same_source and sides[0] == "val" else (other, one)
        dropped[pictures[out].id] = "near_train" if splits[pictures[out].id] == "val" else "near_val", pictures[kept].id
    return [
        row.model_copy(update=dict(zip(("reason", "duplicate_of"), dropped[row.parent], strict=True)))
        if row.parent in dropped
        else row
        for row in rows
    ]


def too_large(groups: Mapping[str, str], rows: Iterable[Row]) -> set[str]:
    """Return those of `groups` (shot -> group) with over `_MAX_VAL_GROUP` of their source's shots, and more than one shot."""
    sources = {_shot(row): row.source for row in rows}
    shots = Counter(sources.values())
    own = Counter(group for shot, group in groups.items() if sources[shot] == sources[group])
    return {group for group, count in own.items() if count > max(1, _MAX_VAL_GROUP * shots[sources[group]])}


def assign(groups: Iterable[str], domain: Domain, params: SplitParams, train_only: Collection[str] = ()) -> dict[str, Split]:
    """Assign each group of shots or photographs to a split at random (by `params.seed`); only photographs go to pred.

    In sets so small that chance leaves a split empty, the group drawn nearest to it is moved there: every run needs validation.

    Args:
        train_only: groups that are not drawn but trained on, unless a split would be empty.

    Raises:
        UserError: there are fewer groups than splits.
    """
    draw = {group: manifest.number(params.seed, domain, group) / 2**64 for group in groups}
    draw |= dict.fromkeys(train_only, 1.0)
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
    """Find for each validation crop the index in `train` of the most similar crop that shows the same, or -1.

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
    """Return all rows, those of validation that resemble a training crop with reason near_train and its id in `duplicate_of`.

    Args:
        prints: the fingerprints of the rows, in their order.
        max_distance: as for `find_leaks`.
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
    return [row.model_copy(update={"split": splits[_shot(row)]}) for row in rows]


def _read_places(about: Path, pictures: Sequence[Row]) -> list[tuple[int, int]]:
    """Find the pairs of pictures that show the same place. `about`: data/crop/about/DOMAIN."""
    counts = Counter(row.source for row in pictures)
    firsts = itertools.accumulate(counts.values(), initial=0)
    records = [places.read(about / source, first) for source, first in zip(counts, firsts, strict=False)]
    # Photographs have no neighbors in time.
    names = [row.source if row.time_s is not None else row.id for row in pictures]
    return places.pairs(np.concatenate(records), names) if records else []


def _read_crops(about: Path, pictures: Iterable[Row]) -> tuple[list[Row], Fingerprints]:
    """Read the kept crops of some pictures' sources, and their fingerprints. `about`: data/crop/about/DOMAIN."""
    sources = list(dict.fromkeys(row.source for row in pictures))
    rows = [manifest.kept(manifest.read(about / source)) for source in sources]
    prints = [fingerprints.read(about / source, len(own)) for source, own in zip(sources, rows, strict=True)]
    return [row for own in rows for row in own], fingerprints.concatenate(prints)


def run(params: Params, out: Path, data: Path = stage.DATA) -> dict[str, float]:
    """Write manifest.jsonl (crops with split train or val, whole photographs with split pred) and a sheet of each split.

    The rows of a domain are also in anime/ and photo/. Validation crops that resemble training crops have reason near_train.

    Raises:
        UserError: there are too few shots or photographs for all splits, or no crops are left in one.
    """
    pictures = manifest.read(data / "dedup")
    rows: list[Row] = []
    domains: tuple[Domain, ...] = get_args(Domain)
    for domain in domains:
        whole = manifest.kept(pictures, domain)
        if not whole:
            continue  # a data set of films alone, or of photographs
        crops, prints = _read_crops(data / "crop" / stage.ABOUT / domain, whole)
        pairs = _read_places(data / "crop" / stage.ABOUT / domain, whole)
        with_crops = {_shot(row) for row in (crops if domain == "anime" else whole)}
        groups = {shot: group for shot, group in group_by_place(whole, pairs).items() if shot in with_crops}
        sides = assign(groups.values(), domain, params.split, too_large(groups, whole))
        crops = _with_splits(crops, {shot: sides[group] for shot, group in groups.items()})
        crops = drop_shared_places(crops, whole, pairs)
        used = [index for index, row in enumerate(crops) if row.split != "pred"]
        rows += drop_leaks([crops[index] for index in used], prints[used], params.dedup.max_distance)
        if domain == "photo":
            rows += [row for row in _with_splits(whole, {shot: sides[groups[shot]] for shot in groups}) if row.split == "pred"]
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
    dropped = Counter(row.domain for row in rows if row.reason == "near_train")
    near_train = {f"{domain}_val_near_train": dropped[domain] for domain in domains}
    return {**dict(sorted(counts.items())), **near_train}


if __name__ == "__main__":
    stage.main("split", run, load)
