"""Stage: which key frames and photographs are worth training on. Every picture dropped has a reason; none is deleted.

    python -m pipeline.dedup

Worthless pictures first (credits, titles, dark, blank, blurred), then near-duplicates: two pictures are the same when two
perceptual hashes of different kind agree, because each alone is fooled (PIPELINE_FACTS, section 3). The sharpest of a family is
kept. Over all this stands what a person said in data/keep.txt and data/drop.txt.

All films have to be seen here, so what is seen is only what was measured where pictures were made. Films are gone through in
the order of params.yaml: one that is named last changes nothing in those before it; one named earlier takes from those after it
what they have in common. What is kept of each source has a list of its own, so that DVC sees whose has changed.
"""

from __future__ import annotations

import itertools
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from pipeline.core import manifest, stage
from pipeline.core.errors import UserError
from pipeline.core.manifest import Domain, Row
from pipeline.frames import hash_index, overrides, quality
from pipeline.frames.hash_index import Library
from pipeline.frames.overrides import Verdict
from pipeline.frames.quality import Measures
from pipeline.media import arrays, images, sheets
from pipeline.params.data import DedupParams
from pipeline.params.schema import PHOTOS, Params, load

Reason = Literal["dark", "blank", "blurred", "credits", "title", "near_duplicate", "by_hand", "unreadable"]

_FORCED: Mapping[Verdict, Reason | None] = {"keep": None, "drop": "by_hand"}
_SHEET_PICTURES = 96
# Where stages keep a folder for each source; {} is pictures, and about.
_BY_SOURCE: Mapping[str, tuple[Domain, ...]] = {
    "keyframes/{}": ("anime", "photo"),
    "crop/{}/anime": ("anime",),
    "crop/{}/photo": ("photo",),
    "edge_smooth/{}": ("anime",),
    "pseudo_targets/{}": ("photo",),
}


def judge(one: Measures, params: DedupParams, drawn: bool) -> Reason | None:
    """Why a picture is worthless by itself, or None. `drawn`: a film frame, which may be credits or carry a title."""
    if drawn and one.lettering >= params.credits_lettering:
        return "credits"
    if drawn and 0 < params.title_lines <= one.title_lines:
        return "title"
    if one.luma_p95 <= params.dark_luma:
        return "dark"
    if one.luma_std <= params.blank_std:
        return "blank"
    if one.sharpness <= params.blur_sharpness:
        return "blurred"
    return None


def cull(
    rows: Sequence[Row],
    measured: Sequence[Measures],
    library: Library,
    params: DedupParams,
    forced: Mapping[str, Verdict] = MappingProxyType({}),
) -> list[Row]:
    """The rows of one source with their reasons filled in, in their own order; what is kept goes into the library.

    Args:
        forced: what a person said, by id; it stands whatever is measured.
    """
    reasons: dict[str, tuple[Reason | None, str | None]] = {}
    worthy: list[tuple[str, Measures]] = []
    for row, one in sorted(zip(rows, measured, strict=True), key=lambda pair: (-pair[1].sharpness, pair[0].id)):
        verdict = forced.get(row.id)
        reason = judge(one, params, row.domain == "anime") if verdict is None else _FORCED[verdict]
        reasons[row.id] = (reason, None)
        if reason is None:
            worthy.append((row.id, one))
    for by_hand, group in itertools.groupby(worthy, lambda pair: pair[0] in forced):
        ids, looks = zip(*((name, (one.phash, one.dhash)) for name, one in group), strict=True)
        if by_hand:
            library.add(ids, hash_index.hashes_of(looks))
            continue
        for name, rival in zip(ids, library.take(ids, hash_index.hashes_of(looks)), strict=True):
            if rival is not None:
                reasons[name] = ("near_duplicate", rival)
    return [row.model_copy(update=dict(zip(("reason", "rival"), reasons[row.id], strict=True))) for row in rows]


