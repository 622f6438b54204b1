"""Advice drawn from the numbers of an evaluation."""

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from pipeline.metrics.comparison import SAME_LEVELS, Table
from pipeline.metrics.style_score import FEW_GROUPS
from pipeline.training import diagnostics

PRETRAINED = "pretrained"
"""Row of the table: the generator as training began with it."""

# Limits beyond which a number is worth a remark.
MIN_STYLE_SCORE = 0.3
MIN_CONTENT_SIMILARITY = 0.5
MAX_COLOR_SHIFT = 4.0  # CIELAB units: anyone sees it side by side
MAX_CHECKERBOARD = 1.5
MAX_EDGES_INVENTED = 0.25
MAX_FLICKER = 2.0  # levels
FLATNESS_MARGIN = 0.05
LINE_STRENGTH_MARGIN = 6.0  # percent of edges


class Advice(NamedTuple):
    """A finding and what to do about it."""

    level: Literal["bad", "caution", "good"]
    title: str
    text: str


def advice(table: Table, photos: int, shots: int, metadata: Mapping[str, str]) -> list[Advice]:
    """List what the numbers say, the worst first.

    Args:
        table: the metrics by row ("photo", "result", "film", ...) and column.
        photos: how many photographs were measured.
        shots: how many shots of the film they were compared with.
        metadata: of the generator's file; names the warnings with which training ended.
    """
    findings = [
        *_failures(table),
        *_training_warnings(metadata),
        *_style(table),
        *_training_gain(table),
        *_content(table),
        *_lines(table),
        *_uncertainty(photos, shots),
        *_better_baselines(table),
    ]
    return sorted(findings, key=lambda finding: ("bad", "caution", "good").index(finding.level))


def _failures(table: Table) -> Iterator[Advice]:
    result = table["result"]
    if result["input_difference"] < SAME_LEVELS:
        yield Advice(
            "bad",
            "The output is almost the photo",
            f"They differ by {result['input_difference']:.2f} of 255 levels: train longer, or raise loss.style_weight or "
            "loss.adversarial_weight relative to loss.content_weight.",
        )
    if result["one_color"] > 0:
        yield Advice(
            "bad",
            "Pictures have lost their colors",
            f"{result['one_color']:.0%} of them are nearly of one color: lower train.lr, or raise loss.content_weight and "
            "loss.color_weight.",
        )
    if result["checkerboard"] > MAX_CHECKERBOARD:
        yield Advice(
            "caution",
            "The upsampling leaves a visible grid",
            f"It is {result['checkerboard']:.1f} times as strong as in the photos: choose a generator that upsamples without "
            "transposed convolutions, or train longer.",
        )
    if result.get("flicker", 0.0) > MAX_FLICKER:
        yield Advice(
            "caution",
            "Stylized films will flicker",
            f"Frames between which only the camera moves differ by {result['flicker']:.1f} levels.",
        )


def _training_warnings(metadata: Mapping[str, str]) -> Iterator[Advice]:
    for name in metadata.get(diagnostics.METADATA_KEY, "").split():
        if name in diagnostics.ADVICE:
            problem, _, remedy = diagnostics.ADVICE[name].partition(": ")
            yield Advice("caution", f"Training ended with a warning: {problem}", f"To fix it, {remedy}.")


def _style(table: Table) -> Iterator[Advice]:
    result, photo, film = table["result"], table["photo"], table["film"]
    style_score = result.get("style_score")
    if style_score is None:
        yield Advice(
            "caution", "No style score", "The photos are as close to the film as it is to itself, or there are too few crops."
        )
    elif style_score < 0 and result["flatness"] > max(film["flatness"], photo["flatness"]) + FLATNESS_MARGIN:
        yield Advice(
            "caution",
            "Drawn, but not like this film",
            f"The result is flatter ({result['flatness']:.2f}) than the film ({film['flatness']:.2f}; the photos: "
            f"{photo['flatness']:.2f}). It may look drawn and still be further than the photos from a film of soft, detailed "
            "pictures: lower loss.flat_areas_weight; for flat areas, choose a film that has them.",
        )
    elif style_score < MIN_STYLE_SCORE:
        yield Advice(
            "caution",
            f"Far from the film's style ({style_score:.2f})",
            "Train longer, or raise loss.style_weight or loss.adversarial_weight.",
        )
    else:
        yield Advice("good", f"Moved towards the film's style ({style_score:.2f})", "0 is the photos, 1 the film itself.")


