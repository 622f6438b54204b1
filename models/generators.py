"""Photo-to-anime generators: one class, and a table of named sizes that cite their paper.

All of them are the fast-style-transfer shape (Johnson, Alahi, Fei-Fei 2016): a stem at full resolution, two halvings,
residual blocks at a quarter of it, two doublings, a head.

Pictures in and out: float NCHW RGB in [-1, 1], any H, W >= 1.
"""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from models.fill import fill
from models.ink import draw
from models.running import still

Norm = Literal["batch", "instance", "layer", "group", "none"]
Padding = Literal["zeros", "reflect"]

LEAKY_SLOPE = 0.2
GROUPS = 32
CLAMP_LEAK = 0.1
STRIDE = 4
PRICES = 2  # maps that a fill takes: the price of a boundary to the right, and below
# Two pixels at a quarter of the resolution: instance norm refuses a single one, and reflect padding needs a neighbour.
MIN_SIDE = 8


@dataclass(frozen=True)
class GeneratorSize:
    """The numbers of one generator of the CartoonGAN family."""

    width: int
    """Maps at full resolution; twice as many at 1/2, four times at 1/4."""
    blocks: int
    """Residual blocks of two 3x3 convolutions, at 1/4 of the resolution."""
    kernel: int
    """Side of the first and last convolution, at full resolution."""
    scale_convs: int
    """3x3 convolutions at each halving and doubling; the first one changes resolution."""
    norm: Norm
    upsample: Literal["transposed", "bilinear", "nearest"]
    padding: Padding
    activation: Literal["relu", "leaky"]
    head: Literal["tanh", "linear"]
    """What ends a generator that paints the picture anew; a linear one is clamped to [-1, 1] (see `leaky_clamp`)."""
    residual: bool = False
    """The network paints the change: output = clamp(photo + 2 tanh(x / 2)), x = 0 at first; the photo after its fills."""
    skips: bool = False
    """The maps of each halving are added to those of the doubling of the same size (White-box, CVPR 2020)."""
    fills: int = 0
    """Times that the photo's colours run (see `models.fill`) before the change is painted; the network sets the boundaries."""
    ink: bool = False
    """Lines are drawn (see `models.ink`) between fills and change; the network sets the pressure."""


_CARTOONGAN = GeneratorSize(
    width=64,
    blocks=8,
    kernel=7,
    scale_convs=2,
    norm="batch",
    upsample="transposed",
    padding="zeros",
    activation="relu",
    head="tanh",
)

# Ours start from the photo and paint the change, so that minutes of training show a picture and not a blur. Fills make
# the areas flat, which convolutions alone learn slowly (docs/log.md), and ink gives them outlines. What is fine in the
# photo has to reach full resolution again, hence the skips. Resizing plus convolution and reflect padding turn a flat
# colour into a flat colour: no checkerboard, no frame, by construction (Odena, Dumoulin, Olah 2016). Instance norm is
# for speed of learning: set to copy a bilateral filter with ink lines, it had closed 8 % of the distance after 100
# steps; without norm, with layer norm, or without skips, 1 %. The price: a pixel depends on the whole picture, so tiles
# do not join without seams; with norm "none" they do.
_GENGA_S = GeneratorSize(
    width=16,
    blocks=5,
    kernel=3,
    scale_convs=1,
    norm="instance",
    upsample="bilinear",
    padding="reflect",
    activation="leaky",
    head="linear",
    residual=True,
    skips=True,
    fills=4,
    ink=True,
)

GENERATORS: dict[str, GeneratorSize] = {
    # Chen, Lai, Liu: CartoonGAN, CVPR 2018. 11.13 M parameters.
    "cartoongan": _CARTOONGAN,
    # The same with resizing and convolution in place of transposed convolution, as re-implementations of 2020 do.
    "cartoongan-bilinear": replace(_CARTOONGAN, upsample="bilinear", padding="reflect"),
    # Johnson, Alahi, Fei-Fei: Perceptual losses, ECCV 2016, with resizing and instance norm (Ulyanov 2016). 1.679 M.
    "transformernet": GeneratorSize(
        width=32,
        blocks=5,
        kernel=9,
        scale_convs=1,
        norm="instance",
        upsample="nearest",
        padding="reflect",
        activation="relu",
        head="linear",
    ),
    # Ours, for two CPU cores: 0.42 M.
    "genga-s": _GENGA_S,
    # Ours, for a GPU: 2.56 M.
    "genga-m": replace(_GENGA_S, width=32, blocks=8),
    # For tests: every part of the family in a few thousand parameters.
    "tiny": replace(_GENGA_S, width=4, blocks=1),
}


