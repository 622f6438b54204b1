"""Scenery: parts are drawn where they are asked for, by their generator alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pipeline.sample_film import scenery
from pipeline.sample_film.canvas import Canvas, rgb

PARTS: dict[str, Callable[[Canvas, np.random.Generator], None]] = {
    "cumulus": lambda c, rng: scenery.cumulus(c, 250, 300, 300, 150, rng),
    "cirrus": lambda c, rng: scenery.cirrus(c, 250, 200, 300, rng, rgb("ffffff")),
    "tree": lambda c, rng: scenery.tree(c, 250, 300, 150, rng),
    "tuft": lambda c, rng: scenery.tuft(c, 250, 300, 100, 0.3, rgb("92bd68"), 9, rng),
    "house": lambda c, rng: scenery.house(c, 200, 300, 90, 80, rng, rgb("fbf3e2"), rgb("c8705a")),
    "pole": lambda c, rng: scenery.pole(c, 250, 350, 300),
    "carriage": lambda c, rng: scenery.carriage(c, 50, 300, 400, 120),
    "gull": lambda c, rng: scenery.gull(c, 250, 200, 40, 0.5),
}


@pytest.mark.parametrize("name", PARTS)
def test_parts_are_drawn_where_asked_and_reproducibly(name: str) -> None:
    drawn = []
    for _ in range(2):
        canvas = Canvas(np.zeros((400, 500, 3), np.uint8), np.eye(2), np.zeros(2))
        PARTS[name](canvas, np.random.default_rng(3))
        drawn.append(canvas.pixels)
    assert np.array_equal(drawn[0], drawn[1])
    rows, columns = (np.flatnonzero(drawn[0].any(axis)) for axis in ((1, 2), (0, 2)))
    assert abs(columns.mean() - 250) < 60 and rows.size > 20 and rows.max() < 370
    assert not drawn[0][:20].any()


def test_a_lit_house_has_brighter_windows_than_a_dark_one() -> None:
    light = []
    for lit in (0.0, 1.0):
        canvas = Canvas(np.zeros((400, 500, 3), np.uint8), np.eye(2), np.zeros(2))
        scenery.house(canvas, 200, 300, 90, 80, np.random.default_rng(3), rgb("303048"), rgb("202030"), lit=lit)
        light.append(canvas.pixels.astype(int).sum())
    assert light[1] > light[0]


def test_highlights_on_water_move() -> None:
    frames = []
    for t in (0.0, 1.0):
        canvas = Canvas(np.zeros((200, 300, 3), np.uint8), np.eye(2), np.zeros(2))
        scenery.glints(canvas, t, np.random.default_rng(1), (0, 50, 300, 100), 40, rgb("ffffff"))
        frames.append(canvas.pixels)
    assert frames[0].any() and (frames[0] != frames[1]).any() and not frames[0][:40].any()
