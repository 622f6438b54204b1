"""Stage: who trains, who judges, who is redrawn. By shot and by photograph, so that neighbours never straddle.

    python -m pipeline.split

Which side a shot falls on is a function of the seed and its own name: adding or removing a film moves nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from pipeline import images, manifest, stage
from pipeline.faults import Fault
from pipeline.manifest import Domain, Row, Split
from pipeline.params import Params, SplitParams

_SHEET_PICTURES = 48


def assign(groups: Iterable[str], domain: Domain, params: SplitParams) -> dict[str, Split]:
    """The split of each shot or photograph. Only photographs are kept to be redrawn (pred).

    In sets so small that chance leaves val (or pred, where asked for) empty, the group nearest to it is moved there: a run
    without validation would say nothing.

    Raises:
        Fault: fewer groups than splits.
    """
    draw = {group: manifest.number(params.seed, domain, group) / 2**64 for group in groups}
    pred = params.pred if domain == "photo" else 0.0
    needed: list[Split] = ["pred", "val", "train"] if pred else ["val", "train"]
    if len(draw) < len(needed):
        what = "shots" if domain == "anime" else "photographs"
        raise Fault(f"{len(draw)} {what} cannot be split into {', '.join(needed)}: give a longer film or more photographs")
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


def run(params: Params, out: Path, data: Path = stage.DATA) -> dict[str, float]:
    """Write manifest.jsonl: squares with split train or val, whole photographs with split pred; and a sheet of each.

    The rows of a domain are also in anime/ and photo/.
    """
    squares = manifest.kept(manifest.read(data / "crop"))
    pictures = manifest.kept(manifest.read(data / "dedup"))
    rows: list[Row] = []
    domains: tuple[Domain, ...] = ("anime", "photo")
    for domain in domains:
        own = [row for row in squares if row.domain == domain]
        groups = {row.shot or row.id for row in (own if domain == "anime" else [r for r in pictures if r.domain == domain])}
        splits = assign(groups, domain, params.split)
        for row in own:
            split = splits[row.shot or row.id]
            if split != "pred":
                rows.append(row.model_copy(update={"split": split}))
        if domain == "photo":
            whole = [row for row in pictures if row.domain == "photo" and splits[row.shot or row.id] == "pred"]
            rows += [row.model_copy(update={"split": "pred"}) for row in whole]
        for split in ("train", "val"):
            if not any(row.domain == domain and row.split == split for row in rows):
                raise Fault(f"no {domain} squares in {split}: give more pictures, or change split.val, split.seed or crop:")
    manifest.write_by_domain(out, rows)
    counts = Counter(f"{row.domain}_{row.split}" for row in rows)
    for name in counts:
        chosen = [row for row in rows if f"{row.domain}_{row.split}" == name]
        shown = chosen[:: max(1, -(-len(chosen) // _SHEET_PICTURES))]
        images.write(
            out / f"sheet_{name}.jpg",
            images.sheet((images.read(Path(row.file or "")) for row in shown), columns=12, cell_px=128),
        )
    return dict(sorted(counts.items()))


if __name__ == "__main__":
    stage.main("split", run)
