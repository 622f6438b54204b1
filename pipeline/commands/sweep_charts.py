"""The chart of `genga sweep`: scores over the parameters that were varied."""

from collections.abc import Mapping, Sequence
from functools import partial
from statistics import fmean
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from pipeline.web.charts import Chart, Theme, draw_chart
from pipeline.web.render import format_param

METRICS = ("score", "style_score", "content_similarity")
LOG_RATIO = 10.0  # largest to smallest value from which the axis is logarithmic
MAX_TICKS = 12
_COLORS = {
    "score": ("#d55e00", "#f0813a"),
    "style_score": ("#0072b2", "#56b4e9"),
    "content_similarity": ("#009e73", "#1fb58a"),
}
_MARKERS = "os^Dv*PX"


class Point(NamedTuple):
    """An experiment: its values of the parameter on the x axis and of the one that separates lines, and its metrics."""

    x: Any
    line: Any
    metrics: Mapping[str, float]


def x_positions(values: Sequence[Any]) -> tuple[dict[str, float], str]:
    """Place the values of a parameter on the x axis.

    Numbers are placed by value, on a logarithmic axis if they span a factor of ten (symlog if any is not positive).
    Values of which some are not numbers are placed one after the other, in the given order.

    Returns:
        The position of each formatted value, and the axis: "linear", "log", "symlog" or "categories".
    """
    by_text = {format_param(value): value for value in values}
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in by_text.values()):
        return {text: float(index) for index, text in enumerate(by_text)}, "categories"
    positions = {text: float(value) for text, value in by_text.items()}
    sizes = [abs(value) for value in positions.values() if value]
    if not sizes or max(sizes) < LOG_RATIO * min(sizes):
        return positions, "linear"
    return positions, "log" if min(positions.values()) > 0 else "symlog"


def draw_scores(x_label: str, line_label: str | None, points: Sequence[Point]) -> Chart | None:
    """Draw all scores in one panel, or, if a second parameter was varied, a panel for each score and a line for each value.

    Returns:
        The chart; None if there are no scores, or only one value on the x axis.
    """
    metrics = [name for name in METRICS if any(name in point.metrics for point in points)]
    if not metrics or len({format_param(point.x) for point in points}) < 2:
        return None
    alt = f"{', '.join(metrics)} against {x_label}"
    if line_label is None:
        return draw_chart(partial(_single_panel, x_label, metrics, points), alt)
    return draw_chart(partial(_panels, x_label, line_label, metrics, points), f"{alt}, a line for each value of {line_label}")


def _single_panel(x_label: str, metrics: Sequence[str], points: Sequence[Point], theme: Theme) -> Figure:
    figure = Figure(figsize=(7.2, 3.6))
    axes = figure.subplots()
    for metric, marker in zip(metrics, _MARKERS, strict=False):
        _draw_line(axes, metric, points, points, _COLORS[metric][theme.dark], marker, metric)
    _label_x_axis(axes, x_label, points)
    figure.legend(loc="outside upper left", ncols=len(metrics))
    return figure


def _panels(x_label: str, line_label: str, metrics: Sequence[str], points: Sequence[Point], theme: Theme) -> Figure:
    values = list(dict.fromkeys(format_param(point.line) for point in points))
    colors = matplotlib.colormaps["viridis"](np.linspace(*((0.35, 0.95) if theme.dark else (0.0, 0.8)), len(values)))
    figure = Figure(figsize=(3.6 * len(metrics), 3.6))
    grid = figure.subplots(1, len(metrics), squeeze=False)[0]
    for axes, metric in zip(grid, metrics, strict=True):
        for index, value in enumerate(values):
            own = [point for point in points if format_param(point.line) == value]
            label = f"{line_label} {_shorten(value)}" if axes is grid[0] else None
            _draw_line(axes, metric, own, points, colors[index], _MARKERS[index % len(_MARKERS)], label)
        axes.set_title(metric)
        _label_x_axis(axes, x_label, points)
    figure.legend(loc="outside upper left", ncols=min(len(values), 4))
    return figure


def _draw_line(
    axes: Axes, metric: str, own: Sequence[Point], points: Sequence[Point], color: Any, marker: str, label: str | None
) -> None:
    """Draw the points of one line with their standard errors, and the line through the mean at each position.

    Args:
        points: those of all lines, which decide the positions.
    """
    positions, _ = x_positions([point.x for point in points])
    values: dict[float, list[float]] = {}
    for point in own:
        if metric not in point.metrics:
            continue
        x, y = positions[format_param(point.x)], point.metrics[metric]
        values.setdefault(x, []).append(y)
        if error := point.metrics.get(f"{metric}_error"):
            axes.errorbar(x, y, error, color=color, linewidth=1, capsize=3, alpha=0.6)
    xs = sorted(values)
    if xs:
        axes.plot(xs, [fmean(values[x]) for x in xs], color=color, linewidth=1.6, label=label)
        axes.plot(
            *zip(*((x, y) for x in xs for y in values[x]), strict=True), marker, color=color, markersize=6, linestyle="none"
        )


def _label_x_axis(axes: Axes, label: str, points: Sequence[Point]) -> None:
    positions, scale = x_positions([point.x for point in points])
    if scale == "log":
        axes.set_xscale("log")
    elif scale == "symlog":
        axes.set_xscale("symlog", linthresh=min(abs(x) for x in positions.values() if x))
    if len(positions) <= MAX_TICKS or scale == "categories":
        texts = [_shorten(text) for text in positions]
        crowded = sum(len(text) + 2 for text in texts) > 60
        axes.xaxis.set_major_locator(FixedLocator(list(positions.values())))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticks(list(positions.values()), texts, rotation=30 if crowded else 0)
    axes.margins(x=0.06)
    axes.set_xlabel(label)
    axes.grid(axis="y")


def _shorten(text: str) -> str:
    """Limit the length of a label, and escape what matplotlib would read as mathematics."""
    return (text if len(text) <= 20 else text[:19] + "…").replace("$", r"\$")
