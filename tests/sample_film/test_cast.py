"""Characters: they blink, move, and reach the heights that scenes rely on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pipeline.sample_film import cast
from pipeline.sample_film.canvas import Canvas


def test_eyes_are_mostly_open_and_shut_now_and_then() -> None:
    opened = np.array([cast.blinking(t) for t in np.arange(0, 5.2, 0.01)])
    assert opened.min() < 0.05 and opened.max() <= 1 and 0.85 < (opened > 0.95).mean() < 0.95


def test_a_bezier_curve_starts_and_ends_at_its_points() -> None:
    path = cast.bezier((0, 0), (5, 10), (10, 0), count=11)
    assert path[0].tolist() == [0, 0] and path[-1].tolist() == [10, 0] and path[5].tolist() == [5, 5]


@pytest.mark.parametrize(("draw", "top"), [(cast.walker, -250), (cast.cyclist, -260), (cast.cat, -235)])
def test_figures_stand_on_the_ground_reach_their_height_and_move(draw: Callable[[Canvas, float], None], top: float) -> None:
    frames = []
    for t in (0.3, 0.8):
        canvas = Canvas(np.zeros((400, 500, 3), np.uint8), np.eye(2), np.zeros(2))
        draw(canvas.transform(250, 320), t)
        frames.append(canvas.pixels)
    rows = np.flatnonzero(frames[0].any((1, 2)))
    assert abs(rows[0] - 320 - top) < 40 and abs(rows[-1] - 320) < 40
    assert (frames[0] != frames[1]).any()
