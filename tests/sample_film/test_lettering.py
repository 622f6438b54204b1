"""Lettering: the title is drawn stroke by stroke, subtitles are outlined and centred, credits scroll up."""

from __future__ import annotations

import numpy as np

from pipeline.sample_film.canvas import ShotRenderer
from pipeline.sample_film.lettering import credits, subtitle, title

SHOT = ShotRenderer(640, 272, 1, "title", 4.0)


def test_the_title_gains_strokes_with_time() -> None:
    draw = title(SHOT)
    dark = [(draw(seconds).max(-1) < 80).mean() for seconds in (0.1, 0.8, 2.5)]
    assert dark[0] < dark[1] < dark[2]


def test_subtitles_are_centred_white_letters_in_black() -> None:
    color, under, (x, y) = subtitle(SHOT, "Rain until evening.")
    height, width, _ = color.shape
    assert color.shape == under.shape and abs(2 * x + width - 640) <= 1 and 136 < y < 272 - height
    letters = color.min(-1) > 200
    assert letters.any() and under[letters].max() < 60, "hardly anything shows through letters"
    outline = (under.max(-1) < 50) & (color.max(-1) < 50)
    assert outline.sum() > 0.5 * letters.sum()


def test_credits_scroll_up() -> None:
    draw = credits(SHOT)
    tops = [np.flatnonzero(draw(seconds).any((1, 2))).min() for seconds in (0.5, 1.0)]
    assert tops[1] < tops[0]
    assert not draw(0.0).any() and not draw(4.0)[100:].any()
