"""Stage: who trains, who judges, who is redrawn. By shot and by photograph, so that neighbours never straddle.

    python -m pipeline.split

Which side a shot falls on is a function of the seed and its own name: adding or removing a film moves nothing else. A film that
goes back to a place shows it in two shots, though: a crop of val that has its like in train is dropped, or it would praise
what was learnt by heart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

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
# Crops with like hashes show the same if their small pictures differ by no more than this (mean of 0-255). Pairs from
# different shots whose hashes were 6 to 16 bits apart: the same place 7, 12, 14; chance 36 in a film, from 22 in photographs.
_ALIKE = 18.0
# Crops of val looked up, and pairs compared, at a time: a film of one unchanging picture must not fill the memory.
_ASKED, _COMPARED = 256, 4096


def assign(groups: Iterable[str], domain: Domain, params: SplitParams) -> dict[str, Split]:
    """The split of each shot or photograph. Only photographs are kept to be redrawn (pred).

    In sets so small that chance leaves val (or pred, where asked for) empty, the group nearest to it is moved there: a run
    without validation would say nothing.

    Raises:
        UserError: fewer groups than splits.
    """
    draw = {group: manifest.number(params.seed, domain, group) / 2**64 for group in groups}
    pred = params.pred if domain == "photo" else 0.0
    needed: list[Split] = ["pred", "val", "train"] if pred else ["val", "train"]
    if len(draw) < len(needed):
        what = "shots" if domain == "anime" else "photographs"
        raise UserError(f"{len(draw)} {what} cannot be split into {', '.join(needed)}: give a longer film or more photographs")
    splits: dict[str, Split] = {
        group: "pred" if place < pred else "val" if place < pred + params.val else "train" for group, place in draw.items()
    }
    order = sorted(draw, key=lambda group: (draw[group], group))
    for rank, split in enumerate(needed):
        if split not in splits.values():
            # Candidates are in order of their draw; those at the edges are nearest to the empty split.
            movable = [g for g in order if sum(s == splits[g] for s in splits.values()) > 1]
            splits[movable[-1] if rank == len(needed) - 1 else movable[0]] = split
    return splits


def leaks(val: Fingerprints, train: Fingerprints, max_distance: int) -> NDArray[np.int64]:
    """For each crop of val the place of the nearest crop of train that shows the same, or -1.

    The same: both hashes differ in at most `max_distance` bits, and colours and brightness agree. Hashes alone will not do for
    crops, which may be all sky: how light runs across them is soon the same.
    """
    index = hash_index.Index(max_distance)
    index.add(fingerprints.hashes(train))
    found = [np.zeros(0, np.int64)]
    for low in range(0, len(val), _ASKED):
        some = val[low : low + _ASKED]
        pairs = index.search(fingerprints.hashes(some))
        apart = [
            np.abs(some["small"][pairs.query[part]] - train["small"][pairs.kept[part]].astype(np.int16)).mean(axis=(1, 2, 3))
            for part in np.array_split(np.arange(len(pairs.query)), len(pairs.query) // _COMPARED + 1)
        ]
        found.append(pairs.select(np.concatenate(apart) <= _ALIKE).nearest(len(some)))
    return np.concatenate(found)


def drop_leaks(rows: Sequence[Row], shown: Fingerprints, max_distance: int) -> list[Row]:
    """Crops of one domain, those of val that have their like in train with the reason near_train and its id.

    Args:
        shown: how each looks.
    """
    val, train = ([place for place, row in enumerate(rows) if row.split == split] for split in ("val", "train"))
    nearest = leaks(shown[val], shown[train], max_distance)
    near_train = {place: rows[train[near]].id for place, near in zip(val, nearest, strict=True) if near >= 0}
    return [
        row.model_copy(update={"reason": "near_train", "duplicate_of": near_train[place]}) if place in near_train else row
        for place, row in enumerate(rows)
    ]


def _squares(folder: Path, pictures: Iterable[Row]) -> tuple[list[Row], Fingerprints]:
    """The crops of a domain, of the sources of its pictures, and their looks. `folder`: what crop tells of them."""
    parts = []
    for source in dict.fromkeys(row.source for row in pictures):
        rows = manifest.kept(manifest.read(folder / source))
        parts.append((rows, fingerprints.read(folder / source, len(rows))))
    return [row for rows, _ in parts for row in rows], fingerprints.concatenate(seen for _, seen in parts)


def run(params: Params, out: Path, data: Path = stage.DATA) -> dict[str, float]:
    """Write manifest.jsonl: crops with split train or val, whole photographs with split pred; and a sheet of each.

    Crops of val that resemble one of train are there with the reason near_train. The rows of a domain are also in anime/ and
    photo/.
    """
    pictures = manifest.read(data / "dedup")
    rows: list[Row] = []
    domains: tuple[Domain, ...] = ("anime", "photo")
    for domain in domains:
        own = manifest.kept(pictures, domain)
        crops, seen = _squares(data / "crop" / stage.ABOUT / domain, own)
        splits = assign({row.shot or row.id for row in (crops if domain == "anime" else own)}, domain, params.split)
        placed = [row.model_copy(update={"split": splits[row.shot or row.id]}) for row in crops]
        used = [place for place, row in enumerate(placed) if row.split != "pred"]
        rows += drop_leaks([placed[place] for place in used], seen[used], params.dedup.max_distance)
        if domain == "photo":
            whole = [row for row in own if splits[row.shot or row.id] == "pred"]
            rows += [row.model_copy(update={"split": "pred"}) for row in whole]
        for split in ("train", "val"):
            if not manifest.kept(rows, domain, split):
                lost = sum(row.domain == domain and row.split == split and row.reason is not None for row in rows)
                why = f" ({lost} resemble crops of train too much to judge by)" if lost else ""
                raise UserError(
                    f"no {domain} crops in {split}{why}: give more pictures, or change split.val, split.seed or crop:"
                )
    manifest.write_by_domain(out, rows)
    kept = manifest.kept(rows)
    counts = Counter(f"{row.domain}_{row.split}" for row in kept)
    for name in counts:
        chosen = [row for row in kept if f"{row.domain}_{row.split}" == name]
        shown = chosen[:: max(1, -(-len(chosen) // _SHEET_PICTURES))]
        images.write(
            out / f"sheet_{name}.jpg",
            sheets.contact_sheet((images.read(manifest.file_of(row)) for row in shown), columns=12, cell_px=128),
        )
    dropped = Counter(row.domain for row in rows if row.reason is not None)
    near_train = {f"{domain}_val_near_train": dropped[domain] for domain in domains}
    return {**dict(sorted(counts.items())), **near_train}


if __name__ == "__main__":
    stage.main("split", run, load)