def _training_gain(table: Table) -> Iterator[Advice]:
    """Whether training added anything to what the generator could before, by style score on the same photos."""
    row = table.get(PRETRAINED, {})
    if "lead" not in row:
        return
    gain, error = -row["lead"], row["lead_error"]
    figures = f"{gain:+.2f} ± {error:.2f} in style score (side_by_side.jpg shows the pretrained generator beside the result)"
    if gain > 2 * error:
        yield Advice("good", "Training added to what the generator began with", f"{figures}.")
    else:
        yield Advice(
            "caution",
            "Training added nothing that can be measured",
            f"{figures}: train longer, or choose model.discriminator frozen-vgg19, which learns from few pictures.",
        )


def _content(table: Table) -> Iterator[Advice]:
    result = table["result"]
    similarity = result.get("content_similarity")
    if similarity is not None and similarity < MIN_CONTENT_SIMILARITY:
        yield Advice(
            "caution",
            f"Little of the photo is left ({similarity:.2f})",
            "Raise loss.content_weight or loss.color_weight.",
        )
    if result["edges_invented"] > MAX_EDGES_INVENTED:
        yield Advice(
            "caution",
            f"{result['edges_invented']:.0%} of the edges are not in the photo",
            "Drawn lines count too. If these edges are blotches, raise loss.content_weight.",
        )
    shifts = {name: result[f"{name}_shift"] for name in ("lightness", "red", "yellow")}
    if large := ", ".join(f"{name} {value:+.1f}" for name, value in shifts.items() if abs(value) > MAX_COLOR_SHIFT):
        yield Advice(
            "caution",
            f"Colors shift ({large})",
            "Mean over all pixels in CIELAB units. loss.recolor moves colors to the film's on purpose; for the photo's own, "
            "lower it, or raise loss.color_weight or loss.area_color_weight.",
        )


def _lines(table: Table) -> Iterator[Advice]:
    film, result, photo = (table[name]["line_strength"] for name in ("film", "result", "photo"))
    text = (
        "Edges with a dark line minus edges with a bright one: "
        f"{film:.0f} % in the film, {result:.0f} % in the result, {photo:.0f} % in the photos"
    )
    if film - photo > LINE_STRENGTH_MARGIN and result - photo < (film - photo) / 3:
        yield Advice(
            "caution",
            "Fewer dark lines than in the film",
            f"{text}: train longer, or raise loss.adversarial_weight relative to loss.content_weight.",
        )
    elif result - photo > max(film - photo, 0) + LINE_STRENGTH_MARGIN:
        yield Advice(
            "caution",
            "More dark lines than in the film",
            f"{text}: lower loss.adversarial_weight, or raise loss.content_weight.",
        )


def _uncertainty(photos: int, shots: int) -> Iterator[Advice]:
    for what, count, remedy in (("photographs", photos, "photos"), ("shots of the film", shots, "films")):
        if count < FEW_GROUPS:
            yield Advice(
                "caution",
                f"Few {what}: {count}",
                "What they show influences the scores as much as how it is drawn, and standard errors are too small: "
                f"add {remedy}, or raise split.val.",
            )


def _better_baselines(table: Table) -> Iterator[Advice]:
    result = table["result"]
    for name, row in table.items():
        if name in ("result", "film") or "score" not in row or "score" not in result:
            continue
        significant = row.get("lead", 1.0) > -row.get("lead_error", 0.0)
        if row["score"] > result["score"] and significant:
            yield Advice("caution", f"{name} has a better score", f"{row['score']:.2f}, the generator {result['score']:.2f}.")
