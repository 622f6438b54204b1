"""Parts that networks of several families share: norms, padding to a multiple of the stride, a clamp with gradients."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from models.batch_norm import frozen_statistics

Norm = Literal["batch", "instance", "layer", "group", "none"]
Padding = Literal["zeros", "reflect"]

LEAKY_SLOPE = 0.2
GROUPS = 32
CLAMP_LEAK = 0.1
STRIDE = 4
MIN_SIDE = 8
"""Two pixels at a quarter of the resolution: instance norm refuses a single one, and reflect padding needs a neighbor."""


def leaky_clamp(x: Tensor) -> Tensor:
    """Clamp to [-1, 1], exactly, with a tenth of the gradient outside (any shape, any float dtype).

    A hard clamp has no gradient there: a pixel once pushed past white could not learn its way back. A tanh of the sum would
    distort every color of the photo, and be almost flat in skies and lines, where anime needs it most.
    """
    clamped = x.clamp(-1.0, 1.0)
    if not torch.is_grad_enabled():
        return clamped  # a single operation in exported graphs
    # The gradient is written out, by means of x - x = 0: torch's releases disagree on clamp's at exactly 1, which is where
    # a residual generator finds the whites and blacks of the photo.
    gradient = torch.where(x.detach().abs() <= 1.0, 1.0, CLAMP_LEAK)
    return clamped.detach() + gradient * (x - x.detach())


class LayerNorm(nn.GroupNorm):
    """Normalization over C, H and W together: a group norm of one group.

    CUDA's group norm gives each group to one block of threads, so one group of a large picture leaves the GPU idle (AnimeGANv2
    drew one 1080p frame a second on an H200). There, moments come from reductions that use all of it.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalize; same shape."""
        return self.by_reductions(x) if x.is_cuda else super().forward(x)

    def by_reductions(self, x: Tensor) -> Tensor:
        """Compute the same, in float32."""
        variance, mean = torch.var_mean(x.float(), dim=(1, 2, 3), correction=0, keepdim=True)
        scale = torch.rsqrt(variance + self.eps) * self.weight.view(1, -1, 1, 1)
        return (x - mean) * scale + self.bias.view(1, -1, 1, 1)


def make_norm(norm: Norm, channels: int) -> nn.Module:
    """Build a normalization with learned scale and shift for N x `channels` x H x W.

    "layer" is over C, H and W together (Ba, Kiros, Hinton 2016); "group" is the same in 32 groups of channels (Wu and He
    2018), or in as many as divide both; "none" is the identity. Another name raises ValueError.
    """
    makers: dict[Norm, Callable[[], nn.Module]] = {
        "batch": lambda: nn.BatchNorm2d(channels),
        "instance": lambda: nn.InstanceNorm2d(channels, affine=True),
        "layer": lambda: LayerNorm(1, channels),
        "group": lambda: nn.GroupNorm(math.gcd(GROUPS, channels), channels),
        "none": nn.Identity,
    }
    if norm not in makers:
        raise ValueError(f"unknown norm {norm!r}: expected one of {', '.join(makers)}")
    return makers[norm]()


def pad_to_stride(x: Tensor, stride: int) -> Tensor:
    """Extend N x C x H x W at the right and at the bottom to multiples of `stride`, at least `MIN_SIDE`.

    By reflection; a side under 5 is too short to be reflected, and repeats its last row or column instead. Written as
    arithmetic on indices, without branches on sizes, so that an exported graph works at any size.
    """
    for axis in (3, 2):
        side = x.shape[axis]
        index = torch.arange(padded_length(side, stride), device=x.device)
        beyond = (index - (side - 1)).clamp(min=0)
        reflects = torch.sym_min(side // (MIN_SIDE // 2 + 1), 1)
        x = x.index_select(axis, index - beyond - beyond * reflects)
    return x


def padded_length(side: int, stride: int) -> int:
    """Return the length that `pad_to_stride` extends a side to."""
    return cast(int, torch.sym_max((side + stride - 1) // stride * stride, MIN_SIDE))


def crop_like(x: Tensor, picture: Tensor) -> Tensor:
    """Cut what `pad_to_stride` added to `picture` from N x C x H x W features, and convert them to its dtype."""
    # One more row and column first: were nothing cut off in the traced example, an exported graph would never cut.
    x = F.pad(x, (0, 1, 0, 1)).narrow(2, 0, picture.shape[2]).narrow(3, 0, picture.shape[3])
    return x.to(picture.dtype)


def run_blocks(blocks: nn.Sequential, x: Tensor, save_memory: bool) -> Tensor:
    """Run blocks one after another; with `save_memory` recompute their activations in the backward pass."""
    for block in blocks:
        x = checkpointed(block, x) if save_memory and torch.is_grad_enabled() else block(x)
    return x


def checkpointed(block: nn.Module, x: Tensor) -> Tensor:
    """Run `block` with activation checkpointing, which leaves its batch norms' running statistics as one pass would."""

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), frozen_statistics(block)

    return cast(Tensor, checkpoint(block, x, use_reentrant=False, context_fn=contexts))
