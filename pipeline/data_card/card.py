"""The content of the data card, as a page and as Markdown."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import NamedTuple

import numpy as np

from pipeline.core.manifest import Domain
from pipeline.data_card.charts import KEPT, colors_of
from pipeline.data_card.checks import Check, share
from pipeline.data_card.colors import histogram_mean, histogram_quantile
from pipeline.data_card.facts import Facts, Source, describe_reason, sort_reasons
from pipeline.params.schema import Params
from pipeline.web.charts import DARK, LIGHT
from pipeline.web.render import render

_COMMON_SIZES = 3
_MAX_FILES = 6
_NAMES: Mapping[Domain, str] = {"anime": "Anime", "photo": "Photographs"}
_COLUMNS: Mapping[Domain, str] = {"anime": "Anime", "photo": "Photos"}
RIGHTS = (
    "Frames of a film, and crops of them, belong to the owners of the film; photographs to those who took them. Do not publish "
    "this data set or pictures of it without their permission. The contact sheets and this page show such pictures: without "
    "permission, share the card's text and charts only, not the folder sheets."
)


class Step(NamedTuple):
    """A count on the way from the sources to the crops; `part` marks a part of the count above."""

    label: str
    number: int
    note: str = ""
    part: bool = False


class Table(NamedTuple):
    """A table of formatted values; `numbers` means that all columns but the first are numbers."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: bool = True


class Picture(NamedTuple):
    """A chart (by name, drawn for light and dark pages) or a contact sheet (by path), with its texts."""

    name: str
    caption: str
    alt: str
    width_px: int
    height_px: int

    @property
    def is_chart(self) -> bool:
        return "/" not in self.name

    @property
    def wide(self) -> bool:
        return self.name.startswith("timeline_")


@dataclass(frozen=True)
class Section:
    """A section of the card; its content is shown in the order of these fields."""

    anchor: str
    title: str
    text: str = ""
    counts: Mapping[str, Sequence[Step]] = field(default_factory=dict)
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()


@dataclass(frozen=True)
class Card:
    """Everything on the card."""

    title: str
    summary: str
    key_figures: Sequence[tuple[str, str]]
    problems: Sequence[Check]
    passed: Sequence[Check]
    sections: Sequence[Section]
    reasons: Sequence[str]
    rights: str = RIGHTS
    footer: str = "Made by Genga's stage report from the manifests of the data stages, which have the same numbers."


def render_page(card: Card) -> str:
    """Render the card as the HTML of a page that opens from disk, beside its charts and contact sheets."""
    swatches = {"Kept": colors_of(KEPT)} | {describe_reason(reason): colors_of(reason) for reason in card.reasons}
    return render("data_card.html", swatches=swatches, light=LIGHT, dark=DARK, **vars(card))


