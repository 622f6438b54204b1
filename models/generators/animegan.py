"""The generator of AnimeGANv2 (Chen, Liu, Chen 2020): inverted residual blocks, layer norm, resizing and convolution.

Pictures in and out: float NCHW RGB in [-1, 1], any H, W >= 1.
"""

import itertools
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from models.layers import LEAKY_SLOPE, STRIDE, Norm, checkpointed, make_norm, pad_to_stride


@dataclass(frozen=True)
class AnimeGanSize:
    """The numbers of one generator of AnimeGAN's kind."""

    width: int
    """Maps at full resolution; twice as many at 1/2, four times at 1/4, eight times between its blocks."""
    blocks: int
    """Inverted residual blocks, at 1/4 of the resolution."""
    expansion: int
    """By how much a block widens its input before it looks at each map by itself."""
    norm: Norm


class AnimeGan(nn.Module):
    """The network, built from its numbers. As published, convolutions have no bias but those of single maps."""

    stride = STRIDE
    """What sides of a padded photo are multiples of."""

    def __init__(self, size: AnimeGanSize) -> None:
        super().__init__()
        self.size = size
        self.save_memory = False
        """Whether activations within blocks are made anew for the backward pass instead of being kept."""
        w = size.width
        self.down = nn.Sequential(
            self._stage(3, w, 7),
            self._halving(w, 2 * w),
            self._stage(2 * w, 2 * w),
            self._halving(2 * w, 4 * w),
            self._stage(4 * w, 4 * w),
            self._stage(4 * w, 4 * w),
        )
        widths = [4 * w, *[8 * w] * size.blocks]
        self.blocks = nn.Sequential(*(Inverted(i, o, size) for i, o in itertools.pairwise(widths)))
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
        self._initialise()

    def forward(self, photo: Tensor) -> Tensor:
        """N x 3 x H x W RGB in [-1, 1], any H and W >= 1, to the same shape, range and dtype."""
        height, width = photo.shape[-2:]
        return self.paint(pad_to_stride(photo, self.stride))[..., :height, :width]

    def paint(self, photo: Tensor) -> Tensor:
        """As `forward`, of a photo whose sides are multiples of `stride`."""
        x = self.down(photo)
        for block in self.blocks:
            x = checkpointed(block, x) if self.save_memory and torch.is_grad_enabled() else block(x)
        return torch.tanh(self.head(self.up(x)).to(photo.dtype))

    def _stage(self, inputs: int, outputs: int, kernel: int = 3) -> nn.Sequential:
        return _stage(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, padding_mode="reflect", bias=False), self.size)

    def _halving(self, inputs: int, outputs: int) -> nn.Sequential:
        """One pixel more at the bottom and at the right, as published; the picture's other two sides need none."""
        return nn.Sequential(nn.ReflectionPad2d((0, 1, 0, 1)), *_stage(nn.Conv2d(inputs, outputs, 3, 2, bias=False), self.size))

    def _initialise(self) -> None:
        """He et al. 2015, normal; the head, before tanh, Glorot and Bengio 2010."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=LEAKY_SLOPE)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.xavier_normal_(self.head.weight)


class Inverted(nn.Module):
    """Widen, look at each map by itself, narrow (Sandler et al. 2018); with a shortcut where the widths allow it."""

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
        made = cast(Tensor, self.body(x))
        return x + made if self.shortcut else made


def _stage(conv: nn.Conv2d, size: AnimeGanSize) -> nn.Sequential:
    return nn.Sequential(conv, make_norm(size.norm, conv.out_channels), nn.LeakyReLU(LEAKY_SLOPE, inplace=True))
