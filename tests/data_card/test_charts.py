"""Charts of the data card: distinct colors, and data that is missing."""

from __future__ import annotations

import re

import numpy as np
from matplotlib.figure import Figure

from pipeline.core.reasons import REASONS
from pipeline.data_card import charts
from pipeline.data_card.facts import DOMAINS, Facts
from pipeline.web.charts import DARK, LIGHT


def test_every_reason_has_a_color_of_its_own_and_unknown_ones_have_one_too() -> None:
    for name in [*REASONS, "zebra"]:
        assert all(re.fullmatch("#[0-9a-f]{6}", color) for color in charts.colors_of(name))
    known = [charts.colors_of(name)[0] for name in (charts.KEPT, *REASONS)]
    assert len(set(known)) == len(known)


def test_domains_without_crops_are_left_out() -> None:
    empty = {domain: np.array([], np.float64) for domain in DOMAINS}
    for theme in (LIGHT, DARK):
        [axes] = charts.crop_histogram(empty, "side", 64, "stored", False, theme).axes
        assert len(axes.lines) == 1 and not axes.patches, "only the limit"


def test_every_chart_has_a_caption_and_an_alternative_text(facts: Facts) -> None:
    film = facts.sources[0]
    listed = list(charts.list_charts(facts, [(film, film.episodes)], 64, 0.02))
    names = [name for name, *_ in listed]
    assert names[:2] == ["pictures", "timeline_mine"] and len(set(names)) == len(names) == 8
    for _, draw, caption, alt in listed:
        assert caption.endswith(".") and alt and isinstance(draw(LIGHT), Figure)
