"""Photo-to-anime generators: a table of named sizes that cite their paper, and the class that most of them are.

Most are the fast-style-transfer shape (Johnson, Alahi, Fei-Fei 2016): a stem at full resolution, two halvings,
blocks at a quarter of it, two doublings, a head. AnimeGAN's and the decoder of VGG features are classes of their own.

Pictures in and out: float NCHW RGB in [-1, 1], any H, W >= 1.
"""

from dataclasses import dataclass, replace
from typing import Literal, cast

import torch
from torch import Tensor, nn

from models.generators.animegan import AnimeGan, AnimeGanSize
from models.generators.shuffle_unit import HalvingShuffleUnit, ShuffleUnit
from models.generators.vgg_decoder import DecoderSize, VggDecoder
from models.layers import LEAKY_SLOPE, Norm, Padding, checkpointed, leaky_clamp, make_norm, pad_to_stride
from models.ops.color_transform import ColorTransform
from models.ops.domain_transform import fill
from models.ops.kuwahara import brush
from models.ops.xdog import PENS, draw

FINE_PEN = -2.0  # pressure of the photo's pen at first: an eighth
PRICES = 2  # maps that a fill takes: the price of a boundary to the right, and below


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
    """The network paints the change: output = clamp(photo + 2 tanh(x / 2)), x = 0 at first; of the photo after what follows."""
    skips: bool = False
    """The maps of each halving are added to those of the doubling of the same size (White-box, CVPR 2020)."""
    brush: bool = False
    """Strokes are laid over the photo first (see `models.ops.kuwahara`); the network sets where."""
    fills: int = 0
    """Times that the photo's colours run (see `models.ops.domain_transform`) before the change is painted; the network sets the boundaries."""
    units: Literal["residual", "shuffle"] = "residual"
    """What blocks, halvings and doublings are made of: convolutions, or shuffle units (see `models.generators.shuffle_unit`)."""
    grade: bool = False
    """Colors are changed as a whole (see `models.ops.color_transform`) after the fills, before ink."""
    ink: bool = False
    """Lines are drawn (see `models.ops.xdog`) between fills and change; the network sets the pressure of both pens."""


CARTOONGAN = GeneratorSize(
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

# Ours start from the photo and paint the change, so that minutes of training show a picture and not a blur. A brush takes
# texture away and fills make areas flat, which convolutions alone learn slowly (docs/log.md), a grade gives them the film's
# palette, and ink outlines.
# What is fine in the photo has to reach full resolution again, hence the skips. Resizing plus convolution and reflect padding
# turn a flat colour into a flat colour: no checkerboard, no frame, by construction (Odena, Dumoulin, Olah 2016). Instance
# norm is for speed of learning: set to copy a bilateral filter with ink lines, it had closed 8 % of the distance after 100
# steps; without norm, with layer norm, or without skips, 1 %. The price: a pixel depends on the whole picture, so large
# pictures are not cut into tiles but worked through in strips that share statistics (models/streaming/strips.py).
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
    brush=True,
    fills=2,
    grade=True,
    ink=True,
)

TINY = replace(_GENGA_S, width=4, blocks=1)

_VGG_DECODER = DecoderSize(encoder="vgg16", maps=(512, 256, 128, 64, 3))

