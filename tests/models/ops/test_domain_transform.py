"""Edge-aware diffusion against a slow reference, and what must hold whatever the picture."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from models.ops.domain_transform import EDGE_THRESHOLD, LEVELS, MAX_LOG_COST, diffuse

WALL = 1e3  # a cost far beyond MAX_LOG_COST


def picture(seed: int, height: int, width: int, batch: int = 1) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


def reference_line(line: NDArray[np.float64], cost: NDArray[np.float64], distance: int) -> NDArray[np.float64]:
    """One exchange along a row, pixel by pixel, path costs added up from single steps."""
    out = line.copy()
    for i in range(len(line)):
        total, weights = line[i].copy(), 1.0
        for j in (i - distance, i + distance):
            if 0 <= j < len(line):
                share = np.exp(-cost[min(i, j) : max(i, j)].sum())
                total, weights = total + share * line[j], weights + share
        out[i] = total / weights
    return out


def reference(image: NDArray[np.float64], log_costs: NDArray[np.float64]) -> NDArray[np.float64]:
    """`diffuse` of one H x W x 3 picture with H x W x 2 log_costs, without a vector operation over pixels."""
    costs = np.exp(MAX_LOG_COST * np.tanh(log_costs / MAX_LOG_COST))
    right = (np.abs(np.diff(image, axis=1)).sum(2) / EDGE_THRESHOLD) ** 2 * costs[:, :-1, 0]
    below = (np.abs(np.diff(image, axis=0)).sum(2) / EDGE_THRESHOLD) ** 2 * costs[:-1, :, 1]
    for level in reversed(range(LEVELS)):
        image = np.stack([reference_line(row, cost, 1 << level) for row, cost in zip(image, right, strict=True)])
        columns = zip(image.swapaxes(0, 1), below.T, strict=True)
        image = np.stack([reference_line(column, cost, 1 << level) for column, cost in columns], axis=1)
    return image


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 40), (7, 3), (24, 41)])
def test_diffusion_equals_a_slow_reference(height: int, width: int) -> None:
    image = picture(height, height, width) * 0.2
    log_costs = torch.randn(1, 2, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    expected = reference(image[0].permute(1, 2, 0).numpy(), log_costs[0].permute(1, 2, 0).numpy())
    assert diffuse(image, log_costs)[0].permute(1, 2, 0).numpy() == pytest.approx(expected, abs=1e-12)


@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 40), st.floats(-20, 20))
def test_values_stay_within_those_of_the_picture(seed: int, height: int, width: int, log_cost: float) -> None:
    image = picture(seed, height, width)
    diffused = diffuse(image, torch.full((1, 2, height, width), log_cost, dtype=torch.float64))
    for before, after in zip(image[0], diffused[0], strict=True):
        assert before.min() - 1e-9 <= after.min() <= after.max() <= before.max() + 1e-9


@given(st.integers(0, 10**6), st.integers(2, 40), st.integers(2, 40))
def test_a_mirrored_picture_is_diffused_as_the_mirror_of_the_diffused_one(seed: int, height: int, width: int) -> None:
    image, log_costs = picture(seed, height, width), torch.zeros(1, 2, height, width, dtype=torch.float64)
    for axis in (2, 3):
        assert torch.allclose(diffuse(image.flip(axis), log_costs), diffuse(image, log_costs).flip(axis))


def test_color_spreads_to_the_edge_and_not_across() -> None:
    noise = picture(3, 64, 64) * 0.02
    image = noise + torch.where(torch.arange(64) < 32, -0.5, 0.5)
    log_costs = torch.zeros(1, 2, 64, 64, dtype=torch.float64)
    diffused = diffuse(diffuse(image, log_costs), log_costs)
    for half, mean in ((diffused[..., :32], -0.5), (diffused[..., 32:], 0.5)):
        assert half.std() < 0.1 * noise.std()
        assert float(half.mean()) == pytest.approx(mean, abs=0.002)


def test_walls_keep_every_pixel_and_no_cost_lets_all_spread() -> None:
    image = picture(4, 32, 32)
    walls = torch.full((1, 2, 32, 32), WALL, dtype=torch.float64)
    assert (diffuse(image, walls) - image).abs().mean() < 0.01
    assert diffuse(image, -walls).std() < 0.25 * image.std()


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 40), (16, 17), (70, 33)])
def test_how_a_picture_lies_in_memory_changes_nothing(height: int, width: int) -> None:
    image = (picture(6, height, width, 2) * 0.2).float()
    log_costs = torch.randn(2, 2, height, width, generator=torch.Generator().manual_seed(1))
    kept = image.clone()
    diffused = diffuse(*(one.contiguous(memory_format=torch.channels_last) for one in (image, log_costs)))
    assert torch.equal(diffused, diffuse(image, log_costs)) and torch.equal(image, kept)


def test_gradients_reach_the_picture_and_the_costs() -> None:
    image = (picture(5, 20, 20) * 0.1).requires_grad_()
    log_costs = torch.zeros(1, 2, 20, 20, dtype=torch.float64, requires_grad=True)
    diffuse(image, log_costs).square().mean().backward()  # type: ignore[no-untyped-call]
    assert image.grad is not None and log_costs.grad is not None
    assert (image.grad != 0).float().mean() > 0.99
    assert (log_costs.grad != 0).float().mean() > 0.8
