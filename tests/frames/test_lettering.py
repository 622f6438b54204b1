"""Text found in frames, on any background."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipeline.frames import lettering, subtitles
from tests.conftest import scene
from tests.support.frames import HEIGHT, WIDTH, inside, video_luma
from tests.support.subtitles import TEXTS, Style, burn


@pytest.mark.parametrize("ground", [0, 90, 160, 255])
@pytest.mark.parametrize("color", [200, 255])
def test_a_line_is_detected_on_any_background(ground: int, color: int) -> None:
    picture, box = burn(np.full((HEIGHT, WIDTH, 3), ground, np.uint8), TEXTS[1], Style(color=(color,) * 3))
    shown = lettering.detect(video_luma(picture))
    (hint,) = subtitles.base_lines(shown)
    assert hint.base * HEIGHT == pytest.approx(box[1] + box[3], abs=8), "descenders hang below"
    (found,) = subtitles.covered_boxes(shown, [hint])
    assert inside(box, found)


def test_a_title_on_a_light_sky_is_told_from_a_subtitle() -> None:
    sky = np.repeat(np.linspace(160, 185, 360, dtype=np.uint8)[:, None], 640, axis=1)
    for words, line in (("THE PEACH OPEN MOVIE PROJECT", 180), ("PRESENTS TO YOU ALL", 215)):
        (width, _), _ = cv2.getTextSize(words, cv2.FONT_HERSHEY_DUPLEX, 0.6, 2)
        cv2.putText(sky, words, ((640 - width) // 2, line), cv2.FONT_HERSHEY_DUPLEX, 0.6, (235,), 2, cv2.LINE_AA)
    assert subtitles.title_lines(lettering.detect(sky)) == 2
    below = np.roll(sky, 130, axis=0)
    assert subtitles.title_lines(lettering.detect(below)) == 0 and subtitles.base_lines(lettering.detect(below))


def test_a_single_line_of_few_letters_over_the_middle_is_neither_title_nor_subtitle() -> None:
    found = lettering.Lettering([lettering.Line(282, 311, 127, 9.7, 4)], np.zeros((0, 6), np.int16), (640, 360))
    assert subtitles.title_lines(found) == 0 and subtitles.base_lines(found) == []
    longer = lettering.Lettering([lettering.Line(282, 321, 127, 9.7, 5)], found.letters, found.size)
    assert subtitles.title_lines(longer) == 1


@pytest.mark.parametrize("dark", [False, True])
def test_large_letters_that_stand_alone_are_a_title(dark: bool) -> None:
    ground = np.full((HEIGHT, WIDTH, 3), 235 if dark else 60, np.uint8)
    title, _ = burn(ground, "GENGA", Style(size=0.25, edge=0, color=(30 if dark else 230,) * 3, margin=0.35))
    assert subtitles.title_lines(lettering.detect(video_luma(title))) == 1
    for x in range(0, WIDTH, 9):  # hatching, which letters do not have around them
        cv2.line(ground, (x, 0), (x + 40, HEIGHT), (120,) * 3, 1)
    hatched, _ = burn(ground, "GENGA", Style(size=0.25, edge=0, color=(30 if dark else 230,) * 3, margin=0.35))
    assert subtitles.title_lines(lettering.detect(video_luma(hatched))) == 0


def test_lit_windows_are_neither_subtitles_nor_titles() -> None:
    night = np.full((HEIGHT, WIDTH), 45, np.uint8)
    for y in (250, 258, 266, 274, 330):
        for x in range(250, 390, 8):
            night[y : y + 5, x : x + 5] = 220
    found = lettering.detect(night)
    assert subtitles.title_lines(found) == 0 and subtitles.base_lines(found) == []


def test_credits_titles_and_drawn_lines_are_not_subtitles() -> None:
    credits = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for index in range(8):
        credits, _ = burn(credits, TEXTS[1], Style(margin=0.04 + 0.11 * index))
    assert subtitles.base_lines(lettering.detect(video_luma(credits))) == []
    title, _ = burn(np.zeros((HEIGHT, WIDTH, 3), np.uint8), "The title of it", Style(size=0.1, margin=0.45))
    assert subtitles.base_lines(lettering.detect(video_luma(title))) == []
    ink = np.full((HEIGHT, WIDTH, 3), 220, np.uint8)
    for x in range(200, 440, 12):
        cv2.line(ink, (x, 310 + x % 7), (x + x % 19, 340 - x % 5), (20, 15, 25), 2)
    assert subtitles.base_lines(lettering.detect(video_luma(ink))) == []


@pytest.mark.parametrize("seed", range(12))
def test_drawn_scenes_without_text_have_no_lines(seed: int) -> None:
    shown = lettering.detect(video_luma(scene(seed, WIDTH, HEIGHT)))
    assert subtitles.base_lines(shown) == []
    assert subtitles.covered_boxes(shown, [subtitles.BaseLine(0.93, 0.04)]) == []