def leaky_clamp(x: Tensor) -> Tensor:
    """Clamp to [-1, 1], exactly, with a tenth of the gradient outside (any shape, any float dtype).

    A hard clamp has none there: a pixel once pushed past white could not learn its way back. A tanh of the sum would
    bend every colour of the photo, and be almost flat in skies and ink, where anime needs it most.
    """
    clamped = x.clamp(-1.0, 1.0)
    if not torch.is_grad_enabled():
        return clamped  # One operation in what is exported.
    # Gradients by hand, x - x being nothing but one: torch's releases disagree on clamp's at exactly 1, which is where
    # a residual generator finds the whites and blacks of the photo.
    gradient = torch.where(x.detach().abs() <= 1.0, 1.0, CLAMP_LEAK)
    return clamped.detach() + gradient * (x - x.detach())


def make_norm(norm: Norm, channels: int) -> nn.Module:
    """Affine normalisation of N x `channels` x H x W; "layer" is over C, H and W together (Ba, Kiros, Hinton 2016).

    "group" is the same in 32 groups of channels (Wu and He 2018), or as many as divide both.
    """
    makers: dict[Norm, Callable[[], nn.Module]] = {
        "batch": lambda: nn.BatchNorm2d(channels),
        "instance": lambda: nn.InstanceNorm2d(channels, affine=True),
        "layer": lambda: nn.GroupNorm(1, channels),
        "group": lambda: nn.GroupNorm(math.gcd(GROUPS, channels), channels),
        "none": nn.Identity,
    }
    if norm not in makers:
        raise ValueError(f"unknown norm {norm!r}: expected one of {', '.join(makers)}")
    return makers[norm]()


def padding_of(height: int, width: int) -> tuple[int, int]:
    """Rows and columns that `pad_to_stride` adds to H x W."""
    return max(-height % STRIDE, MIN_SIDE - height), max(-width % STRIDE, MIN_SIDE - width)


def pad_to_stride(x: Tensor) -> Tensor:
    """Extend N x C x H x W at the right and at the bottom to multiples of 4, at least 8.

    By reflection; a side too short to be reflected repeats its last row or column instead.
    """
    height, width = x.shape[-2:]
    down, right = padding_of(height, width)
    if right:
        x = F.pad(x, (0, right, 0, 0), mode="reflect" if right < width else "replicate")
    if down:
        x = F.pad(x, (0, 0, 0, down), mode="reflect" if down < height else "replicate")
    return x


