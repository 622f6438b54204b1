"""The differentiable Kuwahara filter against a slow reference and against the filter of pseudo-targets."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from models.ops import kuwahara
from models.ops.xdog import LUMA
from pipeline.filters.kuwahara import kuwahara as of_targets
from pipeline.media import tensors
from tests.conftest import scene


def reference(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """The filter pixel by pixel on H x W x 3 in [-1, 1]."""
    height, width, _ = image.shape
    half = kuwahara.SIDE_PX // 2
    places = [range(-half, half + 1), (-half, 0, half)]
    out = np.zeros_like(image)
    for y in range(height):
        for x in range(width):
            top, bottom = np.zeros(3), 0.0
            for v in places[1]:
                for u in places[1]:
                    square = np.array(
                        [
                            image[min(max(y + v + j, 0), height - 1), min(max(x + u + i, 0), width - 1)]
                            for j in places[0]
                            for i in places[0]
                        ]
                    )
                    spread = np.sqrt(max(np.var(square @ np.array(LUMA)), 1e-6))
                    weight = (1 + 127.5 * spread) ** -kuwahara.SHARPNESS
                    top, bottom = top + weight * square.mean(0), bottom + weight
            out[y, x] = top / bottom
    return out


def picture(seed: int, height: int, width: int) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 2), (9, 14)])
def test_it_equals_a_slow_reference(height: int, width: int) -> None:
    image = picture(height, height, width)
    expected = reference(image[0].permute(1, 2, 0).numpy())
    assert kuwahara.kuwahara_filter(image)[0].permute(1, 2, 0).numpy() == pytest.approx(expected, abs=1e-9)


@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(1, 30), st.floats(-20, 20))
def test_colors_stay_in_range_and_the_opacity_sets_the_share(seed: int, height: int, width: int, opacity: float) -> None:
    image = picture(seed, height, width)
    filtered = kuwahara.blend_kuwahara(image, torch.full((1, 1, height, width), opacity, dtype=torch.float64))
    for before, after in zip(image[0], filtered[0], strict=True):
        assert before.min() - 1e-9 <= after.min() <= after.max() <= before.max() + 1e-9
    share = 1 / (1 + np.exp(-opacity))
    assert torch.allclose(filtered, image + share * (kuwahara.kuwahara_filter(image) - image), atol=1e-12)


def test_it_filters_as_pseudo_targets_are_filtered() -> None:
    rough = np.clip(scene(5, 96, 96) + np.random.default_rng(2).normal(0, 12, (96, 96, 3)), 0, 255).astype(np.uint8)
    target = of_targets(rough, 3).astype(int)
    filtered = (
        tensors.to_pixels(kuwahara.kuwahara_filter(tensors.from_pixels(torch.from_numpy(rough)[None])))[0].numpy().astype(int)
    )
    assert np.abs(filtered - target).mean() < 0.35 * np.abs(rough - target).mean()


def test_gradients_are_finite_where_nothing_changes() -> None:
    flat = torch.zeros(1, 3, 12, 12, requires_grad=True)
    opacity = torch.zeros(1, 1, 12, 12, requires_grad=True)
    kuwahara.blend_kuwahara(flat, opacity).sum().backward()  # type: ignore[no-untyped-call]
    assert flat.grad is not None and torch.isfinite(flat.grad).all()
    assert flat.grad.mean() == pytest.approx(1, abs=1e-4)
