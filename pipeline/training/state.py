"""The state of a training run: what a checkpoint saves and a resumed run restores."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.optim import Adam

from pipeline.core.errors import UserError, log
from pipeline.networks import process_group
from pipeline.training.checkpoints import Checkpoint, Checkpoints
from pipeline.training.metric_log import MetricLog

# Parameters that do not shape the weights: a run may be resumed with other values.
NOT_IN_FINGERPRINT = {"checkpoint_every_s", "checkpoint_every_images", "keep_checkpoints", "diagnostics", "processes"}


@dataclass
class TrainingState:
    """Everything that a run carries from one step to the next."""

    networks: dict[str, nn.Module]
    optimizers: dict[str, Adam]
    metrics: MetricLog = field(default_factory=MetricLog)
    images_seen: int = 0

    def to_checkpoint(self) -> Checkpoint:
        """The state as named tensors and JSON values; `metrics` must have fetched all steps."""
        tensors = dict(self._network_tensors())
        for name, optimizer in self.optimizers.items():
            for index, slots in optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer/{name}/{index}/{slot}": value for slot, value in slots.items()}
        record = {"rows": self.metrics.rows, "unlogged": self.metrics.unlogged, "processes": process_group.current().size}
        return Checkpoint(self.images_seen, tensors, record)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restore the state from a checkpoint of the same run."""
        with torch.no_grad():
            for name, tensor in self._network_tensors():
                tensor.copy_(checkpoint.tensors[name])
        for name, optimizer in self.optimizers.items():
            parameters = optimizer.param_groups[0]["params"]
            slots: dict[int, dict[str, Tensor]] = {}
            for path, value in checkpoint.tensors.items():
                kind, owner, *rest = path.split("/")
                if (kind, owner) == ("optimizer", name):
                    index, slot = int(rest[0]), rest[1]
                    # In the memory layout of its parameter: the fused kernels walk both in the order of memory.
                    like = torch.empty_like(parameters[index])
                    slots.setdefault(index, {})[slot] = like.copy_(value) if value.shape == like.shape else value
            optimizer.load_state_dict({"state": slots, "param_groups": optimizer.state_dict()["param_groups"]})
        self.metrics.rows = [(images_seen, row) for images_seen, row in checkpoint.record["rows"]]
        self.metrics.unlogged = checkpoint.record["unlogged"]
        self.images_seen = checkpoint.images_seen

    def _network_tensors(self) -> Iterator[tuple[str, Tensor]]:
        for name, network in self.networks.items():
            yield from ((f"network/{name}/{key}", value) for key, value in network.state_dict().items())


def resume(state: TrainingState, checkpoints: Checkpoints, images: int) -> None:
    """Restore the run's newest whole checkpoint, if there is one, and log whether the run resumes or starts afresh.

    Raises:
        UserError: the processes of a group would not start from the same state.
    """
    checkpoint, group = checkpoints.load_newest(), process_group.current()
    if checkpoint is not None:
        state.restore(checkpoint)
        log.info("resuming at images %d of %d", state.images_seen, images)
        if checkpoint.record["processes"] != group.size:
            log.warning(
                "the checkpoint was written by %d process(es) and now there are %d: training continues with the same numbers "
                "up to rounding, so the final weights differ in their last digits",
                checkpoint.record["processes"],
                group.size,
            )
    elif others := checkpoints.other_runs():
        log.info(
            "starting afresh: the %d unfinished run(s) in %s had other parameters, data or code; delete them if you like",
            len(others),
            checkpoints.folder.parent,
        )
    device = next(parameter.device for network in state.networks.values() for parameter in network.parameters())
    if not group.agrees([zlib.crc32(checkpoints.folder.name.encode()), state.images_seen], device):
        raise UserError(
            "the processes would not start from the same state: on several machines give all of them the same code, data/ "
            "and checkpoints (a shared folder; GENGA_WORK names where checkpoints are kept)"
        )
