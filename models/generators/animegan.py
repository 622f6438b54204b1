"""The generator of AnimeGANv2 (Chen, Liu, Chen 2020): inverted residual blocks, layer norm, resizing plus convolution.

Pictures in and out: float NCHW RGB in [-1, 1], any H, W >= 1.
"""

import itertools
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from models.layers import LEAKY_SLOPE, STRIDE, Norm, crop_like, make_norm, pad_to_stride, run_blocks


@dataclass(frozen=True)
class AnimeGanSize:
    """The hyperparameters of one generator of AnimeGAN's kind."""

    width: int
    """Channels at full resolution; twice as many at 1/2, four times at 1/4, eight times between the blocks."""
    blocks: int
    """Inverted residual blocks, at 1/4 of the resolution."""
    expansion: int
    """Factor by which a block widens its input before the depthwise convolution."""
    norm: Norm


class AnimeGan(nn.Module):
    """The network that an `AnimeGanSize` describes. As published, only depthwise convolutions have a bias."""

    def __init__(self, size: AnimeGanSize) -> None:
        super().__init__()
        self.size = size
        self.save_memory = False
        """Whether to recompute the blocks' activations in the backward pass instead of keeping them."""
        w = size.width
        self.down = nn.Sequential(
            self._stage(3, w, 7),
            self._downsample(w, 2 * w),
            self._stage(2 * w, 2 * w),
            self._downsample(2 * w, 4 * w),
            self._stage(4 * w, 4 * w),
            self._stage(4 * w, 4 * w),
        )
        widths = [4 * w, *[8 * w] * size.blocks]
        self.blocks = nn.Sequential(*(InvertedResidual(i, o, size) for i, o in itertools.pairwise(widths)))
        self.up = nn.Sequential(
            self._stage(widths[-1], 4 * w),
            nn.Upsample(scale_factor=2.0, mode="bilinear"),
            self._stage(4 * w, 4 * w),
            self._stage(4 * w, 4 * w),
            nn.Upsample(scale_factor=2.0, mode="bilinear"),
            self._stage(4 * w, 2 * w),
            self._stage(2 * w, 2 * w),
            self._stage(2 * w, w, 7),
        )
        self.head = nn.Conv2d(w, 3, 1, bias=False)
        self._initialize()

    def forward(self, photo: Tensor) -> Tensor:
        """N x 3 x H x W RGB in [-1, 1], any H and W >= 1, to the same shape, range and dtype."""
        x = run_blocks(self.blocks, self.down(pad_to_stride(photo, STRIDE)), self.save_memory)
        return torch.tanh(crop_like(self.head(self.up(x)), photo))

    def _stage(self, inputs: int, outputs: int, kernel: int = 3) -> nn.Sequential:
        return _stage(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, padding_mode="reflect", bias=False), self.size)

    def _downsample(self, inputs: int, outputs: int) -> nn.Sequential:
        """A stage of stride 2, padded at the bottom and at the right only, as published."""
        return nn.Sequential(nn.ReflectionPad2d((0, 1, 0, 1)), *_stage(nn.Conv2d(inputs, outputs, 3, 2, bias=False), self.size))

    def _initialize(self) -> None:
        """He et al. 2015, normal; the head, before tanh, Glorot and Bengio 2010."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=LEAKY_SLOPE)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.xavier_normal_(self.head.weight)


class InvertedResidual(nn.Module):
    """Widen by 1x1, convolve each channel by itself, narrow by 1x1 (Sandler et al. 2018); add the input where widths allow."""

    def __init__(self, inputs: int, outputs: int, size: AnimeGanSize) -> None:
        super().__init__()
        wide = size.expansion * inputs
        self.shortcut = inputs == outputs
        self.body = nn.Sequential(
            *_stage(nn.Conv2d(inputs, wide, 1, bias=False), size),
            *_stage(nn.Conv2d(wide, wide, 3, padding=1, padding_mode="reflect", groups=wide), size),
            nn.Conv2d(wide, outputs, 1, bias=False),
            make_norm(size.norm, outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        """N x `inputs` x H x W to N x `outputs` x H x W."""
        out = cast(Tensor, self.body(x))
        return x + out if self.shortcut else out


def _stage(conv: nn.Conv2d, size: AnimeGanSize) -> nn.Sequential:
    return nn.Sequential(conv, make_norm(size.norm, conv.out_channels), nn.LeakyReLU(LEAKY_SLOPE, inplace=True))
