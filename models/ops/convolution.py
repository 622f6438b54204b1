"""Convolution with fewer multiplications, for processors without AVX512: NNPACK's, and Winograd's for weight gradients.

NNPACK is still part of torch, which no longer uses it, but offers a private function for it (called in `_whole` alone): tiles
of 8 x 8 by F(6 x 6, 3 x 3) of Lavin and Gray 2016 for 3x3 kernels, by Fourier transforms for larger ones, written for AVX2. It
sums in another order and from larger parts: on unit normal pictures it differs by some 1e-4 of the output's standard deviation,
where direct convolution differs by 2e-6 from the exact sum.

It has no gradients. That of the picture is a convolution again. That of the weights is F(4 x 4, 3 x 3): the picture and the
output's gradient are cut into tiles that overlap by two, transformed by small matrices, multiplied over channels at each of the
36 positions of a tile, and the sum over tiles is transformed back.

Which shapes gain was measured (docs/log.md): tiles cost more than they save on few maps.
"""

import functools
import math
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

OUT, IN, KERNEL = 4, 6, 3
BLOCK = 1 << 19  # values of transformed pictures worked on at a time, which a processor's cache holds
# Measured (docs/log.md): with less, torch's own way is quicker.
FEWEST_MAPS, FEWEST_MAPS_WEIGHTS = 16, 64
FEWEST_PIXELS = 576
FEWEST_PRODUCTS = 1 << 25  # multiplications, for more than one thread

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


@functools.cache
def available() -> bool:
    """Whether this torch has NNPACK and this processor suits it; asking also starts it."""
    known = getattr(torch, "_nnpack_available", None)
    if known is None or not known():
        return False
    threads = torch.get_num_threads()
    # Its own threads, made at the first call, as many as torch's, go on spinning when they have nothing to do, which costs
    # torch's theirs: it gets one, and `_hands` share the work out.
    torch.set_num_threads(1)
    try:
        _whole(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, KERNEL, KERNEL), None, 1)
    except RuntimeError:
        return False
    finally:
        torch.set_num_threads(threads)
    return True


@functools.cache
def _hands(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, "convolution")


