"""What networks are built of, whichever class they are: norms, padding, the clamp of a linear output."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from models.batch_norm import still

Norm = Literal["batch", "instance", "layer", "group", "none"]
Padding = Literal["zeros", "reflect"]

LEAKY_SLOPE = 0.2
GROUPS = 32
CLAMP_LEAK = 0.1
STRIDE = 4
# Two pixels at a quarter of the resolution: instance norm refuses a single one, and reflect padding needs a neighbour.
MIN_SIDE = 8


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


def padding_of(height: int, width: int, stride: int = STRIDE) -> tuple[int, int]:
    """Rows and columns that `pad_to_stride` adds to H x W."""
    return max(-height % stride, MIN_SIDE - height), max(-width % stride, MIN_SIDE - width)


def pad_to_stride(x: Tensor, stride: int = STRIDE) -> Tensor:
    """Extend N x C x H x W at the right and at the bottom to multiples of `stride`, at least 8.

    By reflection; a side too short to be reflected repeats its last row or column instead.
    """
    height, width = x.shape[-2:]
    down, right = padding_of(height, width, stride)
    if right:
        x = F.pad(x, (0, right, 0, 0), mode="reflect" if right < width else "replicate")
    if down:
        x = F.pad(x, (0, 0, 0, down), mode="reflect" if down < height else "replicate")
    return x


def checkpointed(block: nn.Module, x: Tensor) -> Tensor:
    """What a block makes of x; only x is kept for the backward pass, which does the rest again."""

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), still(block)

    return cast(Tensor, checkpoint(block, x, use_reentrant=False, context_fn=contexts))
