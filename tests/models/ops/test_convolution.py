"""NNPACK's convolution and its gradients are the convolution: against torch's in float64, shared out, at borders."""

from collections.abc import Iterator
from typing import Literal, cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.nn.grad import conv2d_weight

from models.generators.table import build_generator
from models.ops import convolution

needs_nnpack = pytest.mark.skipif(
    not convolution.available(), reason="this torch has no NNPACK, or this processor does not suit it"
)


@pytest.fixture
def threads() -> Iterator[None]:
    """Gives back as many threads as there were."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def _both(n: int, inputs: int, outputs: int, height: int, width: int, side: int, padding: int) -> list[list[torch.Tensor]]:
    """What is convolved, what comes out, and the three gradients: this way, and in float64."""
    generator = torch.Generator().manual_seed(1)
    sizes = ((n, inputs, height, width), (outputs, inputs, side, side), (outputs,))
    ours = [torch.randn(size, generator=generator) for size in sizes]
    ours[1] /= (inputs * side * side) ** 0.5
    theirs = [value.double().requires_grad_() for value in ours]
    for value in ours:
        value.requires_grad_()
    found = convolution.convolve(ours[0], ours[1], ours[2], padding)
    wanted = F.conv2d(theirs[0], theirs[1], theirs[2], padding=padding)
    slope = torch.randn(wanted.shape, generator=generator)
    torch.autograd.backward((found, wanted), (slope, slope.double()))
    return [[of.detach(), *(cast(torch.Tensor, one.grad) for one in to)] for of, to in ((found, ours), (wanted, theirs))]


@needs_nnpack
@pytest.mark.parametrize("shape", [(1, 16, 32, 64, 48), (2, 64, 64, 32, 36), (3, 70, 65, 40, 33)])
@pytest.mark.parametrize("side_padding", [(3, 1), (3, 0), (5, 2), (7, 3), (9, 0)])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_it_is_the_convolution_on_any_threads(
    threads: None, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], side_padding: tuple[int, int], count: int
) -> None:
    monkeypatch.setattr(convolution, "MIN_PRODUCTS_PER_CALL", 1)
    torch.set_num_threads(count)
    n, inputs, outputs, height, width = shape
    for found, wanted in zip(*_both(n, inputs, outputs, height, width, *side_padding), strict=True):
        assert found.shape == wanted.shape
        assert (found - wanted).abs().max() < 4e-4 * wanted.std()


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.sampled_from([0, 1]))
@settings(max_examples=30, deadline=None)
def test_the_gradient_to_the_weights_by_tiles_is_exact(
    n: int, inputs: int, outputs: int, down: int, across: int, padding: int
) -> None:
    generator = torch.Generator().manual_seed(1)
    more = 2 - 2 * padding
    picture = torch.randn(n, inputs, 4 * down + more, 4 * across + more, generator=generator, dtype=torch.float64)
    slope = torch.randn(n, outputs, 4 * down, 4 * across, generator=generator, dtype=torch.float64)
    wanted = conv2d_weight(picture, [outputs, inputs, 3, 3], slope, padding=padding)  # type: ignore[no-untyped-call]
    for block in (1, 1 << 19):
        assert torch.allclose(convolution.winograd_weight_gradient(picture, slope, padding, block), wanted, atol=1e-11)


@needs_nnpack
def test_what_does_not_learn_gets_no_gradient_and_nothing_is_kept_without_one() -> None:
    picture, weight = torch.randn(1, 16, 32, 32, requires_grad=True), torch.randn(16, 16, 3, 3)
    torch.autograd.backward(convolution.convolve(picture, weight, None, 1).sum())
    assert picture.grad is not None and weight.grad is None
    learnt = weight.requires_grad_()
    with torch.no_grad():
        assert convolution.convolve(picture, learnt, None, 1).grad_fn is None
    with torch.inference_mode():
        assert convolution.convolve(picture, learnt, None, 1).is_inference()


@needs_nnpack
@pytest.mark.parametrize("mode", ["zeros", "reflect"])
def test_a_layer_gives_what_it_gave(mode: Literal["zeros", "reflect"]) -> None:
    layer = nn.Conv2d(16, 24, 3, padding=1, padding_mode=mode)
    picture = torch.randn(2, 16, 40, 36)
    wanted = layer(picture)
    convolution.accelerate(layer)
    assert type(layer) is convolution.Conv2d and convolution.is_faster(layer, picture)
    found = layer(picture)
    assert not torch.equal(found, wanted) and (found - wanted).abs().max() < 4e-4 * wanted.std()


@needs_nnpack
def test_only_layers_that_gain_are_accelerated() -> None:
    picture = torch.zeros(1, 16, 32, 32)
    assert convolution.is_faster(nn.Conv2d(16, 16, 3, padding=1), picture)
    for other in (
        nn.Conv2d(16, 16, 3, padding=1, stride=2),
        nn.Conv2d(16, 16, 3),
        nn.Conv2d(16, 3, 3, padding=1),
        nn.Conv2d(16, 16, 1),
        nn.Conv2d(16, 16, 4, padding=2),
        nn.Conv2d(16, 16, 5, padding=2),  # of so small a picture
        nn.Conv2d(16, 16, 3, padding=1, groups=2),
        nn.Conv2d(16, 16, 3, padding="same"),
    ):
        assert not convolution.is_faster(other, picture)
    conv = nn.Conv2d(16, 16, 3, padding=1)
    assert not convolution.is_faster(conv, picture[..., :17]) and not convolution.is_faster(conv, picture.bfloat16())
    with torch.autocast("cpu", torch.bfloat16):
        assert not convolution.is_faster(conv, picture)
    network = build_generator("tiny")
    names = list(network.state_dict())
    convolution.accelerate(network)
    assert any(type(module) is convolution.Conv2d for module in network.modules()) and list(network.state_dict()) == names
    convolution.accelerate(network, fast=False)
    assert not any(type(module) is convolution.Conv2d for module in network.modules())


def test_torch_still_has_the_private_functions_that_are_called() -> None:
    """Fails when torch drops NNPACK: then remove models/ops/convolution.py and `devices.accelerate`."""
    assert hasattr(torch, "_nnpack_available") and hasattr(torch, "_nnpack_spatial_convolution")


def test_without_nnpack_a_network_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution, "available", lambda: False)
    network = build_generator("tiny")
    convolution.accelerate(network)
    assert not any(type(module) is convolution.Conv2d for module in network.modules())
