"""Color statistics of known pictures and histograms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data_card import colors


@given(st.lists(st.integers(0, 255), min_size=1, max_size=200), st.floats(0.01, 0.99))
def test_histograms_have_the_mean_and_quantiles_of_their_values(values: list[int], share: float) -> None:
    counts = np.bincount(values, minlength=256)
    assert colors.histogram_mean(counts) == pytest.approx(np.mean(values))
    level = colors.histogram_quantile(counts, share)
    assert np.mean(np.array(values) <= level) >= share - 1e-9
    assert np.mean(np.array(values) < level) < share + 1e-9


def test_colors_of_known_pictures() -> None:
    # CIELAB of sRGB red, D65: Lindbloom's calculator.
    red = colors.measure(np.full((8, 8, 3), (255, 0, 0), np.uint8))
    assert red.lab[0] == pytest.approx((53.24, 80.09, 67.20), abs=0.1) and red.rgb.tolist() == [[255, 0, 0]]
    assert red.saturation[255] == 64 and red.luma[76] == 64  # 0.299 of 255
    gray = colors.measure(np.full((8, 8, 3), 119, np.uint8))
    assert gray.lab[0] == pytest.approx((50.03, 0, 0), abs=0.25), "OpenCV interpolates in a table"
    assert gray.saturation[0] == 64


def test_merged_statistics_have_all_pixels_and_pictures() -> None:
    pictures = [np.full((4, 4, 3), level, np.uint8) for level in (10, 10, 200)]
    merged = colors.merge(map(colors.measure, pictures))
    assert (merged.luma[10], merged.luma[200], merged.luma.sum()) == (32, 16, 48)
    assert merged.rgb[:, 0].tolist() == [10, 10, 200] and merged.lab.shape == (3, 3)
    assert merged.mean_lab == pytest.approx(merged.lab.mean(axis=0))
    assert colors.merge([]).lab.shape == (0, 3)
