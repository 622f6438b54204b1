"""The chart of a sweep: positions on the axis, and what is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.commands.sweep_charts import Point, draw_scores, x_positions
from pipeline.media import images


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([0.5, 1, 1.5, 3], "linear"), ([1, 5, 25], "log"), ([0.0, 0.1, 5], "symlog"), ([-10, 1], "symlog"), ([0], "linear"),
        (["bce", "hinge"], "categories"), ([1, None], "categories"), ([True, False], "categories"), ([[1], [2]], "categories"),
    ],
)  # fmt: skip
def test_the_axis_follows_the_values(values: list[Any], scale: str) -> None:
    positions, axis = x_positions(values)
    assert axis == scale and len(positions) == len(values)
    if scale != "categories":
        assert list(positions.values()) == values


def test_two_parameters_make_a_panel_for_each_score() -> None:
    metrics = {"score": 0.1, "style_score": 0.2, "style_score_error": 0.1}
    points = [Point(x, line, metrics) for x in (0.1, 0.2) for line in ("bce", "$hinge_$")]
    chart = draw_scores("x", "form", points)
    assert chart is not None and chart.alt == "score, style_score against x, a line for each value of form"
    assert images.read(Path("chart.png"), data=chart.light).shape == (chart.height_px, chart.width_px, 3)
    single = draw_scores("x", None, points)
    assert single is not None and single.alt == "score, style_score against x"


def test_nothing_is_drawn_without_scores_or_with_one_value() -> None:
    assert draw_scores("x", None, [Point(1, None, {"flicker": 1.0}), Point(2, None, {})]) is None
    assert draw_scores("x", None, [Point(1, None, {"score": 1.0}), Point(1, None, {"score": 2.0})]) is None
