"""Tracing a forward pass: every row of the table is supported, what is not is named, and memory is estimated."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from models.generators.residual import Generator, GeneratorSize
from models.generators.table import GENERATORS, build_generator
from models.streaming.graph import UnsupportedOperation, bytes_per_pixel, nodes_at, trace


@pytest.mark.parametrize("name", GENERATORS)
def test_every_row_is_traced_and_its_shapes_are_known(name: str) -> None:
    size, networks = GENERATORS[name], [build_generator(name)]
    if isinstance(size, GeneratorSize):
        networks.append(Generator(replace(size, skips=not size.skips)))
    for network in networks:
        nodes = nodes_at(trace(network.eval()), 37, 50)
        assert nodes[0].shape == nodes[-1].shape == (3, 37, 50)
        assert len(nodes) > 20 and all(node.users for node in nodes[:-1])


def test_shapes_are_those_of_the_modules() -> None:
    network = build_generator("animegan-v2").eval()
    shapes: list[tuple[int, ...]] = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.GroupNorm | nn.LeakyReLU | nn.Upsample | nn.ReflectionPad2d):
            module.register_forward_hook(lambda _, given, out: shapes.append(tuple(out.shape[1:])))
    with torch.no_grad():
        network(torch.zeros(1, 3, 21, 10))
    traced = [tuple(node.shape) for node in nodes_at(trace(network), 21, 10)]
    assert len(shapes) > 60 and set(shapes) <= set(traced)


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + 1 if x.mean() > 0 else x


class Rolling(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.roll(x, 1, 2)


def test_what_cannot_be_streamed_is_refused() -> None:
    with pytest.raises(UnsupportedOperation, match="cannot be traced"):
        trace(Branching())
    with pytest.raises(UnsupportedOperation, match="no row-wise roll"):
        nodes_at(trace(Rolling()), 8, 8)


class _CountsPictures(nn.Module):
    def forward(self, photo: Tensor) -> Tensor:
        return photo * len(photo)


def test_a_pass_that_asks_python_for_the_batch_size_is_refused() -> None:
    with pytest.raises(UnsupportedOperation, match="len"):
        trace(_CountsPictures())


@pytest.mark.parametrize(
    ("name", "measured"),
    [("genga-xs", 359), ("genga-s", 801), ("genga-m", 1620), ("animegan-v2", 2850), ("vgg16-decoder", 780)],
)
def test_memory_is_estimated_from_the_graph(name: str, measured: float) -> None:
    assert 0.8 * measured < bytes_per_pixel(trace(build_generator(name).eval())) < 2 * measured
