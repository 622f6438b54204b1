"""Charts: both themes, the same bytes whatever the user's settings."""

from __future__ import annotations

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from pipeline.media import images
from pipeline.web.charts import DARK, LIGHT, Theme, draw_chart


def draw(theme: Theme) -> Figure:
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([0, 1], color=theme.text)
    return figure


def test_a_chart_is_drawn_in_both_themes_whatever_the_settings() -> None:
    chart = draw_chart(draw, "a line")
    light, dark = (images.read(Path("chart.png"), data=png) for png in (chart.light, chart.dark))
    assert light.shape == dark.shape == (chart.height_px, chart.width_px, 3) == (200, 400, 3)
    for picture, theme in ((light, LIGHT), (dark, DARK)):
        assert "#" + bytes(picture[0, 0]).hex() == theme.background
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red"}):
        assert draw_chart(draw, "a line") == chart
        assert matplotlib.rcParams["font.size"] == 20, "the settings are as they were"
