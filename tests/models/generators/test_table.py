"""Every row of the table: published parameter counts, sizes, gradients; what may replace a row's numbers."""

import pytest
import torch
from torch import nn

from models.generators.table import GENERATORS, build_generator
from models.layers import make_norm
from tests.support.random_pictures import random_pictures as pictures


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("name", "millions", "digits"),
    [
        ("cartoongan", 11.13, 2),
        ("cartoongan-bilinear", 11.13, 2),
        ("japanimation", 11.13, 2),
        ("transformernet", 1.679, 3),
        ("animegan-v2", 2.144, 3),
        ("genga-xs", 0.105, 3),
        ("genga-s", 0.416, 3),
        ("genga-m", 2.55, 2),
    ],
)
def test_parameter_count_is_the_published_one(name: str, millions: float, digits: int) -> None:
    assert round(parameters(build_generator(name)) / 1e6, digits) == millions


def test_cartoongan_convolutions_are_those_of_the_paper() -> None:
    convs = [m for m in build_generator("cartoongan").modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    # (maps out, kernel, stride), in the paper's order; the module holds stem, halvings, blocks, doublings, head.
    pairs = [(128, 3, 2), (128, 3, 1), (256, 3, 2), (256, 3, 1)]
    doublings = [(128, 3, 2), (128, 3, 1), (64, 3, 2), (64, 3, 1)]
    expected = [(64, 7, 1), *pairs, *[(256, 3, 1)] * 16, *doublings, (3, 7, 1)]
    assert [(conv.out_channels, conv.kernel_size[0], conv.stride[0]) for conv in convs] == expected
    assert [type(conv) for conv in convs].count(nn.ConvTranspose2d) == 2


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (8, 9)])
def test_every_row_returns_the_size_and_range_it_got(name: str, size: tuple[int, int]) -> None:
    photo = pictures(2, 3, *size)
    out = build_generator(name)(photo)
    assert out.shape == photo.shape
    assert out.dtype == photo.dtype
    assert out.abs().max() <= 1


@pytest.mark.parametrize("name", ["genga-s", "animegan-v2", "mnicnc404-light", "vgg19-decoder"])
@torch.no_grad()
def test_large_odd_size_comes_back_in_channels_last(name: str) -> None:
    """One row of each class, and of each kind of block."""
    photo = pictures(1, 3, 255, 257).to(memory_format=torch.channels_last)
    network = build_generator(name).to(memory_format=torch.channels_last)
    assert network(photo).shape == photo.shape


@pytest.mark.parametrize("name", ["cartoongan", "japanimation", "transformernet", "mnicnc404-light", "animegan-v2"])
def test_gradients_reach_every_weight_of_published_rows(name: str) -> None:
    torch.manual_seed(0)
    network = build_generator(name)
    network(pictures(1, 3, 16, 16)).square().mean().backward()
    weights = [p for p in network.parameters() if p.ndim == 4]
    assert len(weights) > 10
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in weights)


def test_a_named_norm_replaces_the_row_s() -> None:
    network = build_generator("tiny", norm="batch")
    assert sum(isinstance(m, nn.BatchNorm2d) for m in network.modules()) == 7
    assert not any(isinstance(m, nn.BatchNorm2d) for m in build_generator("tiny").modules())


def test_unknown_names_list_the_known() -> None:
    with pytest.raises(ValueError, match=r"unknown generator 'nope'.*cartoongan.*genga-s"):
        build_generator("nope")
    with pytest.raises(ValueError, match=r"unknown norm 'nope'.*batch.*none"):
        build_generator("tiny", norm="nope")
    with pytest.raises(ValueError, match="unknown norm"):
        make_norm("spectral", 4)  # type: ignore[arg-type]
