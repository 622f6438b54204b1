"""What the discriminator sees and the terms of its loss: anime is real, everything else is not.

CartoonGAN adds anime with smoothed edges to what is not real, so that edges matter (eq. 3, the edge-promoting loss); AnimeGAN
adds anime in grayscale, so that color matters.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models import losses
from models.frozen_features import FrozenFeatureDiscriminator
from models.losses import Logits
from models.ops.augment import Way, augment
from pipeline.dataset.loader import Batch
from pipeline.params.training import LossParams
from pipeline.training.features import Features, seen_output
from pipeline.training.metric_log import Terms


@dataclass(frozen=True)
class DiscriminatorInput:
    """A kind of picture that the discriminator learns to tell: a row of `DISCRIMINATOR_INPUTS`."""

    name: str
    weight: Callable[[LossParams], float]
    """Weight of its term; at 0 the pictures are not shown."""
    pictures: Callable[[Batch, Tensor, LossParams], Tensor]
    """Takes the batch, the generator's output and the loss parameters; N x 3 x H x W."""
    draws_row: int
    """Row of the batch's random draws by which the pictures are augmented: copies of a picture share one."""


def _anime(batch: Batch, _: Tensor, __: LossParams) -> Tensor:
    assert batch.anime is not None
    return batch.anime


def _edge_smoothed(batch: Batch, _: Tensor, loss: LossParams) -> Tensor:
    assert batch.edge_smoothed is not None
    return losses.grayscale(batch.edge_smoothed) if loss.edge_grayscale else batch.edge_smoothed


REAL, FAKE = "real", "fake"
DISCRIMINATOR_INPUTS = (
    DiscriminatorInput(REAL, lambda loss: 1.0, _anime, draws_row=0),
    DiscriminatorInput("edge_smoothed", lambda loss: loss.edge_weight, _edge_smoothed, draws_row=1),
    DiscriminatorInput("grayscale", lambda loss: loss.grayscale_weight, lambda *given: losses.grayscale(_anime(*given)), 0),
    DiscriminatorInput(FAKE, lambda loss: 1.0, lambda _, fake, __: fake, draws_row=2),
)


def compute_discriminator_terms(
    discriminator: nn.Module,
    batch: Batch,
    fake: Tensor,
    loss: LossParams,
    augmentations: Sequence[Way] = (),
    fake_features: Features | None = None,
) -> Terms:
    """Compute the terms of the discriminator's loss in one pass over all its inputs.

    Args:
        fake: the generator's output for batch.photo, detached.
        augmentations: augmentations of all inputs; not applied where `fake_features` are given.
        fake_features: features of `fake`, where they were extracted already for a discriminator on frozen features.

    Returns:
        discriminator_NAME for each input that has a weight (the relativistic form has no term for real pictures alone),
        discriminator_r1 and discriminator_r2 where they have a weight, the weighted sum discriminator_total, and
        discriminator_accuracy: the share of logits of real and fake on the right side.
    """
    rows, form = _active_inputs(loss), loss.adversarial_form
    if fake_features is None:
        inputs = {row.name: [_prepare(row, batch, fake, loss, augmentations)] for row in rows}
    else:
        assert isinstance(discriminator, FrozenFeatureDiscriminator)
        inputs = _features_of_inputs(discriminator, rows, batch, fake, loss, fake_features)
    penalties = {REAL: ("r1", loss.r1_weight), FAKE: ("r2", loss.r2_weight)}
    for name, (_, weight) in penalties.items():
        if weight:
            inputs[name] = [given.detach().requires_grad_() for given in inputs[name]]
    given = [torch.cat(kind) for kind in zip(*inputs.values(), strict=True)]
    if isinstance(discriminator, FrozenFeatureDiscriminator) and fake_features is not None:
        all_logits: Logits = discriminator.classify(dict(zip(discriminator.size.layers, given, strict=True)))
    else:
        all_logits = discriminator(*given)
    logits = dict(zip(inputs, _split(all_logits, len(inputs)), strict=True))
    if form == "relativistic":
        terms = {name: losses.relativistic(logits[REAL], logits[name]) for name in inputs if name != REAL}
    else:
        terms = {REAL: losses.discriminator_real(form, logits[REAL], loss.label_smoothing)}
        terms |= {name: losses.discriminator_fake(form, logits[name]) for name in inputs if name != REAL}
    total = torch.stack([row.weight(loss) * terms[row.name] for row in rows if row.name in terms]).sum()
    for name, (penalty, weight) in penalties.items():
        if weight:
            terms[penalty] = losses.gradient_penalty(logits[name], inputs[name])
            total = total + 0.5 * weight * terms[penalty]
    terms |= {"total": total, "accuracy": _accuracy(logits[REAL], logits[FAKE], 0.5 if form == "lsgan" else 0.0)}
    return {f"discriminator_{name}": term for name, term in terms.items()}


