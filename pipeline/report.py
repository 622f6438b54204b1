"""Stage: the data card, a page about the data set: what was kept and dropped, and what is likely to go wrong in training.

    python -m pipeline.report

Writes index.html, which opens from disk, the charts and contact sheets that it shows, and card.md, the same as Markdown.
"""

import csv
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from pipeline.core import manifest, stage
from pipeline.core.errors import UserError, log
from pipeline.core.manifest import MANIFEST, Domain
from pipeline.core.text import repro_command
from pipeline.data_card import colors, facts
from pipeline.data_card.card import Picture, build_card, render_markdown, render_page
from pipeline.data_card.charts import list_charts
from pipeline.data_card.checks import run_checks
from pipeline.data_card.facts import DOMAINS, Episode, Facts, Shot, Source, spread_evenly
from pipeline.data_card.sheets import Samples, write_sheets
from pipeline.params.schema import Params, load
from pipeline.web.charts import DARK, LIGHT, draw_chart

_MAX_TIMELINES = 60
_MAX_EPISODES = 26  # in a timeline: a season; of more, as many evenly spread


def read_facts(params: Params, data: Path) -> tuple[Facts, Samples]:
    """Read the outputs of the data stages in the folder `data`, and measure the colors of crops.

    Returns:
        The facts about the data set, and the rows of which contact sheets are made.

    Raises:
        UserError: an output is missing or damaged.
    """
    checked, split = (manifest.read(data / name) for name in ("dedup", "split"))
    by_domain = {domain: [row for row in checked if row.domain == domain] for domain in DOMAINS}
    crops = [
        row for domain, rows in by_domain.items() for row in manifest.of_sources(data / "crop" / stage.ABOUT / domain, rows)
    ]
    edge_smoothed = manifest.of_sources(data / "edge_smooth" / stage.ABOUT, by_domain["anime"])
    pictures = facts.with_crop_reasons(checked, crops)
    domains: dict[str, Domain] = {name: "anime" for name in params.films}
    domains |= {name: "photo" for name in params.footage}
    films = {name: data / "keyframes" / stage.ABOUT / name for name in domains}
    domains |= {row.source: row.domain for row in checked if row.source not in domains}
    sources = facts.list_sources(domains, pictures, crops, split, {name: _shots(folder) for name, folder in films.items()})
    used = {domain: [row for row in manifest.kept(split, domain) if row.split != "pred"] for domain in DOMAINS}
    measured = [row for domain in DOMAINS for row in spread_evenly(used[domain], params.report.max_measured)]
    statistics = list(stage.parallel(colors.measure_row, measured, params.workers, "report", "crops"))
    return Facts(
        sources=sources,
        totals={domain: facts.sum_sources(domain, sources, split) for domain in DOMAINS},
        colors={
            domain: colors.merge(color for row, color in zip(measured, statistics, strict=True) if row.domain == domain)
            for domain in DOMAINS
        },
        sizes={domain: facts.measure_sizes(used[domain]) for domain in DOMAINS},
        edge_smoothed=len(edge_smoothed),
        warnings=sum(map(_warnings, films.values())),
    ), Samples(pictures, manifest.kept(crops), edge_smoothed)


def _shots(folder: Path) -> list[Shot]:
    path = folder / "shots.csv"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [Shot(line["shot"], float(line["start_s"]), float(line["end_s"])) for line in csv.DictReader(file)]
    except (FileNotFoundError, KeyError, ValueError):
        raise UserError(f"{path} is missing or damaged: delete {folder} and run {repro_command(path)}") from None


def _warnings(folder: Path) -> int:
    path = folder / stage.METRICS
    try:
        return int(json.loads(path.read_text("utf-8"))["warnings"])
    except (FileNotFoundError, KeyError, ValueError):
        raise UserError(f"{path} is missing or damaged: delete {folder} and run {repro_command(path)}") from None


def choose_timelines(sources: Sequence[Source]) -> list[tuple[Source, list[Episode]]]:
    """Choose, evenly spread, the films that get a timeline (60 at most), and for each the episodes in it (26 at most)."""
    films = [source for source in sources if source.episodes]
    return [(film, spread_evenly(film.episodes, _MAX_EPISODES)) for film in spread_evenly(films, _MAX_TIMELINES)]


def write_charts(card_facts: Facts, size_px: int, min_edge_share: float, out: Path) -> dict[str, Picture]:
    """Write every chart into new folders of `out` for light and dark pages; return name -> caption, alt text and size."""
    for theme in (LIGHT, DARK):
        (out / theme.folder).mkdir()
    pictures = {}
    for name, draw, caption, alt in list_charts(card_facts, choose_timelines(card_facts.sources), size_px, min_edge_share):
        chart = draw_chart(draw, alt)
        (out / LIGHT.folder / f"{name}.png").write_bytes(chart.light)
        (out / DARK.folder / f"{name}.png").write_bytes(chart.dark)
        pictures[name] = Picture(name, caption, alt, chart.width_px, chart.height_px)
    return pictures


def run(params: Params, out: Path, data: Path = stage.DATA) -> dict[str, float]:
    """Write the card, its charts and its contact sheets to the folder `out`."""
    card_facts, samples = read_facts(params, data)
    identity = hashlib.sha256((data / "split" / MANIFEST).read_bytes()).hexdigest()[:16]
    checks = run_checks(card_facts, params.report, params.crop.size_px)
    charts = write_charts(card_facts, params.crop.size_px, params.crop.min_edge_share, out)
    card = build_card(card_facts, params, checks, charts, list(write_sheets(samples, out)), identity)
    (out / "index.html").write_text(render_page(card), "utf-8", newline="\n")
    (out / "card.md").write_text(render_markdown(card), "utf-8", newline="\n")
    for check in card.problems:
        log.warning("%s: %s: %s (should be: %s)", check.level, check.title, check.value, check.target)
    if card.problems:
        log.warning("%s says what to do about it", data / "report" / "index.html")
    return {
        "bad": sum(check.level == "bad" for check in checks),
        "cautions": sum(check.level == "caution" for check in checks),
        "brightness_gap": round(card_facts.brightness_gap, 2),
        "color_gap": round(card_facts.color_gap, 2),
    }


if __name__ == "__main__":
    stage.main("report", run, load)