def pays(conv: nn.Conv2d, picture: Tensor) -> bool:
    """Whether a convolution of this picture is one that this way suits: float32 on a processor, stride 1, enough work."""
    side = conv.kernel_size[0]
    fewest, area = (min, FEWEST_PIXELS) if side == KERNEL else (max, 4 * FEWEST_PIXELS)
    return (
        picture.device.type == "cpu"
        and picture.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and conv.kernel_size in ((3, 3), (5, 5), (7, 7), (9, 9))
        and conv.stride == conv.dilation == (1, 1)
        and conv.padding == (side // 2, side // 2)
        and conv.groups == 1
        and fewest(conv.in_channels, conv.out_channels) >= FEWEST_MAPS
        and picture.shape[2] * picture.shape[3] >= area
    )


def convolve(picture: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
    """N x C x H x W with `padding` rows and columns of zeros around it by O x C x k x k, k odd, to N x O x H' x W'; float32."""
    if torch.is_grad_enabled():
        return cast(Tensor, _Convolution.apply(picture, weight, bias, padding))
    return _nnpack(picture, weight, bias, padding)


def _nnpack(picture: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
    """On as many threads as torch has: whole pictures each, and of what is left over a part of each picture."""
    # One picture a call: for several NNPACK takes another way, which is slower than the direct one.
    pictures = torch.split(picture.contiguous(), 1)
    rows, columns = (length + 2 * padding - weight.shape[2] + 1 for length in picture.shape[2:])
    threads = torch.get_num_threads()
    if threads == 1 or weight.numel() * rows * columns < FEWEST_PRODUCTS:
        return _joined([_whole(one, weight, bias, padding) for one in pictures])
    share = _hands(threads).map
    even = len(pictures) - len(pictures) % threads
    made = list(share(lambda one: _whole(one, weight, bias, padding), pictures[:even]))
    # What all do again is to transform the picture, or else the kernels: the smaller of the two.
    axis, length = (1, len(weight)) if rows * columns < len(weight) * IN * IN else (2, rows)
    ends = [length * part // threads for part in range(threads + 1)]
    part = _some_maps if axis == 1 else _some_rows
    for one in pictures[even:]:
        made.append(torch.cat(list(share(partial(part, one, weight, bias, padding), ends, ends[1:])), axis))
    return _joined(made)


def _some_maps(picture: Tensor, weight: Tensor, bias: Tensor | None, padding: int, first: int, last: int) -> Tensor:
    return _whole(picture, weight[first:last], None if bias is None else bias[first:last], padding)


def _some_rows(picture: Tensor, weight: Tensor, bias: Tensor | None, padding: int, first: int, last: int) -> Tensor:
    # Beyond an inner border there are rows and no zeros: those of the margin are made too and cut off.
    top, bottom = max(first - padding, 0), min(last + weight.shape[2] - 1 - padding, picture.shape[2])
    made = _whole(picture[:, :, top:bottom].contiguous(), weight, bias, padding)
    return made[:, :, first - top : last - top]


@torch.no_grad()  # a thread's own matter, and on in a new one
def _whole(picture: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
    made: Tensor = torch._nnpack_spatial_convolution(picture, weight, bias, padding, 1)
    return made


def _joined(pictures: list[Tensor]) -> Tensor:
    return pictures[0] if len(pictures) == 1 else torch.cat(pictures)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, picture: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
        ctx.save_for_backward(picture, weight)
        ctx.padding = padding
        return _nnpack(picture, weight, bias, padding)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        picture, weight = ctx.saved_tensors
        to_picture = to_weight = None
        if ctx.needs_input_grad[0]:
            turned = weight.flip(2, 3).transpose(0, 1).contiguous()
            to_picture = _nnpack(slope, turned, None, weight.shape[2] - 1 - ctx.padding)
        if ctx.needs_input_grad[1]:
            to_weight = weight_gradient(picture, slope, weight, ctx.padding)
        return to_picture, to_weight, slope.sum((0, 2, 3)) if ctx.needs_input_grad[2] else None, None


def weight_gradient(picture: Tensor, slope: Tensor, weight: Tensor, padding: int) -> Tensor:
    """The gradient to the weights of a convolution, from the picture and the gradient to what it gave; any float dtype."""
    maps, sides = weight.shape[:2], slope.shape[2:]
    if weight.shape[2] == KERNEL and min(maps) >= FEWEST_MAPS_WEIGHTS and not any(side % OUT for side in sides):
        return winograd_weight_gradient(picture, slope, padding)
    around, once = [padding, padding], [1, 1]
    wanted = [False, True, False]
    found = torch.ops.aten.convolution_backward(slope, picture, weight, None, once, around, once, False, [0, 0], 1, wanted)
    return cast(Tensor, found[1])


def winograd_weight_gradient(picture: Tensor, slope: Tensor, padding: int, block: int = BLOCK) -> Tensor:
    """The same for 3x3 and slopes of a multiple of 4, `block` values of transformed pictures at a time."""
    inputs, outputs = picture.shape[1], slope.shape[1]
    forth, spread = _both_sides(_PICTURE, picture), _both_sides(_BACK, picture).T.contiguous()
    total = picture.new_zeros(IN * IN, outputs, inputs)
    for n, top, rows in _blocks(slope, max(inputs, outputs), block):
        tiles = (forth @ _tiles(_framed(picture, n, top, rows, padding), IN)).view(IN * IN, inputs, -1)
        slopes = (spread @ _tiles(slope[n, :, OUT * top : OUT * (top + rows)], OUT)).view(IN * IN, outputs, -1)
        total.baddbmm_(slopes, tiles.mT)
    found = _both_sides(_WEIGHTS, picture).T @ total.view(IN * IN, -1)
    return found.T.reshape(outputs, inputs, KERNEL, KERNEL)


def _blocks(slope: Tensor, maps: int, block: int) -> list[tuple[int, int, int]]:
    """Picture, first row of tiles, and rows of tiles, for each block."""
    down, across = slope.shape[2] // OUT, slope.shape[3] // OUT
    rows = min(down, max(1, math.ceil(block / (maps * across * 4))))
    return [(n, top, min(rows, down - top)) for n in range(len(slope)) for top in range(0, down, rows)]


def _framed(picture: Tensor, n: int, top: int, rows: int, padding: int) -> Tensor:
    """What some rows of tiles are made from, C x H x W: those of a picture, and zeros where it ends."""
    height = picture.shape[2]
    first, last = OUT * top - padding, OUT * (top + rows) + KERNEL - 1 - padding
    strip = picture[n, :, max(first, 0) : min(last, height)]
    return F.pad(strip, (padding, padding, max(-first, 0), max(last - height, 0)))


def _tiles(strip: Tensor, side: int) -> Tensor:
    """C x H x W to side^2 x (C tiles): each place of a tile, over channels and tiles that begin every four pixels."""
    channels, height, width = strip.shape
    down, across = (height - side) // OUT + 1, (width - side) // OUT + 1
    over, row, column = strip.stride()
    places = strip.as_strided((side, side, channels, down, across), (row, column, over, OUT * row, OUT * column))
    return places.reshape(side * side, channels * down * across)


class Conv2d(nn.Conv2d):
    """nn.Conv2d that computes by NNPACK where that is faster."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if not pays(self, input):
            return cast(Tensor, super()._conv_forward(input, weight, bias))
        if self.padding_mode == "zeros":
            return convolve(input, weight, bias, cast(int, self.padding[0]))
        return convolve(F.pad(input, self._reversed_padding_repeated_twice, self.padding_mode), weight, bias, 0)


def accelerate(network: nn.Module, fast: bool = True) -> None:
    """Let a network's convolutions use NNPACK where that is faster, or, with `fast` False, torch's own again."""
    for module in network.modules():
        if type(module) in (nn.Conv2d, Conv2d):
            module.__class__ = Conv2d if fast and available() else nn.Conv2d
