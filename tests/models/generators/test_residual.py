"""The fast-style-transfer generator: any size, gradients everywhere, no checkerboard."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from models.generators.residual import Generator, GeneratorSize
from models.generators.table import GENERATORS, TINY, build_generator
from tests.support.random_pictures import random_pictures as pictures

RESIDUAL = {name: size for name, size in GENERATORS.items() if isinstance(size, GeneratorSize) and size.residual}


@given(height=st.integers(1, 40), width=st.integers(1, 40))
@settings(max_examples=40)
def test_any_size_comes_back(height: int, width: int) -> None:
    photo = pictures(1, 3, height, width)
    with torch.no_grad():
        assert build_generator("tiny")(photo).shape == photo.shape


@pytest.mark.parametrize("name", RESIDUAL)
def test_residual_rows_start_as_the_photo(name: str) -> None:
    photo = pictures(1, 3, 20, 20)
    assert torch.equal(build_generator(name)(photo), photo)


@pytest.mark.parametrize("norm", ["batch", "instance", "layer", "none"])
@pytest.mark.parametrize("residual", [True, False])
def test_gradients_reach_every_parameter_after_one_step(norm: str, residual: bool) -> None:
    torch.manual_seed(0)
    network = Generator(replace(TINY, norm=norm, residual=residual, blocks=2))  # type: ignore[arg-type]
    photo, target = pictures(2, 3, 16, 16), pictures(2, 3, 16, 16, seed=1)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    # A residual generator's last layer is zero: it moves first, and only then lets anything through to the others.
    (network(photo) - target).abs().mean().backward()
    optimiser.step()
    optimiser.zero_grad()
    (network(photo) - target).abs().mean().backward()
    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # A bias in front of a norm that takes the mean of its channel away is idle; rounding may or may not leave a crumb.
    idle = {"batch", "instance"}
    assert [name for name in still if not (norm in idle and name.endswith("bias"))] == []


@pytest.mark.parametrize("norm", ["instance", "none"])
@pytest.mark.parametrize("name", ["genga-s", "genga-m", "tiny"])
def test_a_flat_color_stays_flat(name: str, norm: str) -> None:
    """No checkerboard and no frame: equal neighbourhoods give equal pixels, whatever the weights."""
    torch.manual_seed(0)
    network = build_generator(name, norm=norm)
    for parameter in network.parameters():
        # Biases and the last layer too, which start at zero.
        nn.init.normal_(parameter, std=0.05)
    photo = torch.tensor([0.2, -0.3, 0.1]).view(1, 3, 1, 1).expand(1, 3, 32, 32)
    with torch.no_grad():
        out = network(photo)
    assert (out - photo).abs().max() > 1e-3
    # A hundredth of an 8-bit level: instance norm divides rounding by the root of its epsilon.
    assert (out.amax((2, 3)) - out.amin((2, 3))).max() < 8e-5


def test_transposed_convolutions_do_checkerboard() -> None:
    """The property above is not empty: the published upsampling fails it."""
    torch.manual_seed(0)
    network = Generator(replace(TINY, upsample="transposed", norm="none"))
    nn.init.normal_(network.head.weight, std=0.05)  # type: ignore[arg-type]
    with torch.no_grad():
        out = network(torch.full((1, 3, 32, 32), 0.2))
    assert (out.amax((2, 3)) - out.amin((2, 3))).max() > 1e-3


def test_without_norm_a_pixel_depends_on_its_neighbourhood_alone() -> None:
    torch.manual_seed(0)
    network = build_generator("tiny", norm="none")
    nn.init.normal_(network.head.weight, std=0.05)  # type: ignore[union-attr, arg-type]
    photo = pictures(1, 3, 16, 128)
    changed = photo.clone()
    changed[..., 96:] = 1.0
    with torch.no_grad():
        before, after = network(photo), network(changed)
    assert torch.equal(before[..., :48], after[..., :48])
    assert not torch.equal(before[..., 96:], after[..., 96:])


def test_autocast_does_not_round_the_photo() -> None:
    photo = pictures(1, 3, 16, 16)
    network = build_generator("tiny")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = network(photo)
    assert torch.equal(half, network(photo))
