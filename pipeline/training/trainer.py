"""The engine that pretraining and training share: optimisers, the state that is saved, the loop."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import shutil
import time
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import safetensors
import torch
from torch import Tensor, nn
from torch.optim import Adam
from tqdm.contrib.logging import logging_redirect_tqdm

from models.generators.animegan import AnimeGan
from models.generators.table import AnyGenerator, Generator
from models.perceptual import VggFeatures
from pipeline.core import signals, stage
from pipeline.core.errors import UserError
from pipeline.networks import devices, process_group
from pipeline.networks.vgg import VggWeights
from pipeline.params.schema import Params
from pipeline.params.training import EngineParams
from pipeline.training import progress, schedules
from pipeline.training.checkpoints import Checkpoint, Checkpoints
from pipeline.training.metric_log import MetricLog, Terms

BETA2 = 0.999
# What a run may be resumed with other values of.
HOUSEKEEPING = {"checkpoint_every_s", "checkpoint_every_images", "keep_checkpoints", "diagnostics", "processes"}

log = logging.getLogger("genga")


@contextlib.contextmanager
def naming(key: str) -> Iterator[None]:
    """Tell a ValueError of models/ as the fault of the params key it came from."""
    try:
        yield
    except ValueError as error:
        raise UserError(f"{key}: {error}") from None


def ruler(vgg: VggWeights, taps: Sequence[str], key: str, device: torch.device) -> VggFeatures:
    """The VGG down to the deepest of some layers that the params key names."""
    with naming(key):
        network = vgg.features(dict.fromkeys(taps))
    devices.to_device(network, device)
    devices.accelerate(network, device)
    return network


def make_ready(network: nn.Module, section: EngineParams, device: torch.device) -> None:
    """Prepare a network for learning as params say: memory saved, passes compiled or hastened otherwise."""
    if section.save_memory and isinstance(network, Generator | AnimeGan):
        network.save_memory = True
    if not section.compile:
        devices.accelerate(network, device)
    elif isinstance(network, AnyGenerator):
        picture = torch.zeros(section.batch // section.accumulate, 3, section.crop_px, section.crop_px, device=device)
        devices.compile_if_it_works(network, picture.contiguous(memory_format=devices.layout(device)), section.precision)


def adam(network: nn.Module, lr: float, beta1: float) -> Adam:
    """The fused Adam of a network."""
    return Adam(network.parameters(), lr=lr, betas=(beta1, BETA2), fused=True)


def step_down(parts: Iterable[Tensor], network: nn.Module, optimiser: Adam) -> Tensor:
    """One step of an optimiser down a sum of losses, each done with before the next is made; the norm of the gradient."""
    optimiser.zero_grad(set_to_none=True)
    for loss in parts:
        loss.backward()  # type: ignore[no-untyped-call]
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    process_group.current().average(gradients)
    norm = nn.utils.get_total_norm(gradients)
    optimiser.step()
    return norm


def mean_terms(parts: Sequence[Terms]) -> Terms:
    """The terms of a batch from those of its parts, without graph."""
    if len(parts) == 1:
        return {name: term.detach() for name, term in parts[0].items()}
    return {name: torch.stack([terms[name].detach() for terms in parts]).mean() for name in parts[0]}


@torch.no_grad()
def average(ema: nn.Module, network: nn.Module, decay: float) -> None:
    """Move an averaged copy of a network towards it; running statistics are copied."""
    torch._foreach_lerp_(list(ema.parameters()), list(network.parameters()), 1 - decay)
    for mine, other in zip(ema.buffers(), network.buffers(), strict=True):
        mine.copy_(other)


@dataclass
class State:
    """All that a run carries from one step to the next: declared here, saved and restored by name."""

    networks: dict[str, nn.Module]
    optimisers: dict[str, Adam]
    journal: MetricLog = field(default_factory=MetricLog)
    images_seen: int = 0

    def checkpoint(self) -> Checkpoint:
        """The state as named tensors and plain values; the journal must be settled."""
        tensors = dict(self._network_tensors())
        for name, optimiser in self.optimisers.items():
            for index, slots in optimiser.state_dict()["state"].items():
                tensors |= {f"optimiser/{name}/{index}/{slot}": value for slot, value in slots.items()}
        record = {"rows": self.journal.rows, "pending": self.journal.pending, "processes": process_group.current().size}
        return Checkpoint(self.images_seen, tensors, record)

    def restore(self, saved: Checkpoint) -> None:
        """Take the values of a checkpoint of the same run."""
        with torch.no_grad():
            for name, tensor in self._network_tensors():
                tensor.copy_(saved.tensors[name])
        for name, optimiser in self.optimisers.items():
            parameters = optimiser.param_groups[0]["params"]
            slots: dict[int, dict[str, Tensor]] = {}
            for path, value in saved.tensors.items():
                kind, owner, *rest = path.split("/")
                if (kind, owner) == ("optimiser", name):
                    index, slot = int(rest[0]), rest[1]
                    # Laid out as its parameter: the fused kernels walk both in the order of memory.
                    like = torch.empty_like(parameters[index])
                    slots.setdefault(index, {})[slot] = like.copy_(value) if value.shape == like.shape else value
            optimiser.load_state_dict({"state": slots, "param_groups": optimiser.state_dict()["param_groups"]})
        self.journal.rows = [(images_seen, row) for images_seen, row in saved.record["rows"]]
        self.journal.pending = saved.record["pending"]
        self.images_seen = saved.images_seen

    def _network_tensors(self) -> Iterator[tuple[str, Tensor]]:
        for name, network in self.networks.items():
            yield from ((f"network/{name}/{key}", value) for key, value in network.state_dict().items())


def resume(state: State, checkpoints: Checkpoints, images: int) -> None:
    """Go on from the run's newest whole checkpoint, if it left one; say which way it is.

    Raises:
        UserError: the members of a team would not start from the same place.
    """
    saved, crew = checkpoints.newest(), process_group.current()
    if saved is not None:
        state.restore(saved)
        log.info("resuming at images %d of %d", state.images_seen, images)
        if saved.record["processes"] != crew.size:
            log.warning(
                "the checkpoint was written by %d process(es) and now there are %d: it goes on as it would have, but for "
                "rounding, so the bytes at the end are others",
                saved.record["processes"],
                crew.size,
            )
    elif strangers := checkpoints.strangers():
        log.info(
            "starting afresh: what %s holds (%d unfinished) was of other parameters, data or code; delete it at will",
            checkpoints.folder.parent,
            len(strangers),
        )
    device = next(parameter.device for network in state.networks.values() for parameter in network.parameters())
    if not crew.agrees([zlib.crc32(checkpoints.folder.name.encode()), state.images_seen], device):
        raise UserError(
            "the processes would not start from the same place: on several machines give all of them the same code, data/ "
            "and checkpoints (a shared folder; GENGA_WORK names where checkpoints lie)"
        )


def fit(
    state: State,
    section: EngineParams,
    step: Callable[[int], Terms],
    checkpoints: Checkpoints,
    review: Callable[[], None] | None = None,
    review_every_images: int | None = None,
    enough: Callable[[], bool] = lambda: False,
) -> None:
    """The loop, from wherever the state is to `section.images` photos: housekeeping, then a step, one counter.

    Args:
        step: takes the images seen, does one step of training and returns its named terms.
        review: looks at the validation photos; at the start, each `review_every_images`, and at the end.
        enough: asked after each review whether to end here.

    Raises:
        UserError: a term is not finite.
        KeyboardInterrupt, SystemExit: asked to leave by Ctrl-C or SIGTERM; there is a checkpoint.
    """
    journal, began, first = state.journal, time.monotonic(), state.images_seen
    name, saved_at, crew, over = checkpoints.folder.parent.name, began, process_group.current(), False

    def due(every: int | None) -> bool:
        seen = state.images_seen
        return every is not None and (seen >= section.images or seen // every > (seen - section.batch) // every)

    def tell(finished: bool) -> None:
        if not crew.writes:
            return
        rate = (state.images_seen - first) / max(time.monotonic() - began, 1e-9)
        try:
            journal.write(progress.folder_of(name))
            progress.write(name, state.images_seen, section.images, rate, checkpoints.folder, finished)
        except OSError as error:  # who looks on must wait until there is room again
            log.warning("%s is not up to date (%s)", progress.folder_of(name), error)

    if crew.writes:
        shutil.rmtree(progress.folder_of(name), ignore_errors=True)
    with (
        stage.bar(name, "images", section.images, first, hidden=not crew.writes) as bar,
        logging_redirect_tqdm(),
        signals.deferred_signals() as asked,
    ):
        crew.wait()  # until all of them listen
        tell(finished=False)  # from here on who is told to leave saves first
        if review is not None and state.images_seen == 0:
            review()
        while state.images_seen < section.images and not over:
            schedules.set_rates(state.optimisers.values(), section, state.images_seen)
            terms = step(state.images_seen)
            state.images_seen += section.batch
            journal.note(state.images_seen, terms)
            bar.update(min(section.batch, section.images - bar.n))
            if logged := due(section.log_every_images):
                _settle(journal, checkpoints)
                means = journal.mean()
                journal.log(state.images_seen, "train", means)
                bar.set_postfix({term: f"{value:.3g}" for term, value in means.items() if _shown(term)}, refresh=False)
                tell(finished=False)
            if review is not None and due(review_every_images):
                review()
                over = enough()
            # Members of a team must leave and save together: they agree at log points only, which cost little.
            if (crew.size == 1 or logged) and state.images_seen < section.images:
                device = next(iter(terms.values())).device
                late = time.monotonic() - saved_at >= section.checkpoint_every_s
                leave = crew.any(asked.by is not None, device)
                if leave or crew.any(late, device) or due(section.checkpoint_every_images):
                    _save(state, checkpoints)
                    saved_at = time.monotonic()
                if leave:
                    crew.wait()  # for the one who writes: launchers give the rest little time once someone has left
                    log.info("asked to leave: %s", checkpoints.last())
                    asked.obey()
                    raise SystemExit(1)  # another member was asked
        _save(state, checkpoints)
        tell(finished=True)
    seconds = max(time.monotonic() - began, 1e-9)
    log.info("%d images in %.0f s, %.3g images/s", state.images_seen - first, seconds, (state.images_seen - first) / seconds)


def _shown(term: str) -> bool:
    """Whether a term has room beside the progress bar."""
    return "_" not in term or term == "discriminator_total"


def _save(state: State, checkpoints: Checkpoints) -> None:
    """A checkpoint, if every term so far is finite; a disk that refuses it does not stop the run."""
    _settle(state.journal, checkpoints)
    if not process_group.current().writes:
        return
    try:
        checkpoints.save(state.checkpoint())
    except OSError as error:
        log.warning(
            "no checkpoint at images %d (%s): make room in %s; %s",
            state.images_seen,
            error,
            checkpoints.folder,
            checkpoints.last(),
        )


def _settle(journal: MetricLog, checkpoints: Checkpoints) -> None:
    found = journal.settle()
    if found is not None:
        images_seen, name = found
        raise UserError(
            f"training stopped at images {images_seen}: {name} is not finite; {checkpoints.last()}. "
            f"Lower the learning rate or the weight of the term, or set precision to float32"
        )


def describe(
    params: Params, sections: Collection[str], network: Mapping[str, str], vgg: VggWeights, data: str, images_seen: int
) -> dict[str, str]:
    """What a file of weights says: how to rebuild the network, and how it was made; `sections` are those of params it read.

    The names and places of films and photographs are left out: they are the user's business, and their digest is there.
    """
    recipe = json.dumps(params.model_dump(include=set(sections)), sort_keys=True)
    return {
        **network,
        "images_seen": str(images_seen),
        "recipe": recipe,
        "recipe_blake2b": hashlib.blake2b(recipe.encode(), digest_size=8).hexdigest(),
        "data_blake2b": data,
        "vgg": vgg.origin,
        "vgg_sha256": vgg.sha256,
        "versions": f"torch {torch.__version__}, safetensors {safetensors.__version__}",
        "licence": "Learned from the films and photographs of whoever trained it, whose rights may bear on its use.",
    }
