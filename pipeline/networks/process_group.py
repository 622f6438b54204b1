"""Data-parallel training by several processes (torchrun): each takes a share of the batch, and gradients are averaged.

Gradients are averaged after the backward pass, in one message, and not by torch's DistributedDataParallel, which renames the
parameters of networks and does not allow two backward passes through the discriminator in a step.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from pipeline.core.errors import UserError


@dataclass(frozen=True)
class ProcessGroup:
    """This process's rank among those that train together, and their number; by default it is alone."""

    rank: int = 0
    size: int = 1

    @property
    def writes(self) -> bool:
        """Whether this process writes files and logs: the first one does."""
        return self.rank == 0

    def share(self, batch: int) -> slice:
        """The slice of a batch that this process works on; `batch` must be a multiple of the number of processes."""
        each = batch // self.size
        return slice(self.rank * each, (self.rank + 1) * each)

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors of one dtype by their means over all processes, in place."""
        if self.size > 1:
            own = list(tensors)
            flat = torch.cat([tensor.reshape(-1) for tensor in own])
            dist.all_reduce(flat)
            flat /= self.size
            means = torch.split(flat, [tensor.numel() for tensor in own])
            for tensor, mean in zip(own, means, strict=True):
                tensor.copy_(mean.view_as(tensor))

    def any(self, value: bool, device: torch.device) -> bool:
        """Whether `value` is true in any process; collective: all processes must call it."""
        if self.size == 1:
            return value
        largest = torch.tensor([float(value)], device=device)
        dist.all_reduce(largest, dist.ReduceOp.MAX)
        return bool(largest.item())

    def agrees(self, numbers: Sequence[int], device: torch.device) -> bool:
        """Whether all processes have the same numbers; collective: all processes must call it."""
        if self.size == 1:
            return True
        least = torch.tensor([[number, -number] for number in numbers], device=device)
        dist.all_reduce(least, dist.ReduceOp.MIN)
        return bool((least[:, 0] == -least[:, 1]).all().item())

    def wait(self) -> None:
        """Wait until all processes have called this."""
        if self.size > 1:
            dist.barrier()


def current() -> ProcessGroup:
    """The process group that this process has joined; a group of one if none."""
    return (
        ProcessGroup(dist.get_rank(), dist.get_world_size())
        if dist.is_available() and dist.is_initialized()
        else ProcessGroup()
    )


def synchronize_batch_norms(network: nn.Module, device: torch.device, key: str) -> nn.Module:
    """Replace batch norms by ones that use the batch of all processes; unchanged if it has none or there is one process.

    Raises:
        UserError: the device is the CPU, for which torch has no such norm; `key` is the parameter to change.
    """
    if current().size == 1 or not any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        return network
    if device.type != "cuda":
        raise UserError(
            f"{key}: torch cannot synchronize batch norm on CPUs: set it to instance or layer, or train.processes to 1"
        )
    return nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-any-return, no-untyped-call]
