"""The Kuwahara filter against its definition, and its properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.filters.kuwahara import kuwahara
from tests.conftest import scene


def slow(picture: np.ndarray, radius: int) -> np.ndarray:
    """The paper's filter, pixel by pixel in float64, with Gaussian windows in wedges that fade into one another."""
    image = picture.astype(np.float64)
    gray = image @ (0.299, 0.587, 0.114)
    reach, (height, width) = 2 * radius, gray.shape
    result = np.zeros_like(image)
    for y in range(height):
        for x in range(width):
            top = bottom = 0.0
            for sector in range(8):
                weights, colors, grays = [], [], []
                for v in range(-reach, reach + 1):
                    for u in range(-reach, reach + 1):
                        away = abs((np.arctan2(v, u) - sector * np.pi / 4 + np.pi) % (2 * np.pi) - np.pi)
                        share = 1 / 8 if u == v == 0 else max(0.0, 1 - away / (np.pi / 4))
                        row, column = min(max(y + v, 0), height - 1), min(max(x + u, 0), width - 1)
                        weights.append(share * np.exp(-(u * u + v * v) / (2 * (0.9 * radius) ** 2)))
                        colors.append(image[row, column])
                        grays.append(gray[row, column])
                mean = np.average(colors, axis=0, weights=weights)
                middle = np.average(grays, weights=weights)
                spread = np.sqrt(np.average((np.array(grays) - middle) ** 2, weights=weights))
                top, bottom = top + mean * (1 + spread) ** -4, bottom + (1 + spread) ** -4
            result[y, x] = top / bottom
    return np.clip(np.rint(result), 0, 255)


@pytest.mark.parametrize(("height", "width", "radius"), [(9, 12, 1), (12, 7, 2)])
def test_it_is_the_filter_of_the_paper(height: int, width: int, radius: int) -> None:
    picture = scene(3, 64, 48)[20 : 20 + height, 20 : 20 + width]
    assert np.abs(kuwahara(picture, radius).astype(int) - slow(picture, radius)).max() <= 1


@settings(max_examples=15)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 8), st.integers(0, 1000))
def test_any_size_and_colours_stay_within_the_pictures(height: int, width: int, radius: int, seed: int) -> None:
    picture = scene(seed, 64, 48)[:height, :width]
    painted = kuwahara(picture, radius)
    assert painted.shape == picture.shape and painted.dtype == np.uint8
    assert (painted.min((0, 1)) >= picture.min((0, 1))).all() and (painted.max((0, 1)) <= picture.max((0, 1))).all()
    if radius == 0:
        assert np.array_equal(painted, picture)


def test_texture_goes_borders_stay_crisp_and_shading_stays() -> None:
    clean = np.full((64, 64, 3), 60, np.uint8)
    clean[:, 32:] = np.linspace(150, 230, 32, dtype=np.uint8)[:, None]
    noisy = np.clip(clean + np.random.default_rng(0).normal(0, 8, clean.shape), 0, 255).astype(np.uint8)
    painted = kuwahara(noisy, 3).astype(int)
    assert (
        np.abs(np.diff(painted[8:56, 4:28, 0], axis=1)).mean()
        < 0.3 * np.abs(np.diff(noisy[8:56, 4:28, 0].astype(int), axis=1)).mean()
    )
    assert (painted[8:56, 33] - painted[8:56, 30]).mean() > 70, "no wider than the border was"
    assert np.abs(painted[8:56, 36:60] - clean[8:56, 36:60]).mean() < 4
