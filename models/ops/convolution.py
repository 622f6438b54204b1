"""Convolution with fewer multiplications, for processors without AVX512: NNPACK's, and Winograd's for weight gradients.

NNPACK is still part of torch, which no longer uses it but has a private function for it (called in `_call_nnpack` alone):
tiles of 8 x 8 by F(6 x 6, 3 x 3) of Lavin and Gray 2016 for 3x3 kernels, by Fourier transforms for larger ones, written for
AVX2. It sums in another order: on unit normal input it differs by some 1e-4 of the output's standard deviation, direct
convolution by 2e-6.

It has no gradients. The gradient of the input is a convolution again. That of the weights is computed by F(4 x 4, 3 x 3):
input and output gradient are cut into tiles that overlap by two, transformed by small matrices and multiplied over channels at
each of the 36 positions of a tile; the sum over tiles is transformed back.

Which shapes gain was measured (docs/log.md): tiles cost more than they save where there are few channels.
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
BLOCK = 1 << 19  # values of the transformed input worked on at a time: as many as a cache holds
# Measured (docs/log.md): below these, torch's own convolution is faster.
MIN_CHANNELS, MIN_CHANNELS_WEIGHTS = 16, 64
MIN_PIXELS = 576
MIN_PRODUCTS_PER_CALL = 1 << 25  # multiplications, for more than one thread

_INPUT_TRANSFORM = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
_WEIGHT_TRANSFORM = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
_OUTPUT_TRANSFORM = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))


def _tile_transform(rows: tuple[tuple[float, ...], ...], like: Tensor) -> Tensor:
    """Return the matrix that transforms flattened tiles X as M X M^T does."""
    matrix = torch.tensor(rows, dtype=like.dtype)
    return torch.kron(matrix, matrix).contiguous()


@functools.cache
def available() -> bool:
    """Whether this torch has NNPACK and this processor suits it; asking also starts it."""
    known = getattr(torch, "_nnpack_available", None)
    if known is None or not known():
        return False
    threads = torch.get_num_threads()
    # At the first call it starts as many threads as torch has, which spin while they are idle and so slow torch's down: it gets
    # one, and `_thread_pool` shares the work out.
    torch.set_num_threads(1)
    try:
        _call_nnpack(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, KERNEL, KERNEL), None, 1)
    except RuntimeError:
        return False
    finally:
        torch.set_num_threads(threads)
    return True


@functools.cache
def _thread_pool(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, "convolution")


def is_faster(conv: nn.Conv2d, picture: Tensor) -> bool:
    """Whether NNPACK is faster for this layer and input: float32 on a processor, stride 1, enough channels and pixels."""
    side = conv.kernel_size[0]
    smaller_or_larger, area = (min, MIN_PIXELS) if side == KERNEL else (max, 4 * MIN_PIXELS)
    return (
        picture.device.type == "cpu"
        and picture.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and conv.kernel_size in ((3, 3), (5, 5), (7, 7), (9, 9))
        and conv.stride == conv.dilation == (1, 1)
        and conv.padding == (side // 2, side // 2)
        and conv.groups == 1
        and smaller_or_larger(conv.in_channels, conv.out_channels) >= MIN_CHANNELS
        and picture.shape[2] * picture.shape[3] >= area
    )


def convolve(picture: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
    """Convolve N x C x H x W, padded by zeros, with weights O x C x k x k, k odd, to N x O x H' x W': float32, on a CPU."""
    if torch.is_grad_enabled():
        return cast(Tensor, _Convolution.apply(picture, weight, bias, padding))
    return _convolve_on_threads(picture, weight, bias, padding)


def _convolve_on_threads(picture: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
    """Convolve on as many threads as torch has: each takes whole pictures, and of those left over a part."""
    # One picture a call: for several NNPACK uses another algorithm, which is slower than direct convolution.
    pictures = torch.split(picture.contiguous(), 1)
    rows, columns = (length + 2 * padding - weight.shape[2] + 1 for length in picture.shape[2:])
    threads = torch.get_num_threads()
    if threads == 1 or weight.numel() * rows * columns < MIN_PRODUCTS_PER_CALL:
        return _concatenate([_call_nnpack(one, weight, bias, padding) for one in pictures])
    map_on_threads = _thread_pool(threads).map
    even = len(pictures) - len(pictures) % threads
    outputs = list(map_on_threads(lambda one: _call_nnpack(one, weight, bias, padding), pictures[:even]))
    # All threads repeat the transform of the picture or that of the kernels: the cheaper of the two.
    axis, length = (1, len(weight)) if rows * columns < len(weight) * IN * IN else (2, rows)
    ends = [length * part // threads for part in range(threads + 1)]
    part = _convolve_channels if axis == 1 else _convolve_rows
    for one in pictures[even:]:
        outputs.append(torch.cat(list(map_on_threads(partial(part, one, weight, bias, padding), ends, ends[1:])), axis))
    return _concatenate(outputs)


def _convolve_channels(picture: Tensor, weight: Tensor, bias: Tensor | None, padding: int, first: int, last: int) -> Tensor:
    return _call_nnpack(picture, weight[first:last], None if bias is None else bias[first:last], padding)


def _convolve_rows(picture: Tensor, weight: Tensor, bias: Tensor | None, padding: int, first: int, last: int) -> Tensor:
    # At an inner border the margin consists of rows, not of zeros: their output is computed too, and cut off.
    top, bottom = max(first - padding, 0), min(last + weight.shape[2] - 1 - padding, picture.shape[2])
    outputs = _call_nnpack(picture[:, :, top:bottom].contiguous(), weight, bias, padding)
    return outputs[:, :, first - top : last - top]


@torch.no_grad()  # each thread has its own grad mode, and a new one records gradients
def _call_nnpack(picture: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
    return torch._nnpack_spatial_convolution(picture, weight, bias, padding, 1)


def _concatenate(pictures: list[Tensor]) -> Tensor:
    return pictures[0] if len(pictures) == 1 else torch.cat(pictures)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, picture: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
        ctx.save_for_backward(picture, weight)
        ctx.padding = padding
        return _convolve_on_threads(picture, weight, bias, padding)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, output_gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        picture, weight = ctx.saved_tensors
        picture_gradient = weights_gradient = None
        if ctx.needs_input_grad[0]:
            flipped = weight.flip(2, 3).transpose(0, 1).contiguous()
            picture_gradient = _convolve_on_threads(output_gradient, flipped, None, weight.shape[2] - 1 - ctx.padding)
        if ctx.needs_input_grad[1]:
            weights_gradient = weight_gradient(picture, output_gradient, weight, ctx.padding)
        return picture_gradient, weights_gradient, output_gradient.sum((0, 2, 3)) if ctx.needs_input_grad[2] else None, None


def weight_gradient(picture: Tensor, output_gradient: Tensor, weight: Tensor, padding: int) -> Tensor:
    """Compute the gradient of a convolution's weights from its input and its output's gradient; any float dtype."""
    channels, sides = weight.shape[:2], output_gradient.shape[2:]
    if weight.shape[2] == KERNEL and min(channels) >= MIN_CHANNELS_WEIGHTS and not any(side % OUT for side in sides):
        return winograd_weight_gradient(picture, output_gradient, padding)
    paddings, ones, of_weights = [padding, padding], [1, 1], [False, True, False]
    _, gradient, _ = torch.ops.aten.convolution_backward(
        output_gradient, picture, weight, None, ones, paddings, ones, False, [0, 0], 1, of_weights
    )
    return cast(Tensor, gradient)


def winograd_weight_gradient(picture: Tensor, output_gradient: Tensor, padding: int, block: int = BLOCK) -> Tensor:
    """Compute the gradient of 3x3 weights, as `weight_gradient` does, for outputs whose sides are multiples of 4.

    Args:
        block: values of the transformed input to work on at a time.
    """
    inputs, outputs = picture.shape[1], output_gradient.shape[1]
    input_transform = _tile_transform(_INPUT_TRANSFORM, picture)
    output_transform = _tile_transform(_OUTPUT_TRANSFORM, picture).T.contiguous()
    total = picture.new_zeros(IN * IN, outputs, inputs)
    for n, top, rows in _blocks(output_gradient, max(inputs, outputs), block):
        tiles = (input_transform @ _tiles(_padded_rows(picture, n, top, rows, padding), IN)).view(IN * IN, inputs, -1)
        strip = output_gradient[n, :, OUT * top : OUT * (top + rows)]
        gradients = (output_transform @ _tiles(strip, OUT)).view(IN * IN, outputs, -1)
        total.baddbmm_(gradients, tiles.mT)
    gradient = _tile_transform(_WEIGHT_TRANSFORM, picture).T @ total.view(IN * IN, -1)
    return gradient.T.reshape(outputs, inputs, KERNEL, KERNEL)


def _blocks(output_gradient: Tensor, channels: int, block: int) -> list[tuple[int, int, int]]:
    """List the index of the picture, the first row of tiles and the number of rows of each block."""
    down, across = output_gradient.shape[2] // OUT, output_gradient.shape[3] // OUT
    rows = min(down, max(1, math.ceil(block / (channels * across * 4))))
    return [(n, top, min(rows, down - top)) for n in range(len(output_gradient)) for top in range(0, down, rows)]


def _padded_rows(picture: Tensor, n: int, top: int, rows: int, padding: int) -> Tensor:
    """Return the rows of picture `n` that some rows of tiles are cut from, C x H x W, padded by zeros."""
    height = picture.shape[2]
    first, last = OUT * top - padding, OUT * (top + rows) + KERNEL - 1 - padding
    strip = picture[n, :, max(first, 0) : min(last, height)]
    return F.pad(strip, (padding, padding, max(-first, 0), max(last - height, 0)))


def _tiles(strip: Tensor, side: int) -> Tensor:
    """Cut C x H x W into tiles that begin every four pixels; returns side^2 x (C tiles): a row for each position in a tile."""
    channels, height, width = strip.shape
    down, across = (height - side) // OUT + 1, (width - side) // OUT + 1
    plane, row, column = strip.stride()
    positions = strip.as_strided((side, side, channels, down, across), (row, column, plane, OUT * row, OUT * column))
    return positions.reshape(side * side, channels * down * across)


class Conv2d(nn.Conv2d):
    """nn.Conv2d that computes by NNPACK where that is faster."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if not is_faster(self, input):
            return cast(Tensor, super()._conv_forward(input, weight, bias))
        if self.padding_mode == "zeros":
            return convolve(input, weight, bias, cast(int, self.padding[0]))
        return convolve(F.pad(input, self._reversed_padding_repeated_twice, self.padding_mode), weight, bias, 0)


def accelerate(network: nn.Module, fast: bool = True) -> None:
    """Let a network's convolutions use NNPACK if `available` and faster or, with `fast` False, torch's own again; in place."""
    for module in network.modules():
        if type(module) in (nn.Conv2d, Conv2d):
            module.__class__ = Conv2d if fast and available() else nn.Conv2d
