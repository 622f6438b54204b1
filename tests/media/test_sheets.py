"""Contact sheets."""

from __future__ import annotations

import numpy as np

from pipeline.media import sheets


def test_pictures_are_placed_in_reading_order() -> None:
    pictures = [np.full((10, 40, 3), level, np.uint8) for level in (50, 100, 150)]
    sheet = sheets.contact_sheet(pictures, columns=2, cell_px=40)
    assert sheet.shape == (2 * (10 + 4) + 4, 2 * 44 + 4, 3)
    assert [int(sheet[y, x, 0]) for y, x in ((9, 20), (9, 64), (23, 20), (23, 64))] == [50, 100, 150, 24]


def test_sheets_shrink_pictures_shorten_captions_and_may_be_empty() -> None:
    assert sheets.contact_sheet([]).size > 0
    plain = sheets.contact_sheet([np.zeros((100, 50, 3), np.uint8)], cell_px=30)
    assert plain.shape == (30 + 8, 15 + 8, 3)
    captioned = sheets.contact_sheet(
        [np.zeros((100, 50, 3), np.uint8)] * 2, ["a caption that is too long", "日本 é"], columns=1, cell_px=30
    )
    assert captioned.shape == (2 * (30 + 16 + 4) + 4, 15 + 8, 3)
    assert captioned[35:48].max() > 150  # letters


def test_grid_keeps_rows() -> None:
    levels = [[10, 20], [30, 40]]
    strip = sheets.grid([[np.full((8, 8, 3), level, np.uint8) for level in row] for row in levels], cell_px=8)
    assert strip.shape == (28, 28, 3)
    assert strip[6::12, 6::12, 0][:2, :2].tolist() == levels


def test_evenly_spaced_items_begin_with_the_first_and_are_no_more_than_asked_for() -> None:
    for length in range(30):
        for count in range(1, 12):
            some = sheets.evenly_spaced(range(length), count)
            assert len(some) <= count and list(some[:1]) == list(range(length))[:1]
            assert len(set(np.diff(some).tolist())) <= 1
    assert list(sheets.evenly_spaced(range(5), 0)) == []
    assert list(sheets.evenly_spaced(range(5), 9)) == [0, 1, 2, 3, 4]
