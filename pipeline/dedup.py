"""Stage: decide which key frames and photographs to train on. Every dropped picture has a reason; none is deleted.

    python -m pipeline.dedup

Unusable pictures are dropped first (credits, dark, blurred: `core/reasons.py` lists all), then near-duplicates: pictures for
which two different perceptual hashes agree, as each alone makes mistakes. The sharpest of several duplicates is kept. The
lists data/keep.txt and data/drop.txt override all of this.

The stage has to see all films, so it reads only what was measured when their pictures were made. Films are compared in order
of params.yaml: one appended last changes nothing in those before it, and frames that two films share are kept in the
first-listed. Kept pictures of each source are also listed in a folder of its own, so that DVC sees whose have changed.
"""

import itertools
import shutil
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from pipeline.core import manifest, stage
from pipeline.core.errors import UserError, log
from pipeline.core.manifest import Domain, Row
from pipeline.core.reasons import REASONS
from pipeline.frames import overrides, perceptual_hashes, quality
from pipeline.frames.hash_index import NamedIndex
from pipeline.frames.overrides import Override
from pipeline.frames.quality import Quality
from pipeline.media import arrays, images, sheets
from pipeline.params.data import DedupParams
from pipeline.params.schema import PHOTOS, Params, load

_OVERRIDE_REASONS: Mapping[Override, str | None] = {"keep": None, "drop": "by_hand"}
_SHEET_PICTURES = 96
# Stages that keep a folder for each source, and for sources of which domains; {} is pictures, and about.
_FOLDERS_BY_SOURCE: Mapping[str, tuple[Domain, ...]] = {
    "keyframes/{}": ("anime", "photo"),
    "crop/{}/anime": ("anime",),
    "crop/{}/photo": ("photo",),
    "edge_smooth/{}": ("anime",),
}


def rejection(measured: Quality, params: DedupParams, film_frame: bool) -> str | None:
    """Return why a picture is unusable by itself, a name in `REASONS` (the first that applies), or None.

    Args:
        film_frame: whether it is a frame of an anime film, or a drawing of a folder, which may show credits or a title.
    """
    domain: Domain = "anime" if film_frame else "photo"
    for name, reason in REASONS.items():
        if reason.limit is None or reason.limit.domain not in (None, domain):
            continue
        score, limit = getattr(measured, reason.limit.score), getattr(params, reason.limit.key)
        if 0 < limit <= score if reason.limit.at_least else score <= limit:
            return name
    return None


def filter_source(
    rows: Sequence[Row],
    measured: Sequence[Quality],
    index: NamedIndex,
    params: DedupParams,
    overridden: Mapping[str, Override] = MappingProxyType({}),
    others: Sequence[Row] = (),
) -> list[Row]:
    """Return the rows of one source, in their order, with the reasons of those that are dropped; add the kept ones to `index`.

    Args:
        rows: of pictures that can be read.
        measured: the quality of each row.
        index: pictures kept of the sources compared before, with which these are compared too.
        overridden: overrides by id; they prevail whatever is measured.
        others: rows of the sources compared before; their digests tell exact copies from near-duplicates.
    """
    reasons: dict[str, str | None] = {}
    duplicate_of: dict[str, str | None] = {}
    usable: list[tuple[str, Quality]] = []
    for row, found in sorted(zip(rows, measured, strict=True), key=lambda pair: (-pair[1].sharpness, pair[0].id)):
        override = overridden.get(row.id)
        reason = rejection(found, params, row.domain == "anime") if override is None else _OVERRIDE_REASONS[override]
        reasons[row.id] = reason
        if reason is None:
            usable.append((row.id, found))
    for by_hand, group in itertools.groupby(usable, lambda pair: pair[0] in overridden):
        ids, hashes = zip(*((name, (found.phash, found.dhash)) for name, found in group), strict=True)
        stacked = perceptual_hashes.stack(hashes)
        if by_hand:
            index.add(ids, stacked)
        else:
            duplicate_of |= zip(ids, index.deduplicate(ids, stacked), strict=True)
    digests = {row.id: row.digest for row in (*rows, *others)}
    for name, original in duplicate_of.items():
        if original is not None:
            same = digests[name] is not None and digests[name] == digests.get(original)
            reasons[name] = "exact_copy" if same else "near_duplicate"
    return [row.model_copy(update={"reason": reasons[row.id], "duplicate_of": duplicate_of.get(row.id)}) for row in rows]