def render_markdown(card: Card) -> str:
    """Render the card as Markdown."""
    text = render("data_card.md", light=LIGHT, **vars(card))
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def build_card(
    facts: Facts,
    params: Params,
    checks: Sequence[Check],
    charts: Mapping[str, Picture],
    sheets: Sequence[Picture],
    identity: str,
) -> Card:
    """Put the content of the card together.

    Args:
        checks: the outcomes of all checks, in the order to show.
        charts: by name, all that `charts.list_charts` lists for these facts.
        sheets: the contact sheets, in the order to show.
        identity: SHA-256 (its beginning) of the manifest of stage split, which identifies the data set.
    """
    anime, photo = facts.totals["anime"], facts.totals["photo"]
    films = [source for source in facts.sources if source.domain == "anime" and source.episodes]
    folders = sum(source.domain == "anime" for source in facts.sources) - len(films)
    length = _duration(sum(source.seconds for source in films))
    origins = [f"{_plural(len(films), 'film')} of {length}"] * bool(films) + [
        f"{_plural(folders, 'folder')} of pictures"
    ] * bool(folders)
    gap = facts.brightness_gap
    reasons = sort_reasons(reason for source in facts.sources for reason in source.reasons)
    size = params.crop.size_px
    timeline = Section(
        "timeline",
        "Timeline",
        "Key frames over the seconds of each film: kept ones upwards, dropped ones downwards by reason; shots below.",
        pictures=[chart for chart in charts.values() if chart.wide],
    )
    parts = [f"{anime.splits['train']:,} from {' and '.join(origins)}"] * bool(anime.pictures) + [
        f"{photo.splits['train']:,} from {photo.kept:,} photographs{' and frames of footage' if params.footage else ''}"
    ] * bool(photo.pictures)
    figures = {
        "anime": [
            *([(length, "of film"), (f"{sum(source.shots for source in films):,}", "shots")] if films else []),
            (f"{anime.kept:,} of {anime.pictures:,}", "pictures kept" if folders else "key frames kept"),
            (f"{anime.crops:,}", "anime crops"),
        ],
        "photo": [(f"{photo.kept:,} of {photo.pictures:,}", "photographs kept"), (f"{photo.crops:,}", "photo crops")],
    }
    compared = [(f"{abs(gap):.0f} levels", f"of 255 {'brighter' if gap > 0 else 'darker'} than the photos")]
    measured = " and ".join(f"{len(facts.colors[domain].lab)} {domain}" for domain in facts.domains)
    return Card(
        title=", ".join(params.films or params.footage or ["photographs"]),
        summary=f"{anime.splits['train'] + photo.splits['train']:,} crops of {size} x {size} pixels for training: "
        f"{', '.join(parts)}.",
        key_figures=[figure for domain in facts.domains for figure in figures[domain]] + compared * facts.comparable,
        problems=[check for check in checks if check.level != "good"],
        passed=[check for check in checks if check.level == "good"],
        sections=[
            Section(
                "counts",
                "Counts",
                "From the sources to the training set; every picture left out has a reason.",
                counts={_NAMES[domain]: list(_counts(facts, domain)) for domain in facts.domains},
                tables=[_source_table(facts.sources, reasons)],
                pictures=[charts["pictures"]],
            ),
            *([timeline] if timeline.pictures else []),
            Section(
                "color",
                "Color",
                "A generator learns how bright and colorful anime is compared with the photographs: where the two differ, "
                f"results shift. Measured on {measured} crops, evenly spread.",
                tables=[_color_table(facts)],
                pictures=[charts[name] for name in ("luma", "saturation", *(f"color_{domain}" for domain in facts.domains))],
            ),
            Section(
                "scale",
                "Scale",
                f"The size of crops before they were scaled to {size} pixels, and how much detail is in them (share of edge "
                "pixels by Canny).",
                tables=[_scale_table(facts, size)],
                pictures=[charts["side"], charts["edges"]],
            ),
            Section("pictures", "Pictures", pictures=sheets),
            Section(
                "made-from",
                "Made from",
                "Identity of this data set (SHA-256 of the manifest of stage split, which lists every crop with its box and "
                f"split): {identity}",
                tables=[
                    Table(["Source", "Domain", "Files", "Length", "Pictures"], list(_origins(facts, params)), False),
                    Table(["Stage", "Parameters"], list(_settings(params)), False),
                ],
            ),
        ],
        reasons=reasons,
    )


def _counts(facts: Facts, domain: Domain) -> Iterator[Step]:
    total = facts.totals[domain]
    filmed = [source for source in facts.sources if source.domain == domain and source.episodes]
    if filmed:
        length = _duration(sum(source.seconds for source in filmed))
        yield Step("Shots", sum(source.shots for source in filmed), f"in {length}")
        yield Step("with a kept frame", sum(source.shots_kept for source in filmed), part=True)
    if domain == "photo":
        what = "Photographs"
    elif all(source.episodes for source in facts.sources if source.domain == "anime"):
        what = "Key frames"
    else:
        what = "Pictures"
    yield Step(what, total.pictures)
    for reason in sort_reasons(total.reasons):
        count = total.reasons[reason]
        yield Step(f"dropped: {describe_reason(reason)}", count, f"{count / total.pictures:.1%}", part=True)
    yield Step("Kept", total.kept, f"{total.kept / total.pictures:.1%}" if total.pictures else "")
    yield Step("Crops", total.crops, f"{total.crops / total.kept:.1f} per picture" if total.kept else "")
    for split in ("train", "val"):
        groups = _plural(total.groups[split], "shot" if domain == "anime" else "photograph")
        yield Step(f"in {split}", total.splits[split], f"from {groups}", part=True)
    for reason in sort_reasons(total.left_out):
        yield Step(f"left out: {describe_reason(reason)}", total.left_out[reason], part=True)
    if domain == "anime":
        yield Step("Edge-smoothed crops", facts.edge_smoothed)
    else:
        yield Step("Whole photographs to stylize", total.splits["pred"], "their crops are in neither split")


