"""A training step as one CUDA graph: its hundreds of kernels are launched at once, which takes the time of launching away.

A GPU finishes the kernels of a small step faster than Python can name them. The first steps run as usual, so that every
library chooses its kernels and optimizers have their state; then one step is captured, and replayed on new batches from there.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pipeline.core.errors import log
from pipeline.dataset.loader import Batch
from pipeline.networks import process_group
from pipeline.params.training import LossParams, TrainParams
from pipeline.training.metric_log import Terms

EAGER_STEPS = 3

Step = Callable[[Batch, Iterable[Batch], "float | Tensor"], Terms]
"""Takes a batch, those of the discriminator's further steps, and the decay of the average; returns the terms."""


def graphed(step: Step, section: TrainParams, loss: LossParams) -> Step:
    """Return the step as a `GraphedStep` for a CUDA GPU, or as it is where one graph cannot hold it.

    A graph has a fixed sequence of kernels of one process: parts of a batch, further batches for the discriminator, other
    processes, superpixels and save_memory rule it out.
    """
    fits = section.accumulate == section.discriminator_steps == process_group.current().size == 1
    return GraphedStep(step) if fits and not loss.superpixel_weight and not section.save_memory else step


@dataclass
class GraphedStep:
    """A step that is captured once it has run a few times, and replayed from then on."""

    step: Step
    calls: int = 0
    _failed: bool = False
    _graph: torch.cuda.CUDAGraph | None = None
    _batch: Batch | None = None
    _decay: Tensor | None = None
    _names: list[str] = field(default_factory=list)
    _terms: Tensor | None = None

    def __call__(self, batch: Batch, others: Iterable[Batch], decay: float | Tensor) -> Terms:
        """Do a step; see `Step`."""
        self.calls += 1
        if self.calls <= EAGER_STEPS:
            stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                terms = self.step(batch, others, decay)
            torch.cuda.current_stream().wait_stream(stream)
            return terms
        if self._graph is None and not self._failed:
            try:
                self._capture(batch, decay)
            except RuntimeError as error:
                self._failed, self._graph = True, None
                log.warning("the training step runs without a CUDA graph (%s)", str(error).strip().split("\n")[0][:200])
        if self._failed:
            return self.step(batch, others, decay)
        assert self._graph is not None and self._batch is not None and self._decay is not None and self._terms is not None
        for held, given in zip(self._batch, batch, strict=True):
            if held is not None and given is not None:
                held.copy_(given)
        self._decay.fill_(float(decay))
        self._graph.replay()
        return dict(zip(self._names, self._terms.clone().unbind(), strict=True))

    def _capture(self, batch: Batch, decay: float | Tensor) -> None:
        """Record the kernels of a step on copies of the batch; nothing is computed."""
        # Without a target of its own the photo is compared: one tensor in both fields.
        copies = {id(given): given.clone() for given in batch if given is not None}
        self._batch = Batch._make(None if given is None else copies[id(given)] for given in batch)
        self._decay = torch.full((), float(decay), device=batch.photo.device)
        graph = torch.cuda.CUDAGraph()
        torch.cuda.synchronize()
        with torch.cuda.graph(graph):
            terms = self.step(self._batch, (), self._decay)
            self._names = list(terms)
            self._terms = torch.stack([terms[name].float() for name in self._names])
        self._graph = graph
        log.info("the training step is one CUDA graph")
