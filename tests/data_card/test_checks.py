"""Checks of the data set: they fail at their limits, with advice."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest

from pipeline.data_card import checks
from pipeline.data_card.colors import CropColors
from pipeline.data_card.facts import CropSizes, Facts
from pipeline.params.schema import Params


def uniform_colors(level: int, b: float = 0.0) -> CropColors:
    counts = np.bincount([level], minlength=256)
    return CropColors(counts, counts, np.array([[50.0, 0.0, b]]), np.full((1, 3), float(level)))


def find_check(facts: Facts, params: Params, title: str) -> checks.Check:
    (check,) = (one for one in checks.run_checks(facts, params.report, params.crop.size_px) if one.title.startswith(title))
    return check


@pytest.mark.parametrize(("anime", "photo", "word"), [(90, 140, "darker"), (140, 90, "brighter"), (100, 115, "")])
def test_a_difference_in_brightness_is_reported(anime: int, photo: int, word: str, facts: Facts, committed: Params) -> None:
    varied = dataclasses.replace(facts, colors={"anime": uniform_colors(anime), "photo": uniform_colors(photo)})
    check = find_check(varied, committed, "Brightness")
    assert check.value == f"{anime - photo:+.1f} levels of 255"
    assert check.level == ("caution" if word else "good")
    assert word in check.advice and bool(check.advice) == bool(word)


@pytest.mark.parametrize(
    ("anime", "photo", "level"), [(6, 1, "caution"), (3, 6, "good"), (0, 0, "good"), (0, 3, "caution"), (None, 3, None)]
)
def test_people_on_one_side_alone_are_reported(
    anime: int | None, photo: int, level: str | None, facts: Facts, committed: Params
) -> None:
    def sizes(faces: int | None) -> CropSizes:
        found = np.array([np.nan] * 10 if faces is None else [2.0] * faces + [0.0] * (10 - faces))
        return CropSizes(np.full(10, 300.0), np.full(10, 0.1), found)

    varied = dataclasses.replace(facts, sizes={"anime": sizes(anime), "photo": sizes(photo)})
    outcomes = checks.run_checks(varied, committed.report, committed.crop.size_px)
    assert [check.level for check in outcomes if check.title.startswith("Crops that show faces")] == ([level] if level else [])


def test_a_color_cast_is_reported(facts: Facts, committed: Params) -> None:
    varied = dataclasses.replace(facts, colors={"anime": uniform_colors(100, b=11), "photo": uniform_colors(100)})
    assert find_check(varied, committed, "Color cast").level == "caution"


@pytest.mark.parametrize(("count", "level"), [(150, "bad"), (151, "caution"), (2999, "caution"), (3000, "good")])
def test_too_few_crops_are_reported(count: int, level: str, facts: Facts, committed: Params) -> None:
    total = dataclasses.replace(facts.totals["anime"], splits=Counter(train=count, val=40))
    varied = dataclasses.replace(facts, totals=facts.totals | {"anime": total})
    assert find_check(varied, committed, "Anime crops for training").level == level


def test_a_film_that_dominates_is_named(facts: Facts, committed: Params) -> None:
    mine = facts.sources[0]
    other = dataclasses.replace(mine, name="other", crops=mine.crops * 9)
    total = dataclasses.replace(facts.totals["anime"], crops=mine.crops * 10)
    varied = dataclasses.replace(facts, sources=[mine, other, *facts.sources[1:]], totals=facts.totals | {"anime": total})
    check = find_check(varied, committed, "Share of the largest film")
    assert check.level == "caution" and check.value == "90% (other)"


def test_the_worst_come_first_and_every_problem_has_advice(facts: Facts, committed: Params) -> None:
    outcomes = checks.run_checks(facts, committed.report, committed.crop.size_px)
    assert len(outcomes) >= 14
    order = [("bad", "caution", "good").index(check.level) for check in outcomes]
    assert order == sorted(order) and order[0] == 0, "this world is too small"
    assert all(bool(check.advice) == (check.level != "good") for check in outcomes)
    assert all(check.title and check.value and check.target for check in outcomes)
