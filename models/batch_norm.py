"""Running statistics of batch norm: what a step shows a network twice, or in parts, moves them once."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

T = TypeVar("T")


@contextmanager
def still(network: nn.Module) -> Iterator[None]:
    """Within the block batch norms normalise as ever, and their running statistics stay where they are."""
    norms = _norms(network)
    momenta, counts = [norm.momentum for norm in norms], [norm.num_batches_tracked for norm in norms]
    for norm in norms:
        # Not track_running_stats: without it other tensors are kept for the backward pass, which recomputation refuses.
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, momentum, count in zip(norms, momenta, counts, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count


def by_turns(network: nn.Module, parts: Sequence[T]) -> Iterator[T]:
    """The parts of a batch, to be shown one after another: together they move running statistics as far as one whole batch.

    Each part moves them from where the first found them, and the mean of where they come to is kept. So running means are
    those of the whole batch, and running variances the means of the parts': by those the pictures were normalised.
    """
    norms = _norms(network)
    if len(parts) == 1 or not norms:
        yield from parts
        return
    found = [statistic for norm in norms for statistic in (norm.running_mean, norm.running_var) if statistic is not None]
    counts = [norm.num_batches_tracked for norm in norms if norm.num_batches_tracked is not None]
    first, reached = [statistic.clone() for statistic in found], [torch.zeros_like(statistic) for statistic in found]
    for part in parts:
        _copy(found, first)
        yield part
        torch._foreach_add_(reached, found, alpha=1 / len(parts))
    _copy(found, reached)
    for count in counts:
        count -= len(parts) - 1


def _norms(network: nn.Module) -> list[_BatchNorm]:
    return [module for module in network.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]


@torch.no_grad()
def _copy(to: Sequence[Tensor], of: Sequence[Tensor]) -> None:
    torch._foreach_copy_(list(to), list(of))
