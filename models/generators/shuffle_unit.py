"""Shuffle units: a convolution in three cheap parts on half of the maps, then the halves are dealt like cards.

Ma, Zhang, Zheng, Sun: ShuffleNet V2, ECCV 2018, figure 3 (c) and (d). The light generator of the CartoonGAN walkthrough of
2020 (mnicnc404) is made of them. Convolutions in front of a norm are without bias.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

Norm = Callable[[int], nn.Module]


def deal(x: Tensor) -> Tensor:
    """N x 2C x H x W: the maps of the two halves in turns, so that the next unit sees some of each."""
    n, maps, height, width = x.shape
    return x.reshape(n, 2, maps // 2, height, width).transpose(1, 2).reshape(n, maps, height, width)


class ShuffleUnit(nn.Module):
    """Half of the maps goes through 1x1, 3x3 of each map, 1x1; the other half as it is. N x C x H x W to the same, C even."""

    def __init__(self, maps: int, norm: Norm) -> None:
        super().__init__()
        half = maps // 2
        self.body = nn.Sequential(
            *_point(half, half, norm), *_each(half, 1, norm), nn.Conv2d(half, half, 1, bias=False), norm(half), nn.ReLU(True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W to the same shape."""
        stays, goes = x.chunk(2, 1)
        return deal(torch.cat([stays, self.body(goes)], 1))


class HalvingShuffleUnit(nn.Module):
    """All maps go both ways, each of which halves the resolution. N x C x H x W to N x `outputs` x ceil(H/2) x ceil(W/2)."""

    def __init__(self, inputs: int, outputs: int, norm: Norm) -> None:
        super().__init__()
        half = outputs // 2
        self.one = nn.Sequential(*_each(inputs, 2, norm), nn.Conv2d(inputs, half, 1, bias=False))
        self.other = nn.Sequential(*_point(inputs, half, norm), *_each(half, 2, norm), nn.Conv2d(half, half, 1, bias=False))
        self.finish = nn.Sequential(norm(outputs), nn.ReLU(True))

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W to N x `outputs` x ceil(H/2) x ceil(W/2)."""
        return deal(self.finish(torch.cat([self.one(x), self.other(x)], 1)))


def _point(inputs: int, outputs: int, norm: Norm) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 1, bias=False), norm(outputs), nn.ReLU(True)]


def _each(maps: int, stride: int, norm: Norm) -> list[nn.Module]:
    """A 3x3 convolution of each map by itself."""
    return [nn.Conv2d(maps, maps, 3, stride, padding=1, groups=maps, bias=False), norm(maps)]
