"""3x3 convolution with a quarter of the multiplications, for processors: F(4 x 4, 3 x 3) of Lavin and Gray 2016.

The picture is taken apart into tiles of 6 x 6 that overlap by two, tiles and kernels are transformed by small matrices, each of
the 36 places of a tile is one product of matrices over channels, and what comes out is transformed back, 4 x 4 pixels a
tile. The sums are the convolution's, in another order and of larger parts: on unit normal pictures they differ by some 5e-5
of the output's standard deviation, where the direct way differs by 2e-6 from the exact sum.

Pays from about 128 maps; with fewer the transforms cost more than they save (docs/log.md).
"""

import math
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

OUT, IN, KERNEL = 4, 6, 3
BLOCK = 1 << 19  # values of transformed pictures worked on at a time, which a processor's cache holds
FEWEST_MAPS = 128

_PICTURE = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
_WEIGHTS = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
_BACK = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))


def _both_sides(rows: tuple[tuple[float, ...], ...], like: Tensor) -> Tensor:
    """M x M^T on tiles laid out flat, as one matrix."""
    matrix = torch.tensor(rows, dtype=like.dtype)
    return torch.kron(matrix, matrix).contiguous()


def pays(conv: nn.Conv2d, picture: Tensor) -> bool:
    """Whether a convolution of this picture is one that this way suits: float on a processor, 3x3, zeros around, many maps."""
    return (
        picture.device.type == "cpu"
        and picture.dtype in (torch.float32, torch.float64)
        and not torch.is_autocast_enabled("cpu")
        and conv.kernel_size == (KERNEL, KERNEL)
        and conv.stride == conv.padding == conv.dilation == (1, 1)
        and conv.groups == 1
        and conv.padding_mode == "zeros"
        and min(conv.in_channels, conv.out_channels) >= FEWEST_MAPS
        and picture.shape[2] % OUT == picture.shape[3] % OUT == 0
        and picture.shape[2] * picture.shape[3] >= 1024
    )


def convolve(picture: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """N x C x H x W by O x C x 3 x 3, zeros around, to N x O x H x W; H and W multiples of 4."""
    return cast(Tensor, _Convolution.apply(picture, weight, bias))


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, picture: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(picture, weight)
        out = _convolved(picture, weight)
        return out if bias is None else out.add_(bias.view(1, -1, 1, 1))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        picture, weight = ctx.saved_tensors
        to_picture = to_weight = None
        if ctx.needs_input_grad[0]:
            to_picture = _convolved(slope, weight.flip(2, 3).transpose(0, 1))
        if ctx.needs_input_grad[1]:
            to_weight = _slope_of_weight(picture, slope)
        return to_picture, to_weight, slope.sum((0, 2, 3)) if ctx.needs_input_grad[2] else None


def _convolved(picture: Tensor, weight: Tensor) -> Tensor:
    outputs, inputs = weight.shape[:2]
    forth, back = _both_sides(_PICTURE, picture), _both_sides(_BACK, picture)
    kernels = (_both_sides(_WEIGHTS, picture) @ weight.reshape(outputs * inputs, -1).T).view(-1, outputs, inputs)
    out = picture.new_empty(len(picture), outputs, *picture.shape[2:])
    across = picture.shape[3] // OUT
    for n, top, rows in _blocks(picture, max(inputs, outputs)):
        tiles = (forth @ _tiles(_framed(picture, n, top, rows), IN)).view(-1, inputs, rows * across)
        made = (back @ torch.bmm(kernels, tiles).view(IN * IN, -1)).view(OUT, OUT, outputs, rows, across)
        strip = out[n, :, OUT * top : OUT * (top + rows)]
        strip.view(outputs, rows, OUT, across, OUT).copy_(made.permute(2, 3, 0, 4, 1))
    return out


def _slope_of_weight(picture: Tensor, slope: Tensor) -> Tensor:
    inputs, outputs = picture.shape[1], slope.shape[1]
    forth, spread = _both_sides(_PICTURE, picture), _both_sides(_BACK, picture).T.contiguous()
    total = picture.new_zeros(IN * IN, outputs, inputs)
    for n, top, rows in _blocks(picture, max(inputs, outputs)):
        tiles = (forth @ _tiles(_framed(picture, n, top, rows), IN)).view(IN * IN, inputs, -1)
        slopes = (spread @ _tiles(slope[n, :, OUT * top : OUT * (top + rows)], OUT)).view(IN * IN, outputs, -1)
        total.baddbmm_(slopes, tiles.mT)
    found = _both_sides(_WEIGHTS, picture).T @ total.view(IN * IN, -1)
    return found.T.reshape(outputs, inputs, KERNEL, KERNEL)


def _blocks(picture: Tensor, maps: int) -> list[tuple[int, int, int]]:
    """Picture, first row of tiles, and rows of tiles, for each block."""
    down, across = picture.shape[2] // OUT, picture.shape[3] // OUT
    rows = min(down, max(1, math.ceil(BLOCK / (maps * across * 4))))
    return [(n, top, min(rows, down - top)) for n in range(len(picture)) for top in range(0, down, rows)]


def _framed(picture: Tensor, n: int, top: int, rows: int) -> Tensor:
    """Some rows of tiles of a picture, C x H x W, with a pixel of what is around them."""
    height = picture.shape[2]
    first, last = OUT * top - 1, OUT * (top + rows) + 1
    strip = picture[n, :, max(first, 0) : min(last, height)]
    return F.pad(strip, (1, 1, max(-first, 0), max(last - height, 0)))


def _tiles(strip: Tensor, side: int) -> Tensor:
    """C x H x W to side^2 x (C tiles): each place of a tile, over channels and tiles that begin every four pixels."""
    channels, height, width = strip.shape
    down, across = (height - side) // OUT + 1, (width - side) // OUT + 1
    over, row, column = strip.stride()
    places = strip.as_strided((side, side, channels, down, across), (row, column, over, OUT * row, OUT * column))
    return places.reshape(side * side, channels * down * across)


class Conv2d(nn.Conv2d):
    """nn.Conv2d that goes this way where it pays."""

    def forward(self, input: Tensor) -> Tensor:
        """As nn.Conv2d's."""
        if pays(self, input):
            return convolve(input, self.weight, self.bias)
        return super().forward(input)


def hasten(network: nn.Module, fast: bool = True) -> None:
    """Let a network's convolutions go this way where it pays, or, with `fast` False, never again."""
    for module in network.modules():
        if type(module) in (nn.Conv2d, Conv2d):
            module.__class__ = Conv2d if fast else nn.Conv2d