GENERATORS: dict[str, GeneratorSize | AnimeGanSize | DecoderSize] = {
    # Chen, Lai, Liu: CartoonGAN, CVPR 2018. 11.13 M parameters.
    "cartoongan": CARTOONGAN,
    # The same with resizing and convolution in place of transposed convolution, as the walkthrough of 2020 (mnicnc404) has it.
    "cartoongan-bilinear": replace(CARTOONGAN, upsample="bilinear", padding="reflect"),
    # Its light generator: half as wide again, of shuffle units. 0.84 M.
    "mnicnc404-light": replace(
        CARTOONGAN, width=96, kernel=5, upsample="bilinear", padding="reflect", units="shuffle", norm="instance"
    ),
    # JapananimeGAN (2022), as its code has it: leaky, instance norm, no tanh (its [0, 1] is our [-1, 1]).
    "japanimation": replace(CARTOONGAN, norm="instance", activation="leaky", head="linear"),
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
    # Chen, Liu, Chen: AnimeGANv2, 2020. 2.144 M.
    "animegan-v2": AnimeGanSize(width=32, blocks=4, expansion=2, norm="layer"),
    # The VGG decoder of 2024, mended: 1.55 M learn, 7.6 M of VGG16 do not. The same on VGG19, whose weights need no download.
    "vgg16-decoder": _VGG_DECODER,
    "vgg19-decoder": replace(_VGG_DECODER, encoder="vgg19"),
    # Ours, for two CPU cores: 0.42 M.
    "genga-s": _GENGA_S,
    # Ours, for a GPU: 2.55 M.
    "genga-m": replace(_GENGA_S, width=32, blocks=8),
    # Ours, to be taught by a larger one (recipes/distill.yaml), for phones and films on a laptop: 0.11 M.
    "genga-xs": replace(_GENGA_S, width=8, fills=1),
    # For tests: every part of the family in a few thousand parameters.
    "tiny": TINY,
}


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
        self.head = self._conv(w, 3 + size.brush + PRICES * size.fills + PENS * size.ink, size.kernel)
        self.grade = ColorTransform() if size.grade and size.residual else nn.Identity()
        self._initialise()

    def forward(self, photo: Tensor) -> Tensor:
        """N x 3 x H x W RGB in [-1, 1], any H and W >= 1, to the same shape, range and dtype."""
        height, width = photo.shape[-2:]
        x = self.stem(pad_to_stride(photo))
        full = x
        half = x = self.down[0](x)
        x = self.down[1](x)
        for block in self.blocks:
            x = checkpointed(block, x) if self.save_memory and torch.is_grad_enabled() else block(x)
        for up, finish, skip in zip(self.up, self.finish, (half, full), strict=True):
            x = up(x)
            x = finish(x + skip if self.size.skips else x)
        # Autocast leaves here: eight bits of mantissa would posterise skies.
        x = self.head(x)[..., :height, :width].to(photo.dtype)
        if self.size.residual:
            change, cover, prices, pressure = self.parts(x)
            drawn = brush(photo, cover) if self.size.brush else photo
            for one in torch.split(prices, PRICES, dim=1) if self.size.fills else ():
                drawn = fill(drawn, one)
            drawn = self.grade(drawn)
            if self.size.ink:
                drawn = draw(drawn, photo, pressure)
            return leaky_clamp(drawn + 2.0 * torch.tanh(0.5 * change))
        x = x[:, :3]
        return torch.tanh(x) if self.size.head == "tanh" else leaky_clamp(x)

    def parts(self, x: Tensor) -> tuple[Tensor, ...]:
        """What a residual generator's head says: the change, the brush's cover, the fills' prices, the pens' pressure."""
        size = self.size
        return torch.split(x, [3, int(size.brush), PRICES * size.fills, PENS * int(size.ink)], dim=1)

    def _conv(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Module:
        return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, padding_mode=self.size.padding)

    def _activation(self) -> nn.Module:
        return nn.ReLU(inplace=True) if self.size.activation == "relu" else nn.LeakyReLU(LEAKY_SLOPE, inplace=True)

    def _stage(self, convs: list[nn.Module], channels: int) -> nn.Sequential:
        """Convolutions, then one norm and one activation: CartoonGAN has none between the two of a pair."""
        return nn.Sequential(*convs, self._norm(channels), self._activation())

    def _norm(self, channels: int) -> nn.Module:
        return make_norm(self.size.norm, channels)

    def _down(self, inputs: int, outputs: int) -> nn.Module:
        if self.size.units == "shuffle":
            return HalvingShuffleUnit(inputs, outputs, self._norm)
        more = [self._conv(outputs, outputs) for _ in range(self.size.scale_convs - 1)]
        return self._stage([self._conv(inputs, outputs, stride=2), *more], outputs)

    def _block(self, channels: int) -> nn.Module:
        if self.size.units == "shuffle":
            return ShuffleUnit(channels, self._norm)
        first = self._stage([self._conv(channels, channels)], channels)
        return _Residual(nn.Sequential(*first, self._conv(channels, channels), self._norm(channels)))

    def _up(self, inputs: int, outputs: int) -> nn.Sequential:
        if self.size.units == "shuffle":
            resize = nn.Upsample(scale_factor=2.0, mode=self.size.upsample)
            return nn.Sequential(resize, nn.Conv2d(inputs, outputs, 1), ShuffleUnit(outputs, self._norm))
        first: list[nn.Module]
        if self.size.upsample == "transposed":
            first = [nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)]
        else:
            first = [nn.Upsample(scale_factor=2.0, mode=self.size.upsample), self._conv(inputs, outputs)]
        return nn.Sequential(*first, *(self._conv(outputs, outputs) for _ in range(self.size.scale_convs - 1)))

    def _finish(self, channels: int) -> nn.Sequential:
        """The norm and activation of a doubling, which follow the skip's addition; shuffle units end with their own."""
        if self.size.units == "shuffle":
            return nn.Sequential()
        return nn.Sequential(self._norm(channels), self._activation())

    def _initialise(self) -> None:
        """He et al. 2015, normal, for the activation in use; the exceptions are written below."""
        slope = LEAKY_SLOPE if self.size.activation == "leaky" else 0.0
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                # Transposed ones keep inputs first, so He counts twice the fan that a pixel sees; the norm mends it.
                nn.init.kaiming_normal_(module.weight, a=slope)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        with torch.no_grad():
            if self.size.norm == "none" and self.size.units == "residual":
                # Nothing else bounds the sum of the blocks: shrinking each keeps its variance within a factor of e.
                for block in self.blocks:
                    cast(nn.Conv2d, cast(_Residual, block).body[-2]).weight.mul_(self.size.blocks**-0.5)
            head = cast(nn.Conv2d, self.head)
            if self.size.residual:
                nn.init.zeros_(head.weight)
                if self.size.ink:
                    # The photo's lines are texture as well: that pen begins light.
                    cast(nn.Parameter, head.bias)[-1] = FINE_PEN
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


AnyGenerator = Generator | AnimeGan | VggDecoder


def build_generator(name: str, *, norm: str | None = None, fills: int | None = None) -> nn.Module:
    """The generator of that row of `GENERATORS`, freshly initialised, with another norm or other fills if they are given."""
    if name not in GENERATORS:
        raise ValueError(f"unknown generator {name!r}: expected one of {', '.join(GENERATORS)}")
    size = GENERATORS[name]
    if fills is not None:
        if not isinstance(size, GeneratorSize) or not size.residual:
            raise ValueError(f"{name} paints anew and has no fills: leave model.generator_diffusion_steps null")
        size = replace(size, fills=fills)
    if isinstance(size, DecoderSize):
        if norm not in (None, "none"):
            raise ValueError(f"{name} has no norm, and none can be given to it: leave it null")
        return VggDecoder(size)
    if norm is not None:
        size = replace(size, norm=cast(Norm, norm))
    return Generator(size) if isinstance(size, GeneratorSize) else AnimeGan(size)
