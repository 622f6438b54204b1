"""What the data card says: its words and tables, from the facts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePath

from pipeline.core.manifest import Domain
from pipeline.data_card import checks
from pipeline.data_card.charts import KEPT, words
from pipeline.data_card.facts import DOMAINS, Facts, Source, in_order, mean, of_values, quantile
from pipeline.data_card.page import Card, Picture, Section, Step, Table
from pipeline.params.schema import Params

_COMMON_SIZES = 3
_FILES = 6
RIGHTS = (
    "Frames of a film, and crops cut out of them, belong to those who hold the rights in the film; photographs to those who "
    "took them. Do not publish this data set, or pictures of it, without their leave. The sheets and this page show such "
    "pictures: where there is no leave, share the card's words and charts without the folder sheets."
)


def card(facts: Facts, params: Params, charts: Sequence[Picture], pictures: Sequence[Picture], identity: str) -> Card:
    """Everything the card says."""
    anime, photo = facts.totals["anime"], facts.totals["photo"]
    films = [source for source in facts.sources if source.domain == "anime"]
    length = _minutes(sum(source.seconds for source in films))
    gap = facts.brightness_gap
    by_name = {picture.name: picture for picture in charts}
    timelines = [picture for picture in charts if picture.name.startswith("timeline_")]
    train = anime.splits["train"] + photo.splits["train"]
    reasons = in_order(reason for source in facts.sources for reason in source.reasons)
    return Card(
        title=", ".join(params.films),
        summary=(
            f"{train:,} crops of {params.crop.size_px} x {params.crop.size_px} pixels to train on: "
            f"{anime.splits['train']:,} from {_many(len(films), 'film')} of {length}, "
            f"{photo.splits['train']:,} from {photo.kept:,} photographs{' and frames of footage' if params.footage else ''}."
        ),
        tiles=[
            (length, "of film"),
            (f"{sum(source.shots for source in films):,}", "shots"),
            (f"{anime.kept:,} of {anime.pictures:,}", "key frames kept"),
            (f"{anime.crops:,}", "anime crops"),
            (f"{photo.kept:,} of {photo.pictures:,}", "photographs kept"),
            (f"{photo.crops:,}", "photo crops"),
            (f"{abs(gap):.0f} levels", f"of 255 {'brighter' if gap > 0 else 'darker'} than the photos"),
        ],
        checks=checks.checks(facts, params),
        sections=[
            Section(
                "counts",
                "Counts",
                "From the film to the training set: nothing is lost without a reason.",
                funnels={"Anime": list(_funnel(facts, "anime")), "Photographs": list(_funnel(facts, "photo"))},
                table=_source_table(facts.sources, reasons),
                pictures=[by_name["pictures"], by_name["crops"]],
            ),
            Section(
                "timeline",
                "Over time",
                "Key frames over the seconds of each film: kept upwards, dropped downwards by reason. Under them, the shots.",
                pictures=timelines,
            ),
            Section(
                "colour",
                "Colour",
                "A generator takes on how bright and how colourful the anime side is against the photographs: where the two "
                f"differ, results drift. Measured on {facts.palettes['anime'].pictures} anime and "
                f"{facts.palettes['photo'].pictures} photo crops, evenly spread.",
                table=_colour_table(facts),
                pictures=[by_name[name] for name in ("luma", "saturation", "colour_anime", "colour_photo")],
            ),
            Section(
                "scale",
                "Scale",
                f"How large crops were before they became {params.crop.size_px} pixels wide, and how much is drawn in them "
                "(share of Canny's edge pixels).",
                table=_scale_table(facts, params),
                pictures=[by_name["side"], by_name["edges"]],
            ),
            Section("pictures", "Pictures", pictures=pictures),
            Section(
                "made-from",
                "Made from",
                "Identity of this data set (SHA-256 of the split's manifest, which names every crop, its box and its place): "
                f"{identity}",
                table=Table(["Source", "Side", "Files", "Length", "Pictures"], list(_origins(facts, params)), numbers=False),
                after=Table(["Stage", "Parameters"], list(_settings(params)), numbers=False),
            ),
        ],
        reasons={"Kept": KEPT} | {words(reason): reason for reason in reasons},
        rights=RIGHTS,
        footer="Made by Genga's stage report from the manifests of the data stages; every number can be read off them again.",
    )  # fmt: skip


def _funnel(facts: Facts, domain: Domain) -> Iterator[Step]:
    total = facts.totals[domain]
    filmed = [source for source in facts.sources if source.domain == domain and source.episodes]
    if filmed:
        yield Step("Shots", sum(source.shots for source in filmed), f"in {_minutes(sum(source.seconds for source in filmed))}")
        yield Step("with a kept frame", sum(source.shots_kept for source in filmed), part=True)
    yield Step("Key frames" if domain == "anime" else "Photographs", total.pictures)
    for reason in in_order(total.reasons):
        count = total.reasons[reason]
        yield Step(f"dropped, {words(reason)}", count, f"{count / total.pictures:.1%}", part=True)
    yield Step("Kept", total.kept, f"{total.kept / total.pictures:.1%}" if total.pictures else "")
    yield Step("Crops", total.crops, f"{total.crops / total.kept:.1f} a picture" if total.kept else "")
    for split in ("train", "val"):
        what = "shot" if domain == "anime" else "photograph"
        yield Step(f"in {split}", total.splits[split], f"from {_many(total.groups[split], what)}", part=True)
    for reason in in_order(total.left_out):
        yield Step(f"left out, {words(reason)}", total.left_out[reason], part=True)
    if domain == "anime":
        yield Step("Edge-smoothed twins", facts.twins)
    else:
        yield Step("Whole photographs to redraw", total.splits["pred"], "their crops are in neither")


def _source_table(sources: Sequence[Source], reasons: Sequence[str]) -> Table:
    head = [
        "Source",
        "Length",
        "Shots",
        "Pictures",
        *(words(reason) for reason in reasons),
        "Kept",
        "Crops",
        "Train",
        "Val",
        "Pred",
    ]
    rows = [
        [
            source.name,
            _length(source),
            f"{source.shots:,}" if source.episodes else "",
            f"{source.pictures:,}",
            *(f"{source.reasons[reason]:,}" for reason in reasons),
            f"{source.kept:,}",
            f"{source.crops:,}",
            *(f"{source.splits[split]:,}" for split in ("train", "val", "pred")),
        ]
        for source in sources
    ]
    return Table(head, rows)


def _colour_table(facts: Facts) -> Table:
    sides = [facts.palettes[domain] for domain in DOMAINS]
    measured: list[tuple[str, list[float]]] = [
        ("Mean luma, 0 to 255", [mean(one.luma) for one in sides]),
        ("Shadows: luma that 5 % of pixels stay under", [quantile(one.luma, 0.05) for one in sides]),
        ("Lights: luma that 5 % of pixels exceed", [quantile(one.luma, 0.95) for one in sides]),
        ("Deviation of lightness (L) between crops", [float(one.lab[:, 0].std()) for one in sides]),
        ("Mean saturation, 0 to 255", [mean(one.saturation) for one in sides]),
        ("Mean L, 0 black to 100 white", [float(one.mean_lab[0]) for one in sides]),
        ("Mean a, green to red", [float(one.mean_lab[1]) for one in sides]),
        ("Mean b, blue to yellow", [float(one.mean_lab[2]) for one in sides]),
    ]
    rows = [[name, f"{anime:.1f}", f"{photo:.1f}", f"{anime - photo:+.1f}"] for name, (anime, photo) in measured]
    rows.append(["Distance of mean colours in the a/b plane", "", "", f"{facts.colour_gap:.1f}"])
    return Table(["Measure", "Anime", "Photos", "Difference"], rows)


def _scale_table(facts: Facts, params: Params) -> Table:
    sides = [facts.scales[domain].sides for domain in DOMAINS]
    shares = [facts.scales[domain].edge_shares for domain in DOMAINS]
    size, at = params.crop.size_px, of_values
    return Table(
        ["Measure", "Anime", "Photos"],
        [
            ["Smallest side, pixels", *(f"{at(one, 0):.0f}" for one in sides)],
            ["Median side, pixels", *(f"{at(one, 0.5):.0f}" for one in sides)],
            ["Largest side, pixels", *(f"{at(one, 1):.0f}" for one in sides)],
            ["Median scaling", *(f"{size / max(at(one, 0.5), 1):.2f}" for one in sides)],
            ["Crops enlarged", *(f"{checks.share(float((one < size).sum()), len(one)):.1%}" for one in sides)],
            ["Median share of edge pixels", *(f"{at(one, 0.5):.1%}" for one in shares)],
        ],
    )


def _origins(facts: Facts, params: Params) -> Iterator[list[str]]:
    for one in facts.sources:
        # Names of files, not their folders: a card that is shared tells nothing of the machine it was made on.
        files = one.files if one.episodes else [f"{one.pictures:,} files in {PurePath(params.photos).name}"]
        more = f" and {len(files) - _FILES} more" if len(files) > _FILES else ""
        sizes = [f"{width} x {height} ({count:,})" for (width, height), count in one.sizes.most_common(_COMMON_SIZES)]
        rest = f" and {len(one.sizes) - len(sizes):,} other sizes" if len(one.sizes) > len(sizes) else ""
        yield [one.name, one.domain, ", ".join(files[:_FILES]) + more, _length(one), ", ".join(sizes) + rest]


def _settings(params: Params) -> Iterator[list[str]]:
    for name, section in (
        ("keyframes", params.keyframes),
        ("dedup", params.dedup),
        ("crop", params.crop),
        ("edge_smooth", params.edge_smooth),
        ("split", params.split),
    ):
        values = section.model_dump()
        yield [name, ", ".join(f"{key} {'default' if value is None else value}" for key, value in values.items())]


def _length(source: Source) -> str:
    return _minutes(source.seconds) if source.episodes else ""


def _minutes(seconds: float) -> str:
    whole = round(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d} h" if hours else f"{minutes}:{whole % 60:02d} min"


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def timeline_words(source: Source, shown: int) -> tuple[str, str]:
    """Caption and alternative text of a film's timeline that shows so many of its episodes."""
    total = len(source.episodes)
    some = f" {shown} of {total} episodes, evenly spread." if shown < total else ""
    return (
        f"{source.name}: {source.shots_kept:,} of {source.shots:,} shots have a kept frame.{some}",
        f"Timeline of {source.name}: key frames kept and dropped, and shots, over the seconds of the film",
    )


def chart_words(facts: Facts) -> dict[str, tuple[str, str]]:
    """Captions and alternative texts of the other charts."""
    gap = facts.brightness_gap
    compared = f"{abs(gap):.0f} levels {'brighter' if gap > 0 else 'darker'} than the photographs"
    return {
        "pictures": ("What became of each source's pictures.", "Bars: pictures of each source, kept and dropped by reason"),
        "crops": ("Crops by side and split.", "Bars: anime and photo crops in train and val"),
        "luma": (f"Brightness: the anime side is {compared}.", "Histograms of luma, anime and photos"),
        "saturation": ("Saturation.", "Histograms of saturation, anime and photos"),
        "colour_anime": ("Each dot is an anime crop, in its mean colour.", "Mean colours of anime crops in the a/b plane"),
        "colour_photo": ("Each dot is a photo crop; same axes.", "Mean colours of photo crops in the a/b plane"),
        "side": ("Sides of crops; those left of the line were enlarged.", "Histograms of the sides of crops"),
        "edges": ("How much is drawn in the crops.", "Histograms of the share of edge pixels"),
    }
