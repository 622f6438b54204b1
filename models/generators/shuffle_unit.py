"""ShuffleNetV2 units: half of the channels pass through a cheap three-part convolution, then all channels are shuffled.

Ma, Zhang, Zheng, Sun: ShuffleNet V2, ECCV 2018, figure 3 (c) and (d). The light generator of the CartoonGAN walkthrough of
2020 (mnicnc404) is made of them. Convolutions in front of a norm have no bias.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

MakeNorm = Callable[[int], nn.Module]


def shuffle_channels(x: Tensor) -> Tensor:
    """Interleave the two halves of the channels of N x 2C x H x W, so that the next unit sees some of each."""
    n, channels, height, width = x.shape
    return x.reshape(n, 2, channels // 2, height, width).transpose(1, 2).reshape(n, channels, height, width)


class ShuffleUnit(nn.Module):
    """Pass half of the channels through 1x1, depthwise 3x3 and 1x1 convolutions, keep the others; C must be even."""

    def __init__(self, channels: int, norm: MakeNorm) -> None:
        super().__init__()
        half = channels // 2
        self.kept = half
        self.body = nn.Sequential(*_pointwise(half, half, norm), *_depthwise(half, 1, norm), *_pointwise(half, half, norm))

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W to the same shape."""
        return shuffle_channels(torch.cat([x[:, : self.kept], self.body(x[:, self.kept :])], 1))


class DownsamplingShuffleUnit(nn.Module):
    """Pass all channels through two branches, each of which halves the resolution."""

    def __init__(self, inputs: int, outputs: int, norm: MakeNorm) -> None:
        super().__init__()
        half = outputs // 2
        self.branch1 = nn.Sequential(*_depthwise(inputs, 2, norm), nn.Conv2d(inputs, half, 1, bias=False))
        self.branch2 = nn.Sequential(
            *_pointwise(inputs, half, norm), *_depthwise(half, 2, norm), nn.Conv2d(half, half, 1, bias=False)
        )
        self.finish = nn.Sequential(norm(outputs), nn.ReLU(True))

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W to N x `outputs` x ceil(H/2) x ceil(W/2)."""
        return shuffle_channels(self.finish(torch.cat([self.branch1(x), self.branch2(x)], 1)))


def _pointwise(inputs: int, outputs: int, norm: MakeNorm) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 1, bias=False), norm(outputs), nn.ReLU(True)]


def _depthwise(channels: int, stride: int, norm: MakeNorm) -> list[nn.Module]:
    """A 3x3 convolution of each channel by itself, and a norm."""
    return [nn.Conv2d(channels, channels, 3, stride, padding=1, groups=channels, bias=False), norm(channels)]
