"""Control of batch norms' running statistics, where one training step runs a network twice or on parts of a batch."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

T = TypeVar("T")


@contextmanager
def frozen_statistics(network: nn.Module) -> Iterator[None]:
    """Keep running statistics as they are within the block; batch norms in training mode still normalize by the batch's own."""
    norms = _norms(network)
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        # Not track_running_stats: without it other tensors are kept for the backward pass, which checkpointing refuses.
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count


def accumulated_statistics(network: nn.Module, parts: Sequence[T]) -> Iterator[T]:
    """Yield the parts of a batch, so that running them one after another updates running statistics once.

    Each part updates the statistics from where the batch found them, and the mean of the results is kept. So running means
    are those of the whole batch, and running variances the means of the parts', by which the pictures were normalized.
    """
    norms = _norms(network)
    if len(parts) == 1 or not norms:
        yield from parts
        return
    statistics = [statistic for norm in norms for statistic in (norm.running_mean, norm.running_var) if statistic is not None]
    initial, mean = [statistic.clone() for statistic in statistics], [torch.zeros_like(statistic) for statistic in statistics]
    for part in parts:
        _copy(initial, statistics)
        yield part
        torch._foreach_add_(mean, statistics, alpha=1 / len(parts))
    _copy(mean, statistics)
    for norm in norms:
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked -= len(parts) - 1


def _norms(network: nn.Module) -> list[_BatchNorm]:
    return [module for module in network.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]


@torch.no_grad()
def _copy(source: Sequence[Tensor], target: Sequence[Tensor]) -> None:
    torch._foreach_copy_(list(target), list(source))
