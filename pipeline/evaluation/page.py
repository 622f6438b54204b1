"""The page of an evaluation: advice, pictures to compare, and the table of metrics, in one HTML file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.core.manifest import Row
from pipeline.evaluation.advice import Advice
from pipeline.media.images import Picture
from pipeline.metrics.comparison import Table
from pipeline.web.metric_columns import COLUMNS
from pipeline.web.metric_columns import Row as TableRow
from pipeline.web.render import format_number, render

EXTREMES = 3  # pictures shown as the best, and as the worst
MIN_DIFFERENCE = 0.02  # between these; less does not show in the two digits that the page prints
_KEY_FIGURES = (
    ("score", "score"),
    ("style_score", "style_score (0 photo, 1 film)"),
    ("content_similarity", "content_similarity (0 another photo, 1 the same)"),
    ("flatness", "flatness (the film: {film_flatness:.2f})"),
    ("color_shift", "color shift (CIEDE2000)"),
)


@dataclass(frozen=True)
class Pictures:
    """The pictures of an evaluation."""

    scored: Sequence[Row]  # all photos, with the scores of their results
    shown: Sequence[Row]  # those to show
    pairs: Mapping[str, tuple[Picture, Picture]]  # photo id -> photo and result
    side_by_side: Picture  # a contact sheet: one row for each photo, one column for each way to redraw it


@dataclass(frozen=True)
class Bar:
    """A row's style_score."""

    name: str
    value: float
    error: float


@dataclass(frozen=True)
class Axis:
    """The horizontal axis of a bar chart, in percent of its width."""

    low: float
    high: float

    def percent(self, value: float) -> float:
        """Return the position of a value, clipped to the axis: 0 at `low` to 100 at `high`."""
        return round(100 * (min(max(value, self.low), self.high) - self.low) / (self.high - self.low), 2)

    def span(self, start: float, end: float) -> str:
        """Return the CSS declarations (left and width) of a bar between two values, given in any order."""
        left, right = sorted((self.percent(start), self.percent(end)))
        return f"left:{left}%;width:{right - left:.2f}%"


def render_page(title: str, table: Table, pictures: Pictures, advice: Sequence[Advice], metadata: Mapping[str, str]) -> str:
    """Return the page as HTML, with all pictures in it.

    Args:
        title: its heading.
        table: the metrics by row ("result" and "film" at least) and column; a row lacks what does not apply to it.
        advice: in the order to show.
        metadata: of the generator's file; short entries are shown below the page.
    """
    by_merit = sorted(pictures.scored, key=_merit, reverse=True)
    count = min(EXTREMES, len(by_merit) // 2)
    best, worst = by_merit[:count], by_merit[len(by_merit) - count :][::-1]
    if not best or _merit(best[-1]) - _merit(worst[-1]) < MIN_DIFFERENCE:
        best, worst = [], []
    bars = sorted(
        (
            Bar(name, row["style_score"], row.get("style_score_error", 0.0))
            for name, row in table.items()
            if "style_score" in row
        ),
        key=lambda bar: bar.value,
    )
    return render(
        "evaluation.html",
        title=title,
        summary=f"{len(by_merit)} crops of photos not used for training, redrawn and compared with the photos, with the film, "
        "and with what image filters make of them.",
        key_figures=[
            (format_number(table["result"][key]), label.format(film_flatness=table["film"]["flatness"]))
            for key, label in _KEY_FIGURES
            if key in table["result"]
        ],
        advice=advice,
        best=[_pair(row, pictures) for row in best],
        worst=[_pair(row, pictures) for row in worst],
        others=[_pair(row, pictures) for row in pictures.shown if row not in best + worst],
        side_by_side=pictures.side_by_side,
        bars=bars,
        axis=_axis(bars),
        columns=[column for column in COLUMNS if any(column.name in row for row in table.values())],
        row_kind="pictures",
        rows=[TableRow(name, row) for name, row in table.items()],
        highlighted="result",
        params=(),
        footer="Model: " + ", ".join(f"{key} {value}" for key, value in sorted(metadata.items()) if len(value) < 40),
    )


def _merit(row: Row) -> float:
    """How far a picture went towards the film, less what it lost of the photo."""
    return row.scores["gain"] - row.scores["lpips"]


def _pair(row: Row, pictures: Pictures) -> dict[str, object]:
    photo, result = pictures.pairs[row.id]
    formats = {"gain": "+.2f", "lpips": ".2f", "edge_agreement": ".2f", "color_shift": ".1f"}
    note = ", ".join(f"{name} {row.scores[name]:{digits}}" for name, digits in formats.items())
    return {"title": row.id, "note": note, "photo": photo, "result": result}


def _axis(bars: Sequence[Bar]) -> Axis:
    """Cover 0, 1 and all bars with their errors, up to one unit beyond 0 and 1."""
    low = min([-0.1, *(bar.value - bar.error for bar in bars)])
    high = max([1.1, *(bar.value + bar.error for bar in bars)])
    return Axis(max(low, -1.0), min(high, 2.0))
