"""What the numbers of an evaluation mean, in words, and what its page shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.core.manifest import Row
from pipeline.media.images import Picture
from pipeline.metrics.comparison import SAME_LEVELS, Table
from pipeline.metrics.style_score import FEW_GROUPS
from pipeline.training import diagnostics
from pipeline.web.evaluation_page import COLUMNS, Advice, Bar, Evaluation, Pair, number

EXTREMES = 3
NEAR, LIKE = 0.3, 0.5  # less is worth a word
CAST = 4.0  # CIELAB units: anyone sees it side by side
LOUD_GRID = 1.5
INVENTED = 0.25
FLICKERS = 2.0  # levels
OVERSHOOT = 0.05
FEWER_LINES = 6.0  # percent of borders


@dataclass(frozen=True)
class Pictures:
    """What there is to show."""

    scored: Sequence[Row]
    shown: Sequence[Row]
    kept: Mapping[str, tuple[Picture, Picture]]  # photo and result
    beside: Picture  # a row a photo, a column a way


def advice(table: Table, photographs: int, shots: int, metadata: Mapping[str, str]) -> list[Advice]:
    """What is to be said, the worst first; `metadata` is that of the generator's file."""
    found = [*_failures(table), *_of_training(metadata), *_look(table), *_doubts(table, photographs, shots)]
    return sorted(found, key=lambda one: ("bad", "caution", "good").index(one.level))


def _failures(table: Table) -> Iterator[Advice]:
    result = table["result"]
    if result["input_difference"] < SAME_LEVELS:
        yield Advice(
            "bad",
            "The output is almost the photo",
            f"{result['input_difference']:.2f} of 255 levels apart: train longer, or raise loss.style_weight or "
            "loss.adversarial_weight against loss.content_weight.",
        )
    if result["one_color"] > 0:
        yield Advice(
            "bad",
            "Pictures have lost their colours",
            f"{result['one_color']:.0%} of them are of nearly one colour: lower train.lr, or raise loss.content_weight and "
            "loss.color_weight.",
        )
    if result["checkerboard"] > LOUD_GRID:
        yield Advice(
            "caution",
            "A grid of the upsampling shows",
            f"{result['checkerboard']:.1f} times the photo's: choose a generator that enlarges without transposed "
            "convolutions, or train longer.",
        )
    if result.get("flicker", 0.0) > FLICKERS:
        yield Advice(
            "caution",
            "Films redrawn with it will flicker",
            f"{result['flicker']:.1f} levels between frames that only move.",
        )


def _of_training(metadata: Mapping[str, str]) -> Iterator[Advice]:
    for name in metadata.get(diagnostics.METADATA_KEY, "").split():
        if name in diagnostics.ADVICE:
            what, _, remedy = diagnostics.ADVICE[name].partition(": ")
            yield Advice("caution", f"Training ended with a warning: {what}", f"To mend it, {remedy}.")


def _look(table: Table) -> Iterator[Advice]:
    result, photo, film = table["result"], table["photo"], table["film"]
    near, like = result.get("style_score"), result.get("content_similarity")
    if near is None:
        yield Advice(
            "caution", "No scale to the film", "The photos are as near to it as it is to itself, or there are too few crops."
        )
    elif near < 0 and result["flatness"] > max(film["flatness"], photo["flatness"]) + OVERSHOOT:
        yield Advice(
            "caution",
            "Drawn, but not as this film is",
            f"The result is flatter ({result['flatness']:.2f}) than the film ({film['flatness']:.2f}; the photos: "
            f"{photo['flatness']:.2f}). So it may well look drawn, and yet be further from a film of soft, detailed "
            "pictures than the photos were. If the film's look is wanted, set pseudo_targets.filter to brush (or to film, which "
            "chooses), or lower flatten.strength; if flat areas are, give a film that has them.",
        )
    elif near < NEAR:
        yield Advice(
            "caution",
            f"Not near to the film ({near:.2f})",
            "Train longer, or raise loss.style_weight or loss.adversarial_weight.",
        )
    else:
        yield Advice("good", f"On the way to the film ({near:.2f})", "0 is the photos, 1 the film to itself.")
    if like is not None and like < LIKE:
        yield Advice("caution", f"Little of the photo is left ({like:.2f})", "Raise loss.content_weight or loss.color_weight.")
    if result["edges_invented"] > INVENTED:
        yield Advice(
            "caution",
            f"{result['edges_invented']:.0%} of the borders are not the photo's",
            "Lines that a draughtsman adds count too. If they are blots, raise loss.content_weight.",
        )
    aim = table.get("pseudo_target", {})  # what flatten.color_transform moves on purpose is no drift
    drift = {name: result[f"{name}_shift"] - aim.get(f"{name}_shift", 0.0) for name in ("lightness", "red", "yellow")}
    if any(abs(value) > CAST for value in drift.values()):
        said = ", ".join(f"{name} {value:+.1f}" for name, value in drift.items() if abs(value) > CAST)
        yield Advice(
            "caution",
            f"Colors drift ({said})",
            "CIELAB units from the flattened photos, or where there are none from the photos, in the mean over all pixels: "
            "raise loss.color_weight.",
        )
    wanted, drawn = (one["line_strength"] - photo["line_strength"] for one in (film, result))
    said = (
        f"Borders with a dark line less those with a bright one: {film['line_strength']:.0f} % in the film, "
        f"{result['line_strength']:.0f} % in the result, {photo['line_strength']:.0f} % in the photos"
    )
    if wanted > FEWER_LINES and drawn < wanted / 3:
        yield Advice(
            "caution",
            "Fewer ink lines than the film has",
            f"{said}: raise pseudo_targets.line_strength, aim at flattened targets.",
        )
    elif drawn > max(wanted, 0) + FEWER_LINES:
        yield Advice(
            "caution", "More ink than the film has", f"{said}: lower pseudo_targets.line_strength (0 for a film without lines)."
        )


