"""L0 smoothing against its equations in float64, and its properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.filters.l0 import l0_smooth
from tests.conftest import scene


def slow(picture: np.ndarray, strength: float) -> np.ndarray:
    """The paper's algorithm 1, one channel at a time, with full complex transforms in float64."""
    image = picture.astype(np.float64) / 255
    height, width, _ = image.shape
    across_kernel, down_kernel = np.zeros((height, width)), np.zeros((height, width))
    across_kernel[0, 0] += -1
    across_kernel[0, -1] += 1
    down_kernel[0, 0] += -1
    down_kernel[-1, 0] += 1
    across_filter, down_filter = np.fft.fft2(across_kernel), np.fft.fft2(down_kernel)
    result, beta = image.copy(), 2 * strength
    while beta < 1e5:
        across = np.roll(result, -1, axis=1) - result
        down = np.roll(result, -1, axis=0) - result
        for y in range(height):
            for x in range(width):
                if (across[y, x] ** 2 + down[y, x] ** 2).sum() < strength / beta:
                    across[y, x] = down[y, x] = 0
        for channel in range(3):
            top = np.fft.fft2(image[..., channel])
            top += beta * np.conj(across_filter) * np.fft.fft2(across[..., channel])
            top += beta * np.conj(down_filter) * np.fft.fft2(down[..., channel])
            bottom = 1 + beta * (np.abs(across_filter) ** 2 + np.abs(down_filter) ** 2)
            result[..., channel] = np.fft.ifft2(top / bottom).real
        beta *= 2
    return np.clip(np.rint(result * 255), 0, 255)


@pytest.mark.parametrize(("height", "width"), [(24, 31), (33, 20)])
def test_it_is_the_algorithm_of_the_paper(height: int, width: int) -> None:
    picture = scene(3, width, height)
    off = np.abs(l0_smooth(picture, 0.02).astype(int) - slow(picture, 0.02))
    assert (off <= 1).mean() > 0.99, "float32 may decide a gradient at the threshold otherwise"


@settings(max_examples=15)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 1000))
def test_any_size_and_a_flat_picture_is_left_alone(height: int, width: int, seed: int) -> None:
    picture = scene(seed, 64, 48)[:height, :width]
    assert l0_smooth(picture, 0.02).shape == picture.shape
    flat = np.full((height, width, 3), seed % 256, np.uint8)
    assert np.array_equal(l0_smooth(flat, 0.02), flat)


def test_noise_goes_and_borders_stay() -> None:
    clean = np.full((64, 64, 3), 70, np.uint8)
    clean[:, 32:] = 190
    noisy = np.clip(clean + np.random.default_rng(0).normal(0, 6, clean.shape), 0, 255).astype(np.uint8)
    result = l0_smooth(noisy, 0.02).astype(int)
    assert np.abs(np.diff(result[:, 4:28], axis=1)).mean() < 0.3
    assert (result[:, 33:60].mean() - result[:, 4:31].mean()) > 110


@pytest.mark.parametrize("strength", [0.0, -1.0])
def test_strengths_of_zero_and_less_are_refused_instead_of_looping_for_ever(strength: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        l0_smooth(scene(1, 8, 8), strength)