def _source_table(sources: Sequence[Source], reasons: Sequence[str]) -> Table:
    described = map(describe_reason, reasons)
    head = ["Source", "Length", "Shots", "Pictures", *described, "Kept", "Crops", "Train", "Val", "Pred"]
    rows = []
    for source in sources:
        splits = (source.splits[split] for split in ("train", "val", "pred"))
        counts = [source.pictures, *(source.reasons[reason] for reason in reasons), source.kept, source.crops, *splits]
        shots = f"{source.shots:,}" if source.episodes else ""
        rows.append([source.name, _length(source), shots, *(f"{count:,}" for count in counts)])
    return Table(head, rows)


def _color_table(facts: Facts) -> Table:
    colors = [facts.colors[domain] for domain in facts.domains]
    measures: dict[str, list[float]] = {
        "Mean luma, 0 to 255": [histogram_mean(crops.luma) for crops in colors],
        "Shadows: 5th percentile of luma": [histogram_quantile(crops.luma, 0.05) for crops in colors],
        "Highlights: 95th percentile of luma": [histogram_quantile(crops.luma, 0.95) for crops in colors],
        "Standard deviation of lightness (L) between crops": [float(crops.lab[:, 0].std()) for crops in colors],
        "Mean saturation, 0 to 255": [histogram_mean(crops.saturation) for crops in colors],
        "Mean L, 0 black to 100 white": [float(crops.mean_lab[0]) for crops in colors],
        "Mean a, green to red": [float(crops.mean_lab[1]) for crops in colors],
        "Mean b, blue to yellow": [float(crops.mean_lab[2]) for crops in colors],
    }
    head = ["Measure", *(_COLUMNS[domain] for domain in facts.domains)]
    rows = [[name, *(f"{value:.1f}" for value in values)] for name, values in measures.items()]
    if not facts.comparable:
        return Table(head, rows)
    rows = [[*row, f"{values[0] - values[1]:+.1f}"] for row, values in zip(rows, measures.values(), strict=True)]
    rows.append(["Distance of mean colors in the a/b plane", "", "", f"{facts.color_gap:.1f}"])
    return Table([*head, "Difference"], rows)


def _scale_table(facts: Facts, size_px: int) -> Table:
    sides = [facts.sizes[domain].sides for domain in facts.domains]
    shares = [facts.sizes[domain].edge_shares for domain in facts.domains]

    def quantile(values: np.ndarray, share: float) -> float:
        return float(np.nanquantile(values, share)) if np.isfinite(values).any() else 0.0

    return Table(
        ["Measure", *(_COLUMNS[domain] for domain in facts.domains)],
        [
            ["Smallest side, pixels", *(f"{quantile(values, 0):.0f}" for values in sides)],
            ["Median side, pixels", *(f"{quantile(values, 0.5):.0f}" for values in sides)],
            ["Largest side, pixels", *(f"{quantile(values, 1):.0f}" for values in sides)],
            ["Median scale factor", *(f"{size_px / max(quantile(values, 0.5), 1):.2f}" for values in sides)],
            ["Crops enlarged", *(f"{share(float((values < size_px).sum()), len(values)):.1%}" for values in sides)],
            ["Median share of edge pixels", *(f"{quantile(values, 0.5):.1%}" for values in shares)],
        ],
    )


def _origins(facts: Facts, params: Params) -> Iterator[list[str]]:
    """List sources by file names without folders, so that a shared card reveals nothing about the machine."""
    folders = {**params.films, **params.footage}
    for source in facts.sources:
        folder = PurePath(folders.get(source.name, params.photos)).name
        files = source.files if source.episodes else [f"{source.pictures:,} files in {folder}"]
        more = f" and {len(files) - _MAX_FILES} more" if len(files) > _MAX_FILES else ""
        sizes = [f"{width} x {height} ({count:,})" for (width, height), count in source.sizes.most_common(_COMMON_SIZES)]
        rest = f" and {len(source.sizes) - len(sizes):,} other sizes" if len(source.sizes) > len(sizes) else ""
        yield [source.name, source.domain, ", ".join(files[:_MAX_FILES]) + more, _length(source), ", ".join(sizes) + rest]


def _settings(params: Params) -> Iterator[list[str]]:
    sections = {
        "keyframes": params.keyframes,
        "dedup": params.dedup,
        "crop": params.crop,
        "edge_smooth": params.edge_smooth,
        "split": params.split,
    }
    for name, section in sections.items():
        yield [name, ", ".join(f"{key} {'default' if value is None else value}" for key, value in section.model_dump().items())]


def _length(source: Source) -> str:
    return _duration(source.seconds) if source.episodes else ""


def _duration(seconds: float) -> str:
    whole = round(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d} h" if hours else f"{minutes}:{whole % 60:02d} min"


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
