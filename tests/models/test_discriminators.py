"""Discriminators: published shape, logits for patches, gradients everywhere."""

import itertools
import math

import pytest
import torch
from torch import nn

from models.discriminators import DISCRIMINATORS, build_discriminator, frozen_layers


def pictures(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_cartoongan_is_the_published_one() -> None:
    network = build_discriminator("cartoongan")
    convs = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    expected = [(32, 1), (64, 2), (128, 1), (128, 2), (256, 1), (256, 1), (1, 1)]
    assert [(conv.out_channels, conv.stride[0]) for conv in convs] == expected
    assert all(conv.kernel_size == (3, 3) for conv in convs)
    slopes = [m.negative_slope for m in network.modules() if isinstance(m, nn.LeakyReLU)]
    assert slopes == [0.2] * 6
    # By hand: sum of 9 in out + out, and two numbers for each map of the three norms.
    maps = [3, 32, 64, 128, 128, 256, 256, 1]
    by_hand = sum(9 * i * o + o for i, o in itertools.pairwise(maps)) + 2 * (128 + 256 + 256)
    assert sum(p.numel() for p in network.parameters()) == by_hand


@pytest.mark.parametrize("name", [name for name in DISCRIMINATORS if not frozen_layers(name)])
@pytest.mark.parametrize("size", [(8, 8), (17, 30), (64, 64)])
def test_a_logit_for_each_patch(name: str, size: tuple[int, int]) -> None:
    out = build_discriminator(name)(pictures(2, 3, *size))
    assert out.shape == (2, 1, math.ceil(size[0] / 4), math.ceil(size[1] / 4))


def test_logits_are_not_squashed() -> None:
    torch.manual_seed(0)
    network = build_discriminator("tiny", norm="none")
    out = network(1000 * pictures(1, 3, 32, 32))
    assert out.min() < 0
    assert out.abs().max() > 1


@pytest.mark.parametrize("norm", ["batch", "instance", "layer", "none"])
@pytest.mark.parametrize("spectral", [False, True])
def test_gradients_reach_every_weight(norm: str, spectral: bool) -> None:
    torch.manual_seed(0)
    network = build_discriminator("tiny", norm=norm, spectral=spectral)
    network(pictures(2, 3, 16, 16)).square().mean().backward()
    weights = [p for p in network.parameters() if p.ndim == 4]
    assert len(weights) == 7
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in weights)


def test_spectral_norm_bounds_every_convolution() -> None:
    torch.manual_seed(0)
    network = build_discriminator("tiny", spectral=True)
    for _ in range(50):
        network(pictures(1, 3, 16, 16))
    convs = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert len(convs) == 7
    for conv in convs:
        assert torch.linalg.matrix_norm(conv.weight.flatten(1), ord=2).item() == pytest.approx(1.0, abs=0.05)


def test_the_patch_is_37_pixels() -> None:
    network = build_discriminator("cartoongan", norm="none")
    image = pictures(1, 3, 96, 96).requires_grad_()
    network(image)[0, 0, 12, 12].backward()
    assert image.grad is not None
    seen = image.grad.abs().sum((0, 1)).nonzero()
    assert ((seen.amax(0) - seen.amin(0)) + 1).tolist() == [37, 37]


def test_unknown_names_list_the_known() -> None:
    with pytest.raises(ValueError, match=r"unknown discriminator 'nope'.*cartoongan.*genga-s"):
        build_discriminator("nope")
    with pytest.raises(ValueError, match="unknown norm 'nope'"):
        build_discriminator("tiny", norm="nope")
