"""The learned color transform: the identity at first, then the film's colors."""

import numpy as np
import pytest
import torch

from models.generators.residual import Generator
from models.generators.table import TINY
from models.ops.color_transform import ColorTransform
from pipeline.filters import color_transfer
from pipeline.media import tensors
from tests.conftest import scene


def picture_of(seed: int) -> torch.Tensor:
    return tensors.from_pixels(torch.from_numpy(scene(seed, 40, 32))[None])


def test_at_first_nothing_changes() -> None:
    assert torch.equal(ColorTransform()(picture_of(1)), picture_of(1))


def test_it_is_a_polynomial_of_degree_two() -> None:
    torch.manual_seed(0)
    transform = ColorTransform()
    with torch.no_grad():
        for parameter in transform.parameters():
            parameter.normal_()
    picture = picture_of(2)
    red, green, blue = (picture[0, channel].double().numpy() for channel in range(3))
    terms = np.stack([red, green, blue, red**2, green**2, blue**2, red * blue, green * red, blue * green])
    weight, bias = (parameter.detach().double().numpy() for parameter in (transform.weight, transform.bias))
    expected = picture[0].numpy() + np.tensordot(weight, terms, 1) + bias[:, None, None]
    assert transform(picture)[0].detach().numpy() == pytest.approx(expected, abs=1e-5)


def test_a_few_hundred_steps_bring_the_films_palette() -> None:
    wanted = color_transfer.ColorTransform(gamma=0.8, chroma_scale=1.2, tint=(0.0, 5.0))
    photos = torch.cat([picture_of(seed) for seed in range(4)])
    film = torch.cat(
        [
            tensors.from_pixels(torch.from_numpy(color_transfer.apply_transform(scene(seed, 40, 32), wanted))[None])
            for seed in range(4)
        ]
    )
    transform = ColorTransform()
    optimiser = torch.optim.Adam(transform.parameters(), 0.003)
    for _ in range(300):
        optimiser.zero_grad()
        (transform(photos) - film).abs().mean().backward()
        optimiser.step()
    before, after = ((one - film).abs().mean() for one in (photos, transform(photos)))
    assert after < 0.15 * before


def test_autocast_leaves_it_its_mantissa() -> None:
    network = Generator(TINY)
    assert isinstance(network.color_transform, ColorTransform)
    torch.nn.init.constant_(network.color_transform.weight, 0.01)
    whole = network.color_transform(picture_of(3))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(network.color_transform(picture_of(3)), whole)