class Generator(nn.Module):
    """The family's network, built from its numbers.

    Convolutions keep their bias in front of a norm, where it is idle: the published parameter counts include it.
    """

    def __init__(self, size: GeneratorSize) -> None:
        super().__init__()
        self.size = size
        self.save_memory = False
        """Whether activations within blocks are made anew for the backward pass instead of being kept."""
        w = size.width
        self.stem = self._stage([self._conv(3, w, size.kernel)], w)
        self.down = nn.ModuleList(self._down(c, 2 * c) for c in (w, 2 * w))
        self.blocks = nn.Sequential(*(self._block(4 * w) for _ in range(size.blocks)))
        self.up = nn.ModuleList(self._up(c, c // 2) for c in (4 * w, 2 * w))
        self.finish = nn.ModuleList(self._finish(c) for c in (2 * w, w))
        self.head = self._conv(w, 3 + PRICES * size.fills + size.ink, size.kernel)
        self._initialise()

    def forward(self, photo: Tensor) -> Tensor:
        """N x 3 x H x W RGB in [-1, 1], any H and W >= 1, to the same shape, range and dtype."""
        height, width = photo.shape[-2:]
        x = self.stem(pad_to_stride(photo))
        full = x
        half = x = self.down[0](x)
        x = self.down[1](x)
        for block in self.blocks:
            x = _made_anew(block, x) if self.save_memory and torch.is_grad_enabled() else block(x)
        for up, finish, skip in zip(self.up, self.finish, (half, full), strict=True):
            x = up(x)
            x = finish(x + skip if self.size.skips else x)
        # Autocast leaves here: eight bits of mantissa would posterise skies.
        x = self.head(x)[..., :height, :width].to(photo.dtype)
        if self.size.residual:
            x, prices, pressure = x.split([3, PRICES * self.size.fills, int(self.size.ink)], dim=1)
            for one in prices.split(PRICES, dim=1) if self.size.fills else ():
                photo = fill(photo, one)
            if self.size.ink:
                photo = draw(photo, pressure)
            return leaky_clamp(photo + 2.0 * torch.tanh(0.5 * x))
        x = x[:, :3]
        return torch.tanh(x) if self.size.head == "tanh" else leaky_clamp(x)

    def _conv(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Module:
        return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, padding_mode=self.size.padding)

    def _activation(self) -> nn.Module:
        return nn.ReLU(inplace=True) if self.size.activation == "relu" else nn.LeakyReLU(LEAKY_SLOPE, inplace=True)

    def _stage(self, convs: list[nn.Module], channels: int) -> nn.Sequential:
        """Convolutions, then one norm and one activation: CartoonGAN has none between the two of a pair."""
        return nn.Sequential(*convs, make_norm(self.size.norm, channels), self._activation())

    def _down(self, inputs: int, outputs: int) -> nn.Sequential:
        more = [self._conv(outputs, outputs) for _ in range(self.size.scale_convs - 1)]
        return self._stage([self._conv(inputs, outputs, stride=2), *more], outputs)

    def _block(self, channels: int) -> nn.Module:
        norm = self.size.norm
        first = self._stage([self._conv(channels, channels)], channels)
        return _Residual(nn.Sequential(*first, self._conv(channels, channels), make_norm(norm, channels)))

    def _up(self, inputs: int, outputs: int) -> nn.Sequential:
        first: list[nn.Module]
        if self.size.upsample == "transposed":
            first = [nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)]
        else:
            first = [nn.Upsample(scale_factor=2.0, mode=self.size.upsample), self._conv(inputs, outputs)]
        return nn.Sequential(*first, *(self._conv(outputs, outputs) for _ in range(self.size.scale_convs - 1)))

    def _finish(self, channels: int) -> nn.Sequential:
        """The norm and activation of a doubling, which follow the skip's addition."""
        return nn.Sequential(make_norm(self.size.norm, channels), self._activation())

    def _initialise(self) -> None:
        """He et al. 2015, normal, for the activation in use; the exceptions are written below."""
        slope = LEAKY_SLOPE if self.size.activation == "leaky" else 0.0
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                # Transposed ones keep inputs first, so He counts twice the fan that a pixel sees; the norm mends it.
                nn.init.kaiming_normal_(module.weight, a=slope)
                nn.init.zeros_(cast(Tensor, module.bias))
        with torch.no_grad():
            if self.size.norm == "none":
                # Nothing else bounds the sum of the blocks: shrinking each keeps its variance within a factor of e.
                for block in self.blocks:
                    cast(nn.Conv2d, cast(_Residual, block).body[-2]).weight.mul_(self.size.blocks**-0.5)
            head = cast(nn.Conv2d, self.head)
            if self.size.residual:
                nn.init.zeros_(head.weight)
            else:
                # No activation before the output: Glorot and Bengio 2010, so that it begins within (-1, 1).
                nn.init.xavier_normal_(head.weight)


class _Residual(nn.Module):
    """x + body(x), no activation after the sum (He et al. 2016, Gross and Wilber 2016)."""

    def __init__(self, body: nn.Sequential) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        """Any N x C x H x W to the same shape."""
        return x + cast(Tensor, self.body(x))


def _made_anew(block: nn.Module, x: Tensor) -> Tensor:
    """What a block makes of x; only x is kept for the backward pass, which does the rest again."""

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), still(block)

    return cast(Tensor, checkpoint(block, x, use_reentrant=False, context_fn=contexts))


def build_generator(name: str, *, norm: str | None = None) -> nn.Module:
    """The generator of that row of `GENERATORS`, freshly initialised, with another norm if one is given."""
    if name not in GENERATORS:
        raise ValueError(f"unknown generator {name!r}: expected one of {', '.join(GENERATORS)}")
    size = GENERATORS[name]
    return Generator(size if norm is None else replace(size, norm=cast(Norm, norm)))
