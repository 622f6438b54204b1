"""What the discriminator sees and the terms of its loss: anime is real, everything else is not.

CartoonGAN adds anime with smoothed edges to what is not real, so that edges matter (eq. 3, the edge-promoting loss); AnimeGAN
adds anime in grayscale, so that color matters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models import losses
from models.losses import Logits
from models.ops.augment import Way, augment
from pipeline.dataset.loader import Batch
from pipeline.params.training import LossParams
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
    discriminator: nn.Module, batch: Batch, fake: Tensor, loss: LossParams, augmentations: Sequence[Way] = ()
) -> Terms:
    """Compute the terms of the discriminator's loss in one pass over all its inputs.

    Args:
        fake: what the generator made of batch.photo, without graph.

    Returns:
        discriminator_NAME for each input that has a weight, discriminator_r1 where loss.r1_weight is not 0, the weighted sum
        discriminator_total, and discriminator_accuracy: the share of logits of real and fake on the right side.
    """
    rows, form = _active_inputs(loss), loss.adversarial_form
    inputs = {row.name: _prepare(row, batch, fake, loss, augmentations) for row in rows}
    if loss.r1_weight:
        inputs[REAL] = inputs[REAL].detach().requires_grad_()
    logits = dict(zip(inputs, _split(discriminator(torch.cat([*inputs.values()])), len(inputs)), strict=True))
    terms = {REAL: losses.discriminator_real(form, logits[REAL], loss.label_smoothing)}
    terms |= {name: losses.discriminator_fake(form, logits[name]) for name in inputs if name != REAL}
    total = torch.stack([row.weight(loss) * terms[row.name] for row in rows]).sum()
    if loss.r1_weight:
        terms["r1"] = losses.r1_penalty(logits[REAL], inputs[REAL])
        total = total + 0.5 * loss.r1_weight * terms["r1"]
    terms |= {"total": total, "accuracy": _accuracy(logits[REAL], logits[FAKE], 0.5 if form == "lsgan" else 0.0)}
    return {f"discriminator_{name}": term for name, term in terms.items()}


def logits_of_fakes(
    discriminator: nn.Module, batch: Batch, fake: Tensor, loss: LossParams, augmentations: Sequence[Way] = ()
) -> Logits:
    """Compute the discriminator's logits for the generator's output.

    With batch norm, whose output depends on the rest of the batch, fakes are shown among the inputs of the discriminator's own
    step; otherwise alone.
    """
    rows = _active_inputs(loss)
    if not any(isinstance(module, nn.BatchNorm2d | nn.SyncBatchNorm) for module in discriminator.modules()):
        rows = [row for row in rows if row.name == FAKE]
    inputs = [_prepare(row, batch, fake, loss, augmentations) for row in rows]
    return _split(discriminator(torch.cat(inputs)), len(inputs))[-1]


def _active_inputs(loss: LossParams) -> list[DiscriminatorInput]:
    return [row for row in DISCRIMINATOR_INPUTS if row.weight(loss)]


def _prepare(row: DiscriminatorInput, batch: Batch, fake: Tensor, loss: LossParams, augmentations: Sequence[Way]) -> Tensor:
    """The pictures of a row, in grayscale and augmented as params say."""
    pictures = row.pictures(batch, fake, loss)
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
