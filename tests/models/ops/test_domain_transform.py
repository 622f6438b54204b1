"""The paint bucket: a slow reference, and what must hold whatever the picture."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from models.ops.domain_transform import LEVELS, REACH, THRESHOLD, fill, steps

WALL = 1e3  # a price far beyond REACH


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


def reference(image: NDArray[np.float64], prices: NDArray[np.float64]) -> NDArray[np.float64]:
    """`fill` of one H x W x 3 picture with H x W x 2 prices, without a vector operation over pixels."""
    dear = np.exp(REACH * np.tanh(prices / REACH))
    right = (np.abs(np.diff(image, axis=1)).sum(2) / THRESHOLD) ** 2 * dear[:, :-1, 0]
    below = (np.abs(np.diff(image, axis=0)).sum(2) / THRESHOLD) ** 2 * dear[:-1, :, 1]
    for level in reversed(range(LEVELS)):
        image = np.stack([reference_line(row, cost, 1 << level) for row, cost in zip(image, right, strict=True)])
        columns = zip(image.swapaxes(0, 1), below.T, strict=True)
        image = np.stack([reference_line(column, cost, 1 << level) for column, cost in columns], axis=1)
    return image


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 40), (7, 3), (24, 41)])
def test_fill_equals_a_slow_reference(height: int, width: int) -> None:
    image = picture(height, height, width) * 0.2
    prices = torch.randn(1, 2, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    expected = reference(image[0].permute(1, 2, 0).numpy(), prices[0].permute(1, 2, 0).numpy())
    assert fill(image, prices)[0].permute(1, 2, 0).numpy() == pytest.approx(expected, abs=1e-12)


@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 40), st.floats(-20, 20))
def test_values_stay_within_those_of_the_picture(seed: int, height: int, width: int, price: float) -> None:
    image = picture(seed, height, width)
    filled = fill(image, torch.full((1, 2, height, width), price, dtype=torch.float64))
    for before, after in zip(image[0], filled[0], strict=True):
        assert before.min() - 1e-9 <= after.min() <= after.max() <= before.max() + 1e-9


@given(st.integers(0, 10**6), st.integers(2, 40), st.integers(2, 40))
def test_a_mirrored_picture_is_filled_as_the_mirror_of_the_filled_one(seed: int, height: int, width: int) -> None:
    image, prices = picture(seed, height, width), torch.zeros(1, 2, height, width, dtype=torch.float64)
    for axis in (2, 3):
        assert torch.allclose(fill(image.flip(axis), prices), fill(image, prices).flip(axis))


def test_colour_runs_to_the_border_and_not_across() -> None:
    noise = picture(3, 64, 64) * 0.02
    image = noise + torch.where(torch.arange(64) < 32, -0.5, 0.5)
    prices = torch.zeros(1, 2, 64, 64, dtype=torch.float64)
    filled = fill(fill(image, prices), prices)
    for half, mean in ((filled[..., :32], -0.5), (filled[..., 32:], 0.5)):
        assert half.std() < 0.1 * noise.std()
        assert float(half.mean()) == pytest.approx(mean, abs=0.002)


def test_walls_keep_every_pixel_and_no_price_lets_all_run() -> None:
    image = picture(4, 32, 32)
    walls = torch.full((1, 2, 32, 32), WALL, dtype=torch.float64)
    assert (fill(image, walls) - image).abs().mean() < 0.01
    assert fill(image, -walls).std() < 0.25 * image.std()


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 40), (16, 17), (70, 33)])
def test_how_a_picture_lies_in_memory_changes_nothing(height: int, width: int) -> None:
    image = (picture(6, height, width, 2) * 0.2).float()
    prices = torch.randn(2, 2, height, width, generator=torch.Generator().manual_seed(1))
    kept = image.clone()
    filled = fill(*(one.contiguous(memory_format=torch.channels_last) for one in (image, prices)))
    assert torch.equal(filled, fill(image, prices)) and torch.equal(image, kept)


def test_steps_are_sums_over_the_channels() -> None:
    image = torch.zeros(1, 3, 2, 2)
    image[0, :, 0, 1] = torch.tensor([0.1, -0.2, 0.3])
    right, down = steps(image)
    assert right.flatten().tolist() == pytest.approx([0.6, 0.0])
    assert down.flatten().tolist() == pytest.approx([0.0, 0.6])


def test_gradients_reach_the_picture_and_the_prices() -> None:
    image = (picture(5, 20, 20) * 0.1).requires_grad_()
    prices = torch.zeros(1, 2, 20, 20, dtype=torch.float64, requires_grad=True)
    fill(image, prices).square().mean().backward()  # type: ignore[no-untyped-call]
    assert image.grad is not None and prices.grad is not None
    assert (image.grad != 0).float().mean() > 0.99
    assert (prices.grad != 0).float().mean() > 0.8
