"""Winograd's convolution is the convolution: against torch's in float64, with its gradients, in blocks and at borders."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from models import winograd
from models.generators import build_generator


@pytest.mark.parametrize("shape", [(1, 2, 3, 4, 4), (2, 3, 2, 8, 12), (3, 5, 1, 20, 4)])
@pytest.mark.parametrize("block", [1, 400, 1 << 19])
def test_it_is_the_convolution(monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], block: int) -> None:
    monkeypatch.setattr(winograd, "BLOCK", block)
    n, inputs, outputs, height, width = shape
    generator = torch.Generator().manual_seed(1)
    sizes = ((n, inputs, height, width), (outputs, inputs, 3, 3), (outputs,))
    ours = [torch.randn(size, generator=generator, dtype=torch.float64, requires_grad=True) for size in sizes]
    theirs = [value.detach().clone().requires_grad_() for value in ours]
    found, wanted = winograd.convolve(ours[0], ours[1], ours[2]), F.conv2d(theirs[0], theirs[1], theirs[2], padding=1)
    assert torch.allclose(found, wanted, atol=1e-12)
    slope = torch.randn(wanted.shape, generator=generator, dtype=torch.float64)
    torch.autograd.backward((found, wanted), (slope, slope))
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.grad is not None and other.grad is not None and torch.allclose(mine.grad, other.grad, atol=1e-11)


def test_what_does_not_learn_gets_no_gradient() -> None:
    picture, weight = torch.randn(1, 2, 8, 8, requires_grad=True), torch.randn(3, 2, 3, 3)
    torch.autograd.backward(winograd.convolve(picture, weight, None).sum())
    assert picture.grad is not None and weight.grad is None


def test_rounding_in_float32_is_small() -> None:
    generator = torch.Generator().manual_seed(1)
    picture = torch.randn(1, 128, 32, 32, generator=generator)
    weight = torch.randn(128, 128, 3, 3, generator=generator) / (9 * 128) ** 0.5
    exact = F.conv2d(picture.double(), weight.double(), padding=1)
    assert (winograd.convolve(picture, weight, None) - exact).abs().max() < 2e-4 * exact.std()


def test_only_what_pays_is_hastened() -> None:
    picture = torch.zeros(1, 128, 32, 32)
    assert winograd.pays(nn.Conv2d(128, 128, 3, padding=1), picture)
    for other in (
        nn.Conv2d(128, 128, 3, padding=1, stride=2),
        nn.Conv2d(128, 128, 3),
        nn.Conv2d(128, 64, 3, padding=1),
        nn.Conv2d(128, 128, 5, padding=2),
        nn.Conv2d(128, 128, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(128, 128, 3, padding=1, groups=2),
    ):
        assert not winograd.pays(other, picture)
    conv = nn.Conv2d(128, 128, 3, padding=1)
    assert not winograd.pays(conv, picture[..., :30]) and not winograd.pays(conv, picture.bfloat16())
    with torch.autocast("cpu", torch.bfloat16):
        assert not winograd.pays(conv, picture)
    network = build_generator("tiny")
    names = list(network.state_dict())
    winograd.hasten(network)
    assert any(type(module) is winograd.Conv2d for module in network.modules()) and list(network.state_dict()) == names
    winograd.hasten(network, fast=False)
    assert not any(type(module) is winograd.Conv2d for module in network.modules())
