"""The training loop, top to bottom: batch, discriminator step, generator step, average, log.

`fit` is the loop of pretraining and training alike: housekeeping (schedules, log, validation, checkpoints) around a step.
`gan_step` is the step of adversarial training; that of pretraining is in pipeline/pretrain.py. The terms of the losses are the
tables in loss_terms.py and discriminator_terms.py.
"""

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Adam
from tqdm.contrib.logging import logging_redirect_tqdm

from models import batch_norm
from pipeline.core import signals, stage
from pipeline.core.errors import UserError, log
from pipeline.dataset.loader import Batch, BatchLoader
from pipeline.networks import devices, process_group
from pipeline.params.training import EngineParams, LossParams, TrainParams
from pipeline.training import progress, schedules
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.discriminator_terms import compute_discriminator_terms
from pipeline.training.features import OutputFeatures
from pipeline.training.gan_networks import GanNetworks
from pipeline.training.loss_terms import compute_terms, weighted_total
from pipeline.training.metric_log import Terms
from pipeline.training.state import TrainingState


def fit(
    state: TrainingState,
    section: EngineParams,
    batches: BatchLoader,
    step: Callable[[Batch, Iterable[Batch]], Terms],
    checkpoints: Checkpoints,
    validate: Callable[[], None] | None = None,
    validate_every_images: int | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> None:
    """Train from wherever the state is until the generator has seen `section.images` photos.

    Args:
        step: takes a batch and the batches of the discriminator's further steps, trains on them, and returns its terms by name.
        validate: called before the first step of a new run and, unless `validate_every_images` is None, at that interval and at
            the end.
        should_stop: asked after each validation whether to end the run there.

    Raises:
        UserError: a term is not finite.
        KeyboardInterrupt, SystemExit: Ctrl-C or SIGTERM, to any process; a checkpoint was written first if the disk allowed.
    """
    name, group, metrics = checkpoints.folder.parent.name, process_group.current(), state.metrics
    started, first, saved_at, stopped = time.monotonic(), state.images_seen, time.monotonic(), False

    def is_due(every: int | None) -> bool:
        seen = state.images_seen
        return every is not None and (seen >= section.images or seen // every > (seen - section.batch) // every)

    def publish(finished: bool) -> None:
        """Write curves and progress for `genga watch`."""
        if not group.writes:
            return
        rate = (state.images_seen - first) / max(time.monotonic() - started, 1e-9)
        try:
            metrics.write(progress.folder_of(name))
            progress.write(name, state.images_seen, section.images, rate, checkpoints.folder, finished)
        except OSError as error:  # a full disk does not stop the run
            log.warning("%s is not up to date (%s)", progress.folder_of(name), error)

    if group.writes:
        shutil.rmtree(progress.folder_of(name), ignore_errors=True)
    with (
        stage.progress_bar(name, "images", section.images, first, hidden=not group.writes) as bar,
        logging_redirect_tqdm(),
        signals.deferred_signals() as stop_request,
    ):
        group.wait()  # until every process defers signals
        publish(finished=False)
        if validate is not None and state.images_seen == 0:
            validate()
        while state.images_seen < section.images and not stopped:
            schedules.set_rates(state.optimizers.values(), section, state.images_seen)
            batch, discriminator_batches = batches.batch_at(state.images_seen), batches.discriminator_batches(state.images_seen)
            terms = step(batch, discriminator_batches)
            state.images_seen += section.batch
            metrics.add_step(state.images_seen, terms)
            bar.update(min(section.batch, section.images - bar.n))
            if logged := is_due(section.log_every_images):
                _fetch_terms(state, checkpoints)
                means = metrics.log_means(state.images_seen)
                bar.set_postfix({term: f"{value:.3g}" for term, value in means.items() if _fits_in_bar(term)}, refresh=False)
                publish(finished=False)
            if validate is not None and is_due(validate_every_images):
                validate()
                stopped = should_stop()
            # The processes of a group must save and leave together: they ask each other at log points only, as that takes time.
            if (group.size == 1 or logged) and state.images_seen < section.images:
                device = next(iter(terms.values())).device
                late = time.monotonic() - saved_at >= section.checkpoint_every_s
                leave = group.any(stop_request.signal is not None, device)
                if leave or group.any(late, device) or is_due(section.checkpoint_every_images):
                    _save(state, checkpoints)
                    saved_at = time.monotonic()
                if leave:
                    group.wait()  # for the process that writes: launchers kill the others soon after one has left
                    log.info("asked to leave: %s", checkpoints.describe_newest())
                    stop_request.raise_if_received()
                    raise SystemExit(1)  # another process was asked
        _save(state, checkpoints)
        publish(finished=True)
    seconds, images = max(time.monotonic() - started, 1e-9), state.images_seen - first
    log.info("%d images in %.0f s, %.3g images/s", images, seconds, images / seconds)


def gan_step(
    networks: GanNetworks,
    batch: Batch,
    section: TrainParams,
    loss: LossParams,
    discriminator_batches: Iterable[Batch] = (),
    ema_decay: float | Tensor = 0.999,
) -> Terms:
    """Do one step of adversarial training: the discriminator's, the generator's, and the average's.

    Args:
        discriminator_batches: a batch for each further step of the discriminator, which come first (train.discriminator_steps).
        ema_decay: decay of the generator's average in this step.

    Returns:
        The terms by name, means over the parts of the batch; the discriminator's are means over its steps too.
    """
    parts, terms = batch.chunk(section.accumulate), Terms()
    # A batch in one part is generated once, with graph, for both steps. Of several parts only one graph fits in memory: their
    # outputs are generated without graph for the discriminator, and again in the generator's step.
    fakes: list[Fake] = []
    if networks.discriminator is not None:
        steps = []
        for other in discriminator_batches:
            others = other.chunk(section.accumulate)
            steps.append(discriminator_step(networks, others, generate_without_graph(networks, others, section), section, loss))
        if len(parts) == 1:
            fakes = [_generate_with_features(networks, batch, section, loss)]
        steps.append(
            discriminator_step(networks, parts, fakes or generate_without_graph(networks, parts, section), section, loss)
        )
        terms = mean_terms(steps)
    terms |= generator_step(networks, parts, fakes, section, loss)
    if networks.ema is not networks.generator:
        update_average(networks.ema, networks.generator, ema_decay)
    return terms


class Fake(NamedTuple):
    """The generator's output for a part of a batch."""

    picture: Tensor
    features: OutputFeatures | None = None
    """What the loss terms compare of it; None: not extracted yet."""


def discriminator_step(
    networks: GanNetworks, parts: Sequence[Batch], fakes: Sequence[Fake], section: TrainParams, loss: LossParams
) -> Terms:
    """Update the discriminator, which learns to tell anime from the generator's output.

    Args:
        parts: the batch, in as many parts as fit memory.
        fakes: the generator's output for each part; no gradients reach the generator.

    Returns:
        The means of its terms over the parts, and its gradient's norm (discriminator_gradient).
    """
    discriminator, optimizer = networks.discriminator, networks.discriminator_optimizer
    assert discriminator is not None and optimizer is not None
    terms: list[Terms] = []

    def losses_of_parts() -> Iterator[Tensor]:
        for part, fake in batch_norm.accumulated_statistics(discriminator, list(zip(parts, fakes, strict=True))):
            with devices.autocast(networks.device, section.precision):
                features = None if fake.features is None else fake.features.discriminator
                terms.append(
                    compute_discriminator_terms(discriminator, part, fake.picture.detach(), loss, section.augment, features)
                )
            yield terms[-1]["discriminator_total"] / len(parts)

    gradient = optimizer_step(losses_of_parts(), discriminator, optimizer, section.max_gradient_norm)
    return {**mean_terms(terms), "discriminator_gradient": gradient}


def generator_step(
    networks: GanNetworks, parts: Sequence[Batch], fakes: Sequence[Fake], section: TrainParams, loss: LossParams
) -> Terms:
    """Update the generator by the weighted sum of its loss terms.

    Args:
        fakes: its outputs for each part, with graph; empty: they are generated here.

    Returns:
        The means over the parts of its terms before weighting and of the weighted total, and its gradient's norm (gradient).
    """
    terms: list[Terms] = []

    def losses_of_parts() -> Iterator[Tensor]:
        for index, part in enumerate(batch_norm.accumulated_statistics(networks.generator, parts)):
            with devices.autocast(networks.device, section.precision):
                fake = fakes[index] if fakes else Fake(networks.generator(part.photo))
                found = compute_terms(
                    fake.picture,
                    part,
                    loss,
                    networks.extractors,
                    networks.generator,
                    networks.discriminator,
                    section.augment,
                    fake.features,
                )
            terms.append(found | {"total": weighted_total(found, loss)})
            yield terms[-1]["total"] / len(parts)

    gradient = optimizer_step(losses_of_parts(), networks.generator, networks.generator_optimizer, section.max_gradient_norm)
    return {**mean_terms(terms), "gradient": gradient}


def _generate_with_features(networks: GanNetworks, batch: Batch, section: TrainParams, loss: LossParams) -> Fake:
    with devices.autocast(networks.device, section.precision):
        picture = networks.generator(batch.photo)
        return Fake(picture, networks.extractors.of_output(picture, batch, loss))


def generate_without_graph(networks: GanNetworks, parts: Sequence[Batch], section: TrainParams) -> list[Fake]:
    """Generate outputs for the discriminator alone: no graph, and the generator's running statistics stay as they are."""
    with (
        torch.no_grad(),
        batch_norm.frozen_statistics(networks.generator),
        devices.autocast(networks.device, section.precision),
    ):
        return [Fake(networks.generator(part.photo)) for part in parts]


def optimizer_step(
    losses: Iterable[Tensor], network: nn.Module, optimizer: Adam, max_gradient_norm: float | None = None
) -> Tensor:
    """Accumulate the gradients of losses, average them over the process group, clip their norm, and step.

    Each loss is used before the next is made, so that only one graph is in memory.

    Returns:
        The norm of the averaged gradient before it was clipped.
    """
    optimizer.zero_grad(set_to_none=True)
    for loss in losses:
        loss.backward()  # type: ignore[no-untyped-call]
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    process_group.current().average(gradients)
    norm = nn.utils.get_total_norm(gradients)
    if max_gradient_norm is not None:
        nn.utils.clip_grads_with_norm_(network.parameters(), max_gradient_norm, norm)
    optimizer.step()
    return norm


def mean_terms(parts: Sequence[Terms]) -> Terms:
    """Average each term over the parts of a batch (at least one, all with the same terms), without graph."""
    if len(parts) == 1:
        return {name: term.detach() for name, term in parts[0].items()}
    return {name: torch.stack([terms[name].detach() for terms in parts]).mean() for name in parts[0]}


@torch.no_grad()
def update_average(ema: nn.Module, network: nn.Module, decay: float | Tensor) -> None:
    """Update the moving average of a network in place: decay ema + (1 - decay) network; running statistics are copied."""
    for averaged, current in zip(ema.parameters(), network.parameters(), strict=True):
        averaged.lerp_(current, 1 - decay)
    for kept, statistic in zip(ema.buffers(), network.buffers(), strict=True):
        kept.copy_(statistic)


def _fits_in_bar(term: str) -> bool:
    return "_" not in term or term == "discriminator_total"


def _save(state: TrainingState, checkpoints: Checkpoints) -> None:
    """Write a checkpoint, if every term so far is finite; a disk that refuses it does not stop the run."""
    _fetch_terms(state, checkpoints)
    if not process_group.current().writes:
        return
    try:
        checkpoints.save(state.to_checkpoint())
    except OSError as error:
        log.warning(
            "no checkpoint at images %d (%s): make room in %s; %s",
            state.images_seen,
            error,
            checkpoints.folder,
            checkpoints.describe_newest(),
        )


def _fetch_terms(state: TrainingState, checkpoints: Checkpoints) -> None:
    not_finite = state.metrics.fetch_steps()
    if not_finite is not None:
        images_seen, name = not_finite
        raise UserError(
            f"training stopped at images {images_seen}: {name} is not finite; {checkpoints.describe_newest()}. "
            f"Lower the learning rate or the weight of the term, or set precision to float32"
        )