def _doubts(table: Table, photographs: int, shots: int) -> Iterator[Advice]:
    for name, count, remedy in (("photographs", photographs, "photos"), ("shots of the film", shots, "films")):
        if count < FEW_GROUPS:
            yield Advice(
                "caution",
                f"Few to judge by: {count} {name}",
                "What they show weighs as much as how it is drawn, and the errors are told too small: "
                f"give more {remedy}, or raise split.val.",
            )
    result = table["result"]
    for name, row in table.items():
        better = name not in ("result", "film") and "score" in row and "score" in result and row["score"] > result["score"]
        if better and row.get("lead", 1.0) > -row.get("lead_error", 0.0):
            yield Advice(
                "caution",
                f"{name} does better by the score",
                f"{row['score']:.2f} against {result['score']:.2f}, without these weights.",
            )


def evaluation(title: str, table: Table, pictures: Pictures, said: Sequence[Advice], metadata: Mapping[str, str]) -> Evaluation:
    """The page."""
    result = table["result"]
    order = sorted(pictures.scored, key=_merit, reverse=True)
    count = min(EXTREMES, len(order) // 2)
    best, worst = order[:count], order[len(order) - count :][::-1]
    told = {row.id for row in best + worst}
    tiles = [
        (number(result[key]), label.format(**{f"film_{name}": value for name, value in table["film"].items()}))
        for key, label in _TILES
        if key in result
    ]
    columns = [column for column in COLUMNS if any(column.name in row for row in table.values())]
    bars = [
        Bar(name, row["style_score"], row.get("style_score_error", 0.0), name == "result")
        for name, row in sorted(table.items(), key=lambda item: item[1].get("style_score", 0.0))
        if "style_score" in row
    ]
    return Evaluation(
        title=title,
        summary=f"{len(pictures.scored)} crops of photos that it never saw, redrawn and measured against the photos, the "
        "film, and what filters make of them.",
        tiles=tiles,
        advice=said,
        bars=bars,
        best=[_pair(row, pictures) for row in best],
        worst=[_pair(row, pictures) for row in worst],
        others=[_pair(row, pictures) for row in pictures.shown if row.id not in told],
        beside=pictures.beside,
        columns=columns,
        table=table,
        footer="Model: " + ", ".join(f"{key} {value}" for key, value in sorted(metadata.items()) if len(value) < 40),
    )


_TILES = (
    ("score", "score"),
    ("style_score", "style score (0 photo, 1 film)"),
    ("content_similarity", "content similarity (0 another, 1 the same)"),
    ("flatness", "flatness (the film: {film_flatness:.2f})"),
    ("color_shift", "colour shift (CIEDE2000)"),
)


def _merit(row: Row) -> float:
    """By what pictures are best and worst: gone towards the film, without loss of content."""
    return row.scores["gain"] - row.scores["lpips"]


def _pair(row: Row, pictures: Pictures) -> Pair:
    photo, result = pictures.kept[row.id]
    scores = row.scores
    said = (("gain", "+.2f"), ("lpips", ".2f"), ("edge_agreement", ".2f"), ("color_shift", ".1f"))
    note = ", ".join(f"{name} {scores[name]:{form}}" for name, form in said)
    return Pair(row.id, note, photo, result)
