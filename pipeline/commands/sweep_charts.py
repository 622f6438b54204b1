"""The charts of `genga sweep`: score, style_score and content_similarity against what was varied."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from pipeline.data_card.charts import DARK, LIGHT, Theme, png
from pipeline.web.sweep_page import Chart, said

METRICS = ("score", "style_score", "content_similarity")
DECADE = 10.0  # values that lie this far apart, as a ratio, are drawn on a logarithmic scale
MAX_TICKS = 12
_COLOURS = {
    "score": ("#d55e00", "#f0813a"),
    "style_score": ("#0072b2", "#56b4e9"),
    "content_similarity": ("#009e73", "#1fb58a"),
}
_MARKERS = "os^Dv*PX"
_ERROR = "style_score_error"


@dataclass(frozen=True)
class Point:
    """An experiment: the values of the parameter along the chart and of the one that tells lines apart, and its numbers."""

    at: Any
    line: Any
    metrics: Mapping[str, float]


def places(values: Sequence[Any]) -> tuple[dict[str, float], str]:
    """Where each value stands along the axis, by what it is written as, and the axis's scale.

    Numbers stand at themselves, on a logarithmic scale where they span a decade and none is 0 or less (symlog where some
    are); of anything else each has the next whole place, in the order given.
    """
    told = {said(value): value for value in values}
    numbers = {
        name: float(value) for name, value in told.items() if isinstance(value, int | float) and not isinstance(value, bool)
    }
    if len(numbers) < len(told):
        return {name: float(place) for place, name in enumerate(told)}, "named"
    sizes = [abs(value) for value in numbers.values() if value]
    if not sizes or max(sizes) < DECADE * min(sizes):
        return numbers, "linear"
    return numbers, "log" if min(numbers.values()) > 0 else "symlog"


def charts(by: str, line: str | None, points: Sequence[Point]) -> list[Chart]:
    """One chart, for a light and a dark page; none where there is nothing to draw a line through."""
    metrics = [name for name in METRICS if any(name in point.metrics for point in points)]
    if not metrics or len({said(point.at) for point in points}) < 2:
        return []
    alt = f"{', '.join(metrics)} against {by}" + (f", a line for each value of {line}" if line else "")
    draw = partial(_one, by, metrics, points) if line is None else partial(_panels, by, line, metrics, points)
    (light, size), (dark, _) = (png(draw, theme) for theme in (LIGHT, DARK))
    return [Chart(light, dark, *size, alt)]


def _one(by: str, metrics: Sequence[str], points: Sequence[Point], theme: Theme) -> Figure:
    """All metrics in one chart."""
    figure = Figure(figsize=(7.2, 3.6))
    axes = figure.subplots()
    for metric, marker in zip(metrics, _MARKERS, strict=False):
        _draw(axes, metric, points, points, _COLOURS[metric][theme.dark], marker, metric)
    _finish(axes, by, points)
    figure.legend(loc="outside upper left", ncols=len(metrics))
    return figure


def _panels(by: str, line: str, metrics: Sequence[str], points: Sequence[Point], theme: Theme) -> Figure:
    """A chart a metric, a line for each value of the second parameter, dark to bright."""
    values = list(dict.fromkeys(said(point.line) for point in points))
    ramp = matplotlib.colormaps["viridis"](
        np.linspace(0.35, 0.95, len(values)) if theme.dark else np.linspace(0.0, 0.8, len(values))
    )
    figure = Figure(figsize=(3.6 * len(metrics), 3.6))
    grid = figure.subplots(1, len(metrics), squeeze=False)[0]
    for axes, metric in zip(grid, metrics, strict=True):
        for index, value in enumerate(values):
            own = [point for point in points if said(point.line) == value]
            label = f"{line} {_short(value)}" if axes is grid[0] else None
            _draw(axes, metric, own, points, ramp[index], _MARKERS[index % len(_MARKERS)], label)
        axes.set_title(metric)
        _finish(axes, by, points)
    figure.legend(loc="outside upper left", ncols=min(len(values), 4))
    return figure


def _draw(
    axes: Axes, metric: str, own: Sequence[Point], points: Sequence[Point], colour: Any, marker: str, label: str | None
) -> None:
    """Points, with their errors, and a line through the mean at each place."""
    where, _ = places([point.at for point in points])
    found: dict[float, list[float]] = {}
    for point in own:
        if metric in point.metrics:
            found.setdefault(where[said(point.at)], []).append(point.metrics[metric])
            if metric == "style_score" and _ERROR in point.metrics:
                axes.errorbar(
                    where[said(point.at)], point.metrics[metric], point.metrics[_ERROR], color=colour, linewidth=1, capsize=3,
                    alpha=0.6,
                )  # fmt: skip
    at = sorted(found)
    if not at:
        return
    axes.plot(at, [math.fsum(found[x]) / len(found[x]) for x in at], color=colour, linewidth=1.6, label=label)
    every = [(x, y) for x in at for y in found[x]]
    axes.plot(*zip(*every, strict=True), marker, color=colour, markersize=6, linestyle="none")


def _finish(axes: Axes, by: str, points: Sequence[Point]) -> None:
    where, scale = places([point.at for point in points])
    if scale == "log":
        axes.set_xscale("log")
    elif scale == "symlog":
        axes.set_xscale("symlog", linthresh=min(abs(x) for x in where.values() if x))
    if len(where) <= MAX_TICKS or scale == "named":
        axes.xaxis.set_major_locator(FixedLocator(list(where.values())))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticks(list(where.values()), [_short(name) for name in where], rotation=30 if _crowded(where) else 0)
    axes.margins(x=0.06)
    axes.set_xlabel(by)
    axes.grid(axis="y")


def _short(name: str) -> str:
    """Without what matplotlib would take for mathematics, and not too long."""
    return (name if len(name) <= 20 else name[:19] + "…").replace("$", r"\$")


def _crowded(names: Mapping[str, float]) -> bool:
    return sum(len(_short(name)) + 2 for name in names) > 60