def sources(params: Params) -> dict[str, Domain]:
    """The sources in the order in which they are gone through: photographs before footage, which comes and goes."""
    films: dict[str, Domain] = dict.fromkeys(params.films, "anime")
    footage: dict[str, Domain] = dict.fromkeys(params.footage, "photo")
    return films | {PHOTOS: "photo"} | footage


def found(params: Params, data: Path) -> dict[str, list[Row]]:
    """The pictures of each source, measured.

    Raises:
        UserError: a manifest is missing or damaged, or there are neither photographs nor footage.
    """
    rows = {}
    for name in sources(params):
        folder = data / "photo_index" if name == PHOTOS else data / "keyframes" / stage.ABOUT / name
        rows[name] = manifest.read(folder)
    if not rows[PHOTOS]:
        images.find(Path(params.photos), allow_empty=bool(params.footage), include_unsupported=True)
    return rows


def run(params: Params, out: Path, data: Path = stage.DATA) -> dict[str, float]:
    """Judge all key frames and photographs; write manifest.jsonl and contact sheets of what was kept and dropped.

    What is kept of a source is also in a folder of its name. What stages made of films no longer named is removed.

    Raises:
        UserError: a list of ids is not sound, or nothing is left of one side.
    """
    forced = overrides.read(data)
    named, pictures = sources(params), found(params, data)
    overrides.warn_of_unknown(forced, (row.id for rows in pictures.values() for row in rows), data)
    libraries: dict[Domain, Library] = {domain: Library(params.dedup.max_distance) for domain in ("anime", "photo")}
    rows: list[Row] = []
    for name, domain in named.items():
        readable = [row for row in pictures[name] if row.reason is None]
        judged = cull(readable, [quality.of(row) for row in readable], libraries[domain], params.dedup, forced)
        rows += judged + [row for row in pictures[name] if row.reason is not None]
        (out / name).mkdir()
        manifest.write(out / name, manifest.kept(judged))
    for domain, remedy in (("anime", "films: in params.yaml"), ("photo", "photos: or footage: in params.yaml")):
        if not any(row.domain == domain and row.reason is None for row in rows):
            raise UserError(
                f"every {domain} picture was dropped: give better ones under {remedy}, loosen the thresholds under dedup:, "
                "or take ids out of data/drop.txt"
            )
    manifest.write(out, rows)
    _write_sheet(out / "sheet_kept.jpg", [row for row in rows if row.reason is None])
    _write_sheet(out / "sheet_dropped.jpg", [row for row in rows if row.reason not in (None, "unreadable")])
    _forget_all_but(named, data)
    counts = Counter(f"{row.domain}_{row.reason or 'kept'}" for row in rows)
    return dict(sorted(counts.items()))


def _forget_all_but(named: Mapping[str, Domain], data: Path) -> None:
    """Remove what stages made of sources that params no longer name; DVC has it in its cache, and leaves it lying here.

    Stages that depend on the folders of all sources would take what lies there for a change: a film named and taken out again
    would repeat training.
    """
    for home, domains in _BY_SOURCE.items():
        expected = [name for name, domain in named.items() if domain in domains]
        for path in (path for part in (stage.PICTURES, stage.ABOUT) for path in (data / home.format(part)).glob("*")):
            if path.name not in expected and not path.name.startswith("."):
                stage.log.info("%s is of no source that params name: removed", path)
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _write_sheet(path: Path, rows: Sequence[Row]) -> None:
    shown = rows[:: max(1, -(-len(rows) // _SHEET_PICTURES))]
    captions = [f"{row.reason or row.source} {'' if row.time_s is None else f'{row.time_s:.1f} s'}" for row in shown]
    pictures = (arrays.shrink(images.read(manifest.file_of(row)), 256) for row in shown)
    images.write(path, sheets.contact_sheet(pictures, captions))


if __name__ == "__main__":
    stage.main("dedup", run, load)
