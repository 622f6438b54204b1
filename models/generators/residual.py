"""The fast-style-transfer generator of most rows of the table (Johnson, Alahi, Fei-Fei: Perceptual Losses, ECCV 2016).

A stem at full resolution, two downsampling steps, residual blocks or shuffle units at a quarter of it, two upsampling
steps, a head. The head either paints the picture or, with `GeneratorSize.residual`, says how the photo is to be changed.

Pictures in and out: float NCHW RGB in [-1, 1], any H, W >= 1.
"""

from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn

from models.generators.shuffle_unit import DownsamplingShuffleUnit, ShuffleUnit
from models.layers import LEAKY_SLOPE, STRIDE, Norm, Padding, crop_like, leaky_clamp, make_norm, pad_to_stride, run_blocks


@dataclass(frozen=True)
class GeneratorSize:
    """The hyperparameters of one generator of this family."""

    width: int
    """Channels at full resolution; twice as many at 1/2, four times at 1/4."""
    blocks: int
    """Blocks at 1/4 of the resolution, of two 3x3 convolutions each."""
    kernel: int
    """Side of the first and last convolution, at full resolution."""
    scale_convs: int
    """3x3 convolutions in each down- and upsampling step; the first one changes resolution."""
    norm: Norm
    upsample: Literal["transposed", "bilinear", "nearest"]
    padding: Padding
    activation: Literal["relu", "leaky"]
    head: Literal["tanh", "linear"]
    """Output activation of a generator that is not `residual`; "linear" is clamped to [-1, 1] (see `leaky_clamp`)."""
    residual: bool = False
    """Predict a change of the photo: output = clamp(photo + 2 tanh(x / 2)), x = 0 at initialization."""
    skips: bool = False
    """Add the features of each downsampling step to those of the upsampling step of the same size (White-box, CVPR 2020)."""
    units: Literal["residual", "shuffle"] = "residual"
    """What blocks and scale steps are made of: convolutions, or shuffle units (see `models.generators.shuffle_unit`)."""


class Generator(nn.Module):
    """The network that a `GeneratorSize` describes.

    Convolutions in front of a norm keep their bias, though it has no effect there: the published parameter counts include it.
    """

    def __init__(self, size: GeneratorSize) -> None:
        super().__init__()
        self.size = size
        self.save_memory = False
        """Whether to recompute the blocks' activations in the backward pass instead of keeping them."""
        w = size.width
        self.stem = self._stage([self._conv(3, w, size.kernel)], w)
        self.down = nn.ModuleList(self._down(c, 2 * c) for c in (w, 2 * w))
        self.blocks = nn.Sequential(*(self._block(4 * w) for _ in range(size.blocks)))
        self.up = nn.ModuleList(self._up(c, c // 2) for c in (4 * w, 2 * w))
        self.finish = nn.ModuleList(self._finish(c) for c in (2 * w, w))
        self.head = self._conv(w, 3, size.kernel)
        self._initialize()

    def forward(self, photo: Tensor) -> Tensor:
        """N x 3 x H x W RGB in [-1, 1], any H and W >= 1, to the same shape, range and dtype."""
        x = self.stem(pad_to_stride(photo, STRIDE))
        skips = []
        for down in self.down:
            skips.append(x if self.size.skips else None)
            x = down(x)
        x = run_blocks(self.blocks, x, self.save_memory)
        for up, finish in zip(self.up, self.finish, strict=True):
            x, skip = up(x), skips.pop()
            x = finish(x if skip is None else x + skip)
        # Cast back to the photo's dtype: with bfloat16's eight bits of mantissa skies would show bands.
        x = crop_like(self.head(x), photo)
        if self.size.residual:
            return leaky_clamp(photo + 2.0 * torch.tanh(0.5 * x))
        return torch.tanh(x) if self.size.head == "tanh" else leaky_clamp(x)

    def _conv(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Module:
        return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, padding_mode=self.size.padding)

    def _activation(self) -> nn.Module:
        return nn.ReLU(inplace=True) if self.size.activation == "relu" else nn.LeakyReLU(LEAKY_SLOPE, inplace=True)

    def _norm(self, channels: int) -> nn.Module:
        return make_norm(self.size.norm, channels)

    def _stage(self, convs: list[nn.Module], channels: int) -> nn.Sequential:
        """Convolutions, then one norm and one activation: CartoonGAN has none between the two of a scale step."""
        return nn.Sequential(*convs, self._norm(channels), self._activation())

    def _down(self, inputs: int, outputs: int) -> nn.Module:
        if self.size.units == "shuffle":
            return DownsamplingShuffleUnit(inputs, outputs, self._norm)
        more = [self._conv(outputs, outputs) for _ in range(self.size.scale_convs - 1)]
        return self._stage([self._conv(inputs, outputs, stride=2), *more], outputs)

    def _block(self, channels: int) -> nn.Module:
        if self.size.units == "shuffle":
            return ShuffleUnit(channels, self._norm)
        first = self._stage([self._conv(channels, channels)], channels)
        return ResidualBlock(nn.Sequential(*first, self._conv(channels, channels), self._norm(channels)))

    def _up(self, inputs: int, outputs: int) -> nn.Sequential:
        if self.size.upsample == "transposed":
            first: list[nn.Module] = [nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)]
        else:
            resize = nn.Upsample(scale_factor=2.0, mode=self.size.upsample)
            if self.size.units == "shuffle":
                return nn.Sequential(resize, nn.Conv2d(inputs, outputs, 1), ShuffleUnit(outputs, self._norm))
            first = [resize, self._conv(inputs, outputs)]
        return nn.Sequential(*first, *(self._conv(outputs, outputs) for _ in range(self.size.scale_convs - 1)))

    def _finish(self, channels: int) -> nn.Sequential:
        """The norm and activation of an upsampling step, after the skip is added; shuffle units end with their own."""
        return nn.Sequential() if self.size.units == "shuffle" else self._stage([], channels)

    def _initialize(self) -> None:
        """He et al. 2015, normal, for the activation in use; the exceptions are written below."""
        slope = LEAKY_SLOPE if self.size.activation == "leaky" else 0.0
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                # For transposed ones He's fan is twice what a pixel sees, as inputs come first; the norm evens it out.
                nn.init.kaiming_normal_(module.weight, a=slope)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        head = cast(nn.Conv2d, self.head)
        with torch.no_grad():
            if self.size.norm == "none" and self.size.units == "residual":
                # Nothing else bounds the sum of the blocks: shrinking each keeps its variance within a factor of e.
                for block in self.blocks:
                    cast(nn.Conv2d, cast(ResidualBlock, block).body[-2]).weight.mul_(self.size.blocks**-0.5)
            if not self.size.residual:
                # No activation before the output: Glorot and Bengio 2010, so that it begins within (-1, 1).
                nn.init.xavier_normal_(head.weight)
                return
            nn.init.zeros_(head.weight)


class ResidualBlock(nn.Module):
    """x + body(x), without an activation after the sum (He et al. 2016, Gross and Wilber 2016)."""

    def __init__(self, body: nn.Sequential) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W to the same shape."""
        return x + cast(Tensor, self.body(x))
