"""Distances between sets against slow float64 references, laws and known values."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from models.distances import fid, jackknife, kernel, kid, lpips, pooled


def normal(seed: int, n: int, d: int, mean: float = 0.0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) + mean


def distance(x: Tensor, y: Tensor) -> float:
    return kid(kernel(x, x), kernel(y, y), kernel(x, y))


def slow_kid(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Gretton et al. 2012, eq. 3, term by term."""

    def k(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        return (math.fsum(p * q for p, q in zip(a, b, strict=True)) / len(a) + 1) ** 3

    def within(z: NDArray[np.float64]) -> float:
        n = len(z)
        return math.fsum(k(z[i], z[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))

    return within(x) + within(y) - 2 * math.fsum(k(a, b) for a in x for b in y) / (len(x) * len(y))


@given(st.integers(0, 10**6), st.integers(2, 6), st.integers(2, 6), st.integers(1, 5))
def test_kid_is_what_the_paper_says(seed: int, n: int, m: int, d: int) -> None:
    x, y = normal(seed, n, d), normal(seed + 1, m, d, 0.5)
    assert distance(x, y) == pytest.approx(slow_kid(x.double().numpy(), y.double().numpy()), rel=1e-9, abs=1e-9)
    assert distance(x, y) == pytest.approx(distance(y, x), rel=1e-9, abs=1e-9)
    assert distance(x.flip(0), y) == pytest.approx(distance(x, y), rel=1e-9, abs=1e-9)


def test_kid_is_nought_in_the_mean_for_one_kind_and_above_for_two() -> None:
    same = [distance(normal(seed, 12, 8), normal(seed + 1000, 12, 8)) for seed in range(200)]
    other = [distance(normal(seed, 12, 8), normal(seed + 1000, 12, 8, 0.7)) for seed in range(200)]
    assert abs(np.mean(same)) < 3 * np.std(same) / math.sqrt(200)
    assert min(same) < 0 < np.percentile(other, 5)
    with pytest.raises(ValueError, match="at least 2"):
        distance(normal(0, 1, 3), normal(1, 4, 3))
    with pytest.raises(ValueError, match="one D"):
        kernel(normal(0, 2, 3), normal(1, 2, 4))


def test_fid_against_scipy_and_a_shift_of_known_size() -> None:
    x, y = normal(0, 60, 5), normal(1, 80, 5) @ torch.diag(torch.tensor([1.0, 2, 0.5, 1, 3])) + 1
    a, b = x.double().numpy(), y.double().numpy()
    root = scipy.linalg.sqrtm(np.cov(a.T) @ np.cov(b.T)).real
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(np.cov(a.T) + np.cov(b.T) - 2 * root)
    assert fid(x, y) == pytest.approx(expected, rel=1e-9)
    assert fid(x, x) == pytest.approx(0, abs=1e-9)
    assert fid(x, x + 2) == pytest.approx(5 * 4, rel=1e-6)
    assert fid(x[:, :1], x[:, :1] + 3) == pytest.approx(9, rel=1e-6)
    # Fewer pictures than features is no fault of the numbers' making, though they mean little.
    assert math.isfinite(fid(normal(2, 4, 16), normal(3, 4, 16)))


def test_jackknife_of_a_mean_is_its_standard_error() -> None:
    values = [3.0, 5.0, 8.0, 1.0, 4.0]
    left_out = [(sum(values) - value) / 4 for value in values]
    assert jackknife([left_out]) == pytest.approx(np.std(values, ddof=1) / math.sqrt(5))
    assert jackknife([left_out, left_out]) == pytest.approx(math.sqrt(2) * jackknife([left_out]))
    assert jackknife([[], [1.0]]) == 0


def test_pooled_keeps_direction_only_and_leaves_the_rim_out() -> None:
    features = torch.rand(3, 7, 32, 16)
    found = pooled(features)
    torch.testing.assert_close(found.norm(dim=1), torch.full((3,), math.sqrt(7), dtype=torch.float64))
    torch.testing.assert_close(pooled(5 * features), found)
    dirty = features.clone()
    dirty[:, :, :2] = dirty[:, :, -2:] = 1e6
    dirty[:, :, :, 0] = dirty[:, :, :, -1] = 1e6
    torch.testing.assert_close(pooled(dirty), found)
    assert (pooled(torch.zeros(1, 4, 8, 8)) == 0).all()


def test_lpips_is_half_the_squared_distance_of_unit_features() -> None:
    a = {"one": torch.rand(2, 6, 5, 4), "two": torch.rand(2, 3, 2, 2)}
    b = {tap: torch.rand_like(features) for tap, features in a.items()}
    layers = []
    for tap in a:
        x, y = (part / np.sqrt((part**2).sum(1, keepdims=True)) for part in (a[tap].double().numpy(), b[tap].double().numpy()))
        layers.append(0.5 * ((x - y) ** 2).sum(1).mean((1, 2)))
    assert lpips(a, b).tolist() == pytest.approx(np.mean(layers, axis=0).tolist(), abs=1e-6)
    assert lpips(a, a).tolist() == pytest.approx([0, 0], abs=1e-6)
    torch.testing.assert_close(lpips(a, b), lpips(b, a))
    torch.testing.assert_close(lpips({tap: 9 * x for tap, x in a.items()}, b), lpips(a, b))
    silent = {"one": torch.zeros(1, 6, 5, 4)}
    assert float(lpips(silent, silent)) == 0
    assert float(lpips({"one": a["one"][:1]}, silent)) == 1