def _features_of_inputs(
    discriminator: FrozenFeatureDiscriminator,
    rows: Sequence[DiscriminatorInput],
    batch: Batch,
    fake: Tensor,
    loss: LossParams,
    fake_features: Features,
) -> dict[str, list[Tensor]]:
    """The frozen features of each input, in the order of the discriminator's layers; those of fakes are given."""
    others = [row for row in rows if row.name != FAKE]
    with torch.no_grad():
        pictures = torch.cat([_prepare(row, batch, fake, loss, ()) for row in others])
        features = discriminator.extractor(pictures, discriminator.size.layers)
    divided = [features[layer].chunk(len(others)) for layer in discriminator.size.layers]
    inputs = {row.name: [parts[index] for parts in divided] for index, row in enumerate(others)}
    return {**inputs, FAKE: [fake_features[layer].detach() for layer in discriminator.size.layers]}


def logits_of_anime(discriminator: nn.Module, batch: Batch, loss: LossParams, augmentations: Sequence[Way] = ()) -> Logits:
    """Compute the discriminator's logits for the batch's anime, with which the relativistic form compares those of fakes."""
    row = next(row for row in DISCRIMINATOR_INPUTS if row.name == REAL)
    logits: Logits = discriminator(_prepare(row, batch, batch.photo, loss, augmentations))
    return logits


def logits_of_fakes(
    discriminator: nn.Module,
    batch: Batch,
    fake: Tensor,
    loss: LossParams,
    augmentations: Sequence[Way] = (),
    fake_features: Features | None = None,
) -> Logits:
    """Compute the discriminator's logits for the generator's output.

    With batch norm, whose output depends on the rest of the batch, fakes are shown among the inputs of the discriminator's own
    step; otherwise alone.

    Args:
        fake_features: features of `fake`, where they were extracted already for a discriminator on frozen features.
    """
    if fake_features is not None:
        assert isinstance(discriminator, FrozenFeatureDiscriminator)
        return discriminator.classify(fake_features)
    rows = _active_inputs(loss)
    if not any(isinstance(module, nn.BatchNorm2d | nn.SyncBatchNorm) for module in discriminator.modules()):
        rows = [row for row in rows if row.name == FAKE]
    inputs = [_prepare(row, batch, fake, loss, augmentations) for row in rows]
    return _split(discriminator(torch.cat(inputs)), len(inputs))[-1]


def _active_inputs(loss: LossParams) -> list[DiscriminatorInput]:
    return [row for row in DISCRIMINATOR_INPUTS if row.weight(loss)]


def _prepare(row: DiscriminatorInput, batch: Batch, fake: Tensor, loss: LossParams, augmentations: Sequence[Way]) -> Tensor:
    """What the discriminator sees of the pictures of a row, in grayscale and augmented as params say."""
    pictures = row.pictures(batch, fake, loss)
    pictures = seen_output(pictures, batch, loss) if row.name == FAKE else batch.seen(pictures)
    if loss.adversarial_grayscale:
        pictures = losses.grayscale(pictures)
    if not augmentations:
        return pictures
    assert batch.augmentation_draws is not None
    return augment(pictures, batch.augmentation_draws[:, row.draws_row], augmentations)


def _split(logits: Logits, count: int) -> list[Logits]:
    """Divide the logits of several concatenated inputs into those of each, whatever the number of heads."""
    if isinstance(logits, Tensor):
        return list(logits.chunk(count))
    return [list(of_input) for of_input in zip(*(head.chunk(count) for head in logits), strict=True)]


def _accuracy(real: Logits, fake: Logits, threshold: float) -> Tensor:
    shares = [(head > threshold).float().mean() for head in losses.heads(real)]
    shares += [(head < threshold).float().mean() for head in losses.heads(fake)]
    return torch.stack(shares).mean()
