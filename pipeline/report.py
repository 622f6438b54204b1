"""Stage: the data card, one page that says what the data set is, what became of every picture, and what is likely to go wrong.

    python -m pipeline.report

Writes index.html (opens from disk; charts and sheets lie beside it) and card.md (the same, to share beside a data set).
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.core import manifest, stage
from pipeline.core.errors import UserError
from pipeline.core.manifest import MANIFEST, Domain, Row
from pipeline.data_card import card, charts, page
from pipeline.data_card import facts as measured_facts
from pipeline.data_card.charts import words
from pipeline.data_card.facts import DOMAINS, Episode, Facts, Shot, Source
from pipeline.data_card.page import Picture
from pipeline.media import arrays, images
from pipeline.media.sheets import contact_sheet
from pipeline.params.schema import Params, load

_SHEET_COLUMNS = 4
_SHEET_CELL_PX = 232
_SHEET_PICTURES = 16
_SHEET_DROPPED = 8
_TIMELINE_EPISODES = 26  # a season; of more, as many evenly spread
_TIMELINES = 60


@dataclass(frozen=True)
class Material:
    """Rows of the data stages that sheets are made of."""

    pictures: list[Row]  # key frames and photographs with their fates
    crops: list[Row]
    twins: list[Row]


def gather(params: Params, data: Path) -> tuple[Facts, Material]:
    """Read what the data stages left, and measure colours."""
    judged, split = (manifest.read(data / name) for name in ("dedup", "split"))
    by_domain = {domain: [row for row in judged if row.domain == domain] for domain in DOMAINS}
    cut = [row for domain, own in by_domain.items() for row in manifest.of_sources(data / "crop" / stage.ABOUT / domain, own)]
    twins = manifest.of_sources(data / "edge_smooth" / stage.ABOUT, by_domain["anime"])
    pictures = measured_facts.fates(judged, cut)
    names: dict[str, Domain] = {name: "anime" for name in params.films}
    names.update((name, "photo") for name in params.footage)
    shots = {name: _shots(data / "keyframes" / stage.ABOUT / name) for name in names}
    names.update((row.source, row.domain) for row in judged if row.source not in names)
    sources = measured_facts.sources(names, pictures, cut, split, shots)
    crops = {domain: [row for row in manifest.kept(split, domain) if row.split != "pred"] for domain in DOMAINS}
    measured = [row for domain in DOMAINS for row in measured_facts.spread(crops[domain], params.report.max_measured)]
    tones = list(stage.parallel(measured_facts.measure_file, measured, params.workers, "report", "crops"))
    found = Facts(
        sources=sources,
        totals={domain: measured_facts.total(domain, sources, split) for domain in DOMAINS},
        palettes={
            domain: measured_facts.palette(one for row, one in zip(measured, tones, strict=True) if row.domain == domain)
            for domain in DOMAINS
        },
        scales={domain: measured_facts.scale(crops[domain]) for domain in DOMAINS},
        twins=len(twins),
        warnings=sum(_warnings(data / "keyframes" / stage.ABOUT / name) for name in shots),
    )
    return found, Material(pictures, manifest.kept(cut), twins)


def _shots(folder: Path) -> list[Shot]:
    path = folder / "shots.csv"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [Shot(line["shot"], float(line["start_s"]), float(line["end_s"])) for line in csv.DictReader(file)]
    except (FileNotFoundError, KeyError, ValueError):
        raise UserError(f"{path} is missing or damaged: delete {folder} and run dvc repro") from None


def _warnings(folder: Path) -> int:
    try:
        return int(json.loads((folder / stage.METRICS).read_text("utf-8"))["warnings"])
    except (FileNotFoundError, KeyError, ValueError):
        raise UserError(f"{folder / stage.METRICS} is missing or damaged: delete {folder} and run dvc repro") from None


# Contact sheets


def sheets(material: Material, out: Path) -> list[Picture]:
    """Write the contact sheets; their words."""
    (out / "sheets").mkdir()
    return list(_sheets(material, out))


def _sheets(material: Material, out: Path) -> Iterator[Picture]:
    by_id = {row.id: row for row in [*material.pictures, *material.crops]}
    for domain, what in (("anime", "Frames"), ("photo", "Photographs")):
        rows = [row for row in material.pictures if row.domain == domain and row.reason is None]
        yield _sheet(out, f"kept_{domain}", f"{what} kept", rows)
    # A picture that could not be read has no size, and no place on a sheet.
    dropped = [row for row in material.pictures if row.reason and row.width_px]
    for reason in measured_facts.in_order(row.reason or "" for row in dropped):
        rows = [row for row in dropped if row.reason == reason]
        if reason == "near_duplicate":
            text = "Dropped as near-duplicate: each beside the kept picture that it resembles"
            yield _sheet(out, f"dropped_{reason}", text, rows, [by_id.get(row.duplicate_of or "") for row in rows])
        else:
            yield _sheet(out, f"dropped_{reason}", f"Dropped: {words(reason)}", rows)
    for domain in DOMAINS:
        rows = [row for row in material.crops if row.domain == domain]
        yield _sheet(out, f"crops_{domain}", f"{domain.capitalize()} crops", rows)
    crops = [by_id.get(row.parent or "") for row in material.twins]
    yield _sheet(out, "twins", "Edge-smoothed twins, each with its crop on the right", material.twins, crops)


def _sheet(out: Path, name: str, text: str, rows: Sequence[Row], beside: Sequence[Row | None] = ()) -> Picture:
    """A sheet of rows evenly spread, in pairs with those beside them where given."""
    count = _SHEET_DROPPED if beside or name.startswith("dropped") else _SHEET_PICTURES
    pairs = measured_facts.spread(list(zip(rows, beside or [None] * len(rows), strict=True)), count)
    shown = [row for pair in pairs for row in pair if row is not None]
    captions = [_caption(row) for row in shown] if any(row.time_s is not None for row in shown) else []
    cells = (arrays.shrink(images.read(manifest.file_of(row)), _SHEET_CELL_PX) for row in shown)
    sheet = contact_sheet(cells, captions, _SHEET_COLUMNS, _SHEET_CELL_PX)
    images.write(out / "sheets" / f"{name}.jpg", sheet)
    total = f"{len(pairs)} of {len(rows):,}" if len(pairs) < len(rows) else f"all {len(rows):,}"
    alt = f"Contact sheet: {text[0].lower() + text[1:]}"
    return Picture(f"sheets/{name}.jpg", f"{text} ({total}).", alt, sheet.shape[1], sheet.shape[0])


def _caption(row: Row) -> str:
    return row.source if row.time_s is None else f"{row.source} {row.time_s:.1f} s"


# The stage


def timelines(facts: Facts) -> list[tuple[Source, list[Episode]]]:
    """The films whose timeline is drawn, and which of their episodes."""
    filmed = [source for source in facts.sources if source.episodes]
    return [(one, measured_facts.spread(one.episodes, _TIMELINE_EPISODES)) for one in measured_facts.spread(filmed, _TIMELINES)]


def draw_charts(facts: Facts, params: Params, out: Path) -> list[Picture]:
    """Write the charts; their words."""
    films = timelines(facts)
    said = card.chart_words(facts)
    said |= {f"timeline_{one.name}": card.timeline_words(one, len(shown)) for one, shown in films}
    drawn = charts.draw_all(
        facts, [(one.name, shown) for one, shown in films], params.crop.size_px, params.crop.min_edge_share, out
    )
    return [Picture(name, *said[name], *size, wide=name.startswith("timeline")) for name, size in drawn.items()]


def run(params: Params, out: Path, data: Path = stage.DATA) -> dict[str, float]:
    """Write the card, its charts (charts and charts_dark) and its sheets."""
    facts, material = gather(params, data)
    identity = hashlib.sha256((data / "split" / MANIFEST).read_bytes()).hexdigest()[:16]
    pictures = sheets(material, out)
    made = card.card(facts, params, draw_charts(facts, params, out), pictures, identity)
    (out / "index.html").write_text(page.page(made), "utf-8", newline="\n")
    (out / "card.md").write_text(page.markdown(made), "utf-8", newline="\n")
    for check in made.troubles:
        stage.log.warning("%s: %s: %s (%s)", check.level, check.title, check.number, check.limit)
    if made.troubles:
        stage.log.warning("what to do about it is told in %s", data / "report" / "index.html")
    return {
        "bad": sum(check.level == "bad" for check in made.checks),
        "cautions": sum(check.level == "caution" for check in made.checks),
        "brightness_gap": round(facts.brightness_gap, 2),
        "colour_gap": round(facts.colour_gap, 2),
    }


if __name__ == "__main__":
    stage.main("report", run, load)
