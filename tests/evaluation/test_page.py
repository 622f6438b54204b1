"""The evaluation page: values are escaped, and it works in a browser by mouse and keyboard."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.core.manifest import Row
from pipeline.evaluation.advice import advice
from pipeline.evaluation.page import Axis, Pictures, render_page
from tests.evaluation.test_advice import TABLE
from tests.support.browser import browse

PHOTO, RESULT = np.zeros((64, 64, 3), np.uint8), np.full((64, 64, 3), 255, np.uint8)


def page_of(*gains: float) -> str:
    """The page of as many pictures, of which each went so far towards the film."""
    scores = {"lpips": 0.2, "edge_agreement": 0.9, "color_shift": 2.0}
    rows = [
        Row(id=f"p<{n}>", domain="photo", source="x", width_px=64, height_px=64, scores=scores | {"gain": gain})
        for n, gain in enumerate(gains)
    ]
    pictures = Pictures(rows, rows, {row.id: (PHOTO, RESULT) for row in rows}, PHOTO)
    return render_page("a <model>", TABLE, pictures, advice(TABLE, 1, 9, {}), {"generator": "tiny"})


@pytest.fixture
def page() -> str:
    return page_of(0.3, 0.1, 0.2)


def test_best_and_worst_are_shown_where_pictures_differ() -> None:
    apart, alike = page_of(0.3, 0.1, 0.2), page_of(0.11, 0.1, 0.1)
    order = [
        apart.index(text) for text in ("Best by the numbers", "p&lt;0&gt;", "Worst by the numbers", "p&lt;1&gt;", "Others")
    ]
    assert order == sorted(order)
    assert "by the numbers" not in alike and "Photos and results" in alike
    assert all(page.count(f"<strong>p&lt;{n}&gt;") == 1 for page in (apart, alike) for n in range(3))


def test_values_are_escaped_and_nothing_is_loaded(page: str) -> None:
    assert "<model>" not in page and "a &lt;model&gt;" in page and "p<0>" not in page and "<b> has" not in page
    assert "http" not in page and page.count("data:image/jpeg") == 7, "photo and result of each, and the sheet"


def test_the_axis_clips_values() -> None:
    axis = Axis(-1.0, 1.0)
    assert [axis.percent(value) for value in (-9, -1, 0, 0.5, 9)] == [0, 0, 50, 75, 100]
    assert axis.span(0.5, 0) == axis.span(0, 0.5) == "left:50.0%;width:25.00%"


def test_pictures_are_compared_by_mouse_and_keyboard(page: str, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(page, "utf-8")
    with browse(tmp_path / "profile") as tab:
        for width, scheme in ((1200, "light"), (400, "dark")):
            tab.set_window(width, 900, scheme)
            tab.open((tmp_path / "index.html").as_uri())
            assert tab.run("document.documentElement.scrollWidth <= innerWidth")
            assert tab.run("[...document.images].every(i => i.naturalWidth == 64)")
        tab.run("document.querySelector('.compare input').focus()")
        for _ in range(3):
            tab.press("ArrowRight")
        assert tab.run("document.querySelector('.compare input').value") == "53"
        assert tab.run("document.querySelector('.compare').style.getPropertyValue('--at')") == "53%"
        tab.click(".compare + figcaption")
        tab.click(".compare input")
        assert 45 <= int(tab.run("document.querySelector('.compare input').value")) <= 55
        assert tab.errors == []
