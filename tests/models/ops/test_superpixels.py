"""Regions against SLIC written out pixel by pixel in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.color import rgb2lab

from models.ops import superpixels
from pipeline.media import tensors
from tests.conftest import scene

Array = NDArray[np.float64]


def picture(seed: int, width: int, height: int, noise: float = 0.1) -> torch.Tensor:
    """A drawn scene with noise, 1 x 3 x H x W in [-1, 1]."""
    drawn = tensors.from_pixels(torch.from_numpy(scene(seed, width, height))[None])
    rough = np.random.default_rng(seed).normal(0, noise, drawn.shape)
    return (drawn + torch.from_numpy(rough).float()).clamp(-1, 1)


def slow_regions(image: Array, side: int) -> tuple[NDArray[np.int64], Array]:
    """Labels, and the least gap between the best and the second best choice of each pixel: what rounding may turn over."""
    _, height, width = image.shape
    rows, columns = max(1, round(height / side)), max(1, round(width / side))
    colours = rgb2lab(((image + 1) / 2).transpose(1, 2, 0))
    labels = np.array([[(y * rows // height) * columns + x * columns // width for x in range(width)] for y in range(height)])
    points = {(y, x): np.array([*colours[y, x], y * 10 / side, x * 10 / side]) for y in range(height) for x in range(width)}
    centres: dict[int, Array] = {}
    gap = np.full((height, width), np.inf)
    for step in range(superpixels.STEPS + 1):
        for label in range(rows * columns):
            own = [points[y, x] for y, x in zip(*np.nonzero(labels == label), strict=True)]
            if own:
                centres[label] = np.mean(own, axis=0)
        if step == superpixels.STEPS:
            break
        for (y, x), point in points.items():
            row, column = y * rows // height, x * columns // width
            tried = []
            for there in range(max(0, row - 1), min(rows, row + 2)):
                for beside in range(max(0, column - 1), min(columns, column + 2)):
                    label = there * columns + beside
                    tried.append((float(np.square(point - centres[label]).sum()), label))
            tried.sort()
            labels[y, x] = tried[0][1]
            if len(tried) > 1:
                gap[y, x] = min(gap[y, x], tried[1][0] - tried[0][0])
    return labels, gap


def slow_evened(image: Array, labels: NDArray[np.int64]) -> Array:
    out = np.zeros_like(image)
    for label in np.unique(labels):
        for channel in range(3):
            out[channel][labels == label] = image[channel][labels == label].mean()
    return out


@pytest.mark.parametrize(("seed", "width", "height", "side"), [(0, 21, 14, 5), (1, 16, 16, 4), (2, 9, 30, 7), (3, 6, 5, 9)])
def test_regions_are_those_of_the_slow_reference(seed: int, width: int, height: int, side: int) -> None:
    image = picture(seed, width, height)
    expected, gap = slow_regions(image[0].double().numpy(), side)
    labels, count = superpixels.find(image, side)
    assert count == max(1, round(height / side)) * max(1, round(width / side))
    assert gap.min() > 1e-3, "no pixel of this picture hangs on a rounding: the comparison is exact"
    np.testing.assert_array_equal(labels[0].numpy(), expected)
    even = superpixels.evened(image, side)
    np.testing.assert_allclose(even[0].numpy(), slow_evened(image[0].double().numpy(), expected), atol=2e-6)


@given(seed=st.integers(0, 99), side=st.integers(4, 12))
@settings(max_examples=15)
def test_regions_keep_the_mean_and_what_is_even_already(seed: int, side: int) -> None:
    image = torch.cat([picture(seed, 33, 26), picture(seed + 1, 33, 26)])
    even = superpixels.evened(image, side)
    assert torch.allclose(even.mean((2, 3)), image.mean((2, 3)), atol=1e-5)
    labels, count = superpixels.find(image, side)
    assert int(labels.min()) >= 0 and int(labels.max()) < count
    for each, one in zip(even, labels, strict=True):
        assert len(torch.unique(each.flatten(1), dim=1)[0]) <= len(torch.unique(one))
    assert torch.equal(superpixels.evened(image[1:], side), even[1:]), "a picture's regions do not depend on its company"
    halves = torch.full((1, 3, 26, 33), -0.8)
    halves[..., 13:, :], halves[..., 13:, 20:] = 0.7, torch.tensor([0.9, -0.9, -0.2]).view(3, 1, 1)
    assert torch.allclose(superpixels.evened(halves, side), halves, atol=1e-6), "no region crosses a border of colours"


def test_texture_goes_and_borders_stay() -> None:
    clean, rough = picture(5, 64, 48, 0.0), picture(5, 64, 48, 0.15)
    even = superpixels.evened(rough, 8)
    assert float((even - clean).square().mean()) < 0.5 * float((rough - clean).square().mean())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(superpixels.evened(rough, 8), even) and even.dtype == torch.float32
    assert math.isfinite(float(even.sum())) and not superpixels.evened(rough.requires_grad_(), 8).requires_grad
