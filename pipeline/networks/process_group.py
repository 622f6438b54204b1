"""Training by several processes (torchrun): each works on its share of the batch, gradients are averaged, the first one writes.

Averaging after the backward pass, in one message, instead of torch's DistributedDataParallel: it wraps networks under other
names, and cannot tell the two passes that reach the discriminator in a step.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from pipeline.core.errors import UserError


@dataclass(frozen=True)
class ProcessGroup:
    """Who this process is among those that train together."""

    rank: int = 0
    size: int = 1

    @property
    def writes(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def share(self, batch: int) -> slice:
        """Which pictures of a batch are this process's."""
        each = batch // self.size
        return slice(self.rank * each, (self.rank + 1) * each)

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors of one dtype by their means over the team, in one message."""
        if self.size > 1:
            ours = list(tensors)
            flat = torch.cat([tensor.reshape(-1) for tensor in ours])
            dist.all_reduce(flat)
            flat /= self.size
            means = torch.split(flat, [tensor.numel() for tensor in ours])
            for tensor, mean in zip(ours, means, strict=True):
                tensor.copy_(mean.view_as(tensor))

    def any(self, mine: bool, device: torch.device) -> bool:
        """Whether anyone says yes; all must ask together."""
        if self.size == 1:
            return mine
        said = torch.tensor([float(mine)], device=device)
        dist.all_reduce(said, dist.ReduceOp.MAX)
        return bool(said.item())

    def agrees(self, numbers: Sequence[int], device: torch.device) -> bool:
        """Whether all hold the same numbers; all must ask together."""
        if self.size == 1:
            return True
        mine = torch.tensor([[number, -number] for number in numbers], device=device)
        least = mine.clone()
        dist.all_reduce(least, dist.ReduceOp.MIN)
        return bool((least[:, 0] == -least[:, 1]).all().item())

    def wait(self) -> None:
        """Until all are here."""
        if self.size > 1:
            dist.barrier()


def current() -> ProcessGroup:
    """The team this process is in; alone when none was joined."""
    return (
        ProcessGroup(dist.get_rank(), dist.get_world_size())
        if dist.is_available() and dist.is_initialized()
        else ProcessGroup()
    )


def synchronised(network: nn.Module, device: torch.device, key: str) -> nn.Module:
    """The network with batch norms that see the whole team's batch.

    Raises:
        UserError: the processor has no such norm; `key` is what to change.
    """
    if current().size == 1 or not any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        return network
    if device.type != "cuda":
        raise UserError(
            f"{key}: torch cannot synchronise batch norm on processors: set it to instance or layer, or train.processes to 1"
        )
    return nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-any-return, no-untyped-call]