def source_domains(params: Params) -> dict[str, Domain]:
    """Return the sources and their domains in the order of comparison; footage, which comes and goes, follows photographs."""
    films: dict[str, Domain] = dict.fromkeys(params.films, "anime")
    footage: dict[str, Domain] = dict.fromkeys(params.footage, "photo")
    return films | {PHOTOS: "photo"} | footage


def read_pictures(params: Params, data: Path) -> dict[str, list[Row]]:
    """Read the rows of the pictures of each source in `source_domains`, in that order: name -> rows.

    Raises:
        UserError: a manifest is missing or damaged.
    """
    rows = {}
    for name in source_domains(params):
        folder = data / "photo_index" if name == PHOTOS else data / "keyframes" / stage.ABOUT / name
        rows[name] = manifest.read(folder)
    return rows


def run(params: Params, out: Path, data: Path = stage.DATA) -> dict[str, float]:
    """Filter all key frames and photographs; write manifest.jsonl and contact sheets of kept and dropped pictures.

    A folder for each source lists its kept pictures. What stages made of sources no longer in params.yaml is removed.

    Raises:
        UserError: keep.txt or drop.txt cannot be parsed, there are no pictures, or all of a domain are dropped.
    """
    overridden = overrides.read(data)
    domains, pictures = source_domains(params), read_pictures(params, data)
    overrides.warn_of_unknown(overridden, (row.id for rows in pictures.values() for row in rows), data)
    indexes: dict[Domain, NamedIndex] = {domain: NamedIndex(params.dedup.max_distance) for domain in ("anime", "photo")}
    rows: list[Row] = []
    for name, domain in domains.items():
        readable = [row for row in pictures[name] if row.reason is None]
        measured = [quality.from_row(row) for row in readable]
        filtered = filter_source(readable, measured, indexes[domain], params.dedup, overridden, rows)
        rows += filtered + [row for row in pictures[name] if row.reason is not None]
        (out / name).mkdir()
        manifest.write(out / name, manifest.kept(filtered))
    if not rows:
        raise UserError(f"there is neither film nor photo: name some under films:, footage: or photos: ({params.photos})")
    for domain, remedy in (("anime", "films: in params.yaml"), ("photo", "photos: or footage: in params.yaml")):
        found = [row.reason for row in rows if row.domain == domain]
        if not found:
            log.warning("there are no %s pictures, so that this is a data set alone: to train, add %s", domain, remedy)
        elif None not in found:
            raise UserError(
                f"every {domain} picture was dropped: give better ones under {remedy}, loosen the thresholds under dedup:, "
                "or take ids out of data/drop.txt"
            )
    manifest.write(out, rows)
    _write_sheet(out / "sheet_kept.jpg", manifest.kept(rows))
    _write_sheet(out / "sheet_dropped.jpg", [row for row in rows if row.reason not in (None, "unreadable")])
    for part, (folder, kinds) in itertools.product((stage.PICTURES, stage.ABOUT), _FOLDERS_BY_SOURCE.items()):
        _remove_others(data / folder.format(part), [name for name, domain in domains.items() if domain in kinds])
    counts = Counter(f"{row.domain}_{row.reason or 'kept'}" for row in rows)
    return dict(sorted(counts.items()))


def _remove_others(folder: Path, sources: Collection[str]) -> None:
    """Remove what a stage made of sources that params.yaml no longer names; DVC has it in its cache, but leaves it in place.

    Stages that depend on the folders of all sources would see a change: adding a film and removing it would repeat training.
    """
    for path in folder.glob("*"):
        if path.name not in sources and not path.name.startswith("."):
            log.info("removed %s, whose source is no longer in params.yaml", path)
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _write_sheet(path: Path, rows: Sequence[Row]) -> None:
    shown = sheets.evenly_spaced(rows, _SHEET_PICTURES)
    captions = [f"{row.reason or row.source} {'' if row.time_s is None else f'{row.time_s:.1f} s'}" for row in shown]
    pictures = (arrays.shrink(images.read(manifest.file_of(row)), 256) for row in shown)
    images.write(path, sheets.contact_sheet(pictures, captions))


if __name__ == "__main__":
    stage.main("dedup", run, load)
