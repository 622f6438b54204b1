"""The content of the data card."""

from __future__ import annotations

import dataclasses

import pytest

from pipeline.data_card.card import Card, Picture, build_card, render_markdown, render_page
from pipeline.data_card.charts import list_charts
from pipeline.data_card.checks import Check
from pipeline.data_card.facts import Facts
from pipeline.params.schema import Params
from tests.conftest import vary

BAD = Check("bad", "Crops", "3", "at least 9", "Add <films>.")
GOOD = Check("good", "Warnings", "0", "none", "")


@pytest.fixture
def card(facts: Facts, committed: Params) -> Card:
    film = facts.sources[0]
    names = [name for name, *_ in list_charts(facts, [(film, film.episodes)], 64, 0.02)]
    charts = {name: Picture(name, "Caption.", "alt", 10, 10) for name in names}
    sheet = Picture("sheets/kept_anime.jpg", "Frames kept.", "sheet", 10, 10)
    return build_card(facts, committed, [BAD, GOOD], charts, [sheet], "0123abcd")


def test_problems_and_passed_checks_are_shown_apart(card: Card) -> None:
    page = render_page(card)
    assert '<li class="bad"><span class="level">bad</span><strong>Crops: 3</strong>' in page
    assert "Add &lt;films&gt;." in page and "1 of 2 checks passed" in page and "No problems found" not in page
    assert "No problems found" in render_page(dataclasses.replace(card, problems=[]))
    assert "| **bad** | Crops | 3 | at least 9 | Add \\<films\\>. |" in render_markdown(card)


def test_every_chart_and_sheet_is_shown(card: Card) -> None:
    for text in (render_page(card), render_markdown(card)):
        assert text.count("charts/") >= 8 and "charts/timeline_mine.png" in text and "sheets/kept_anime.jpg" in text
        assert "0123abcd" in text


def test_folders_of_pictures_have_neither_length_nor_timeline(facts: Facts, committed: Params) -> None:
    film, photos = facts.sources
    folder = dataclasses.replace(film, name="art", episodes=[], seconds=0.0)
    names = [name for name, *_ in list_charts(facts, [], 64, 0.02)]
    charts = {name: Picture(name, "Caption.", "alt", 10, 10) for name in names}
    params = vary(committed, {"films": {"art": "data/films/an art book"}})
    card = build_card(dataclasses.replace(facts, sources=[folder, photos]), params, [GOOD], charts, [], "0123abcd")
    text = render_markdown(card)
    assert "from 1 folder of pictures, " in text and "5 files in an art book" in text
    assert not [word for word in ("min", "Timeline", "Key frames:") if f" {word}" in text.split("## Made from")[0]]
    both = build_card(dataclasses.replace(facts, sources=[film, folder, photos]), params, [GOOD], charts, [], "0123abcd")
    assert "from 1 film of 0:05 min and 1 folder of pictures, " in render_markdown(both)


def test_counts_add_up(card: Card, facts: Facts) -> None:
    for domain, steps in zip(("anime", "photo"), card.sections[0].counts.values(), strict=True):
        numbers = {step.label: step.number for step in steps}
        total = facts.totals[domain]  # type: ignore[index]
        pictures = numbers["Key frames" if domain == "anime" else "Photographs"]
        dropped = sum(number for label, number in numbers.items() if label.startswith("dropped: "))
        assert pictures == total.pictures == numbers["Kept"] + dropped and numbers["Kept"] > 0
