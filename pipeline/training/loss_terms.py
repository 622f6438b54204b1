"""The terms of the generator's loss: one table. CONTRIBUTING.md shows how to add a row.

The total is the sum of weight times term over the rows whose weight is not 0; other rows are not computed. Each function
returns its term before weighting, which is what the curves train/NAME and val/NAME show.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from models import batch_norm, losses
from models.ops import superpixels
from models.ops.augment import Way
from pipeline.dataset.loader import Batch
from pipeline.params.training import LossParams
from pipeline.training.discriminator_terms import logits_of_anime, logits_of_fakes
from pipeline.training.features import FeatureExtractors, OutputFeatures, content_input
from pipeline.training.metric_log import Terms

Need = Literal["content_features", "style_features", "anime", "generator", "discriminator"]


@dataclass(frozen=True)
class TermInputs:
    """Everything that a term may use; pictures are float N x 3 x H x W in [-1, 1]."""

    output: Tensor
    """What the generator made of batch.photo."""
    batch: Batch
    loss: LossParams
    extractors: FeatureExtractors
    features: OutputFeatures
    generator: nn.Module | None
    discriminator: nn.Module | None
    augment: Sequence[Way]
    """Augmentations of what the discriminator sees (train.augment)."""


@dataclass(frozen=True)
class LossTerm:
    """A term of the generator's loss: a row of `LOSS_TERMS`."""

    name: str
    """Name of its curves, and the prefix of its parameters."""
    weight: Callable[[LossParams], float]
    compute: Callable[[TermInputs], Tensor]
    needs: tuple[Need, ...] = ()
    """What has to be loaded or built for it. Terms that need neither network are measured on validation photos too."""


def content(inputs: TermInputs) -> Tensor:
    """Difference of the output from the target in VGG features at loss.content_layer."""
    layer = inputs.loss.content_layer
    assert inputs.extractors.content is not None
    with torch.no_grad():
        target = content_input(inputs.batch.seen(inputs.batch.target), inputs.loss)
        wanted = inputs.extractors.content(target, [layer])[layer]
    return losses.content(inputs.features.content[layer], wanted, inputs.loss.content_distance)


def style(inputs: TermInputs) -> Tensor:
    """Difference of the output's Gram matrices from those of style pictures or else anime: weighted mean over layers."""
    loss = inputs.loss
    anime = None if inputs.batch.anime is None else inputs.batch.seen(inputs.batch.anime)
    wanted = inputs.extractors.reference_grams(anime, inputs.batch.style_index, loss)
    distances = [
        losses.gram_distance(losses.gram(inputs.features.style[layer]), wanted[layer], loss.style_distance)
        for layer in loss.style_layers
    ]
    weights = loss.style_layer_weights or [1.0] * len(distances)
    weighted = [weight * distance for weight, distance in zip(weights, distances, strict=True)]
    return torch.stack(weighted).sum() / sum(weights)


def color(inputs: TermInputs) -> Tensor:
    """Difference of the output from the target in color, pixel by pixel, in the space loss.color_space."""
    distance = losses.color_lab if inputs.loss.color_space == "lab" else losses.color_yuv
    return distance(inputs.output, inputs.batch.target)


def area_color(inputs: TermInputs) -> Tensor:
    """Difference of the output from the target in the color of areas: both are blurred, and dark lines removed."""
    return losses.area_color(inputs.output, inputs.batch.target, inputs.loss.area_color_line_px)


def chroma_variation(inputs: TermInputs) -> Tensor:
    """Total variation of the output's chroma."""
    return losses.chroma_variation(inputs.output)


def flat_areas(inputs: TermInputs) -> Tensor:
    """Total variation of the output's luma where the photo is flat."""
    return losses.flat_areas(inputs.output, losses.flatness(inputs.batch.photo, inputs.loss.flat_threshold))


def total_variation(inputs: TermInputs) -> Tensor:
    """Total variation of the output."""
    return losses.total_variation(inputs.output, inputs.loss.tv_distance)


def superpixel(inputs: TermInputs) -> Tensor:
    """Difference in VGG features between the output and itself with each superpixel in its mean color."""
    layer = inputs.loss.content_layer
    assert inputs.extractors.content is not None
    with torch.no_grad():
        evened = inputs.batch.seen(superpixels.evened(inputs.output, inputs.loss.superpixel_px))
        filled = inputs.extractors.content(content_input(evened, inputs.loss), [layer])[layer]
    return losses.superpixel(inputs.features.content[layer], filled, inputs.loss.content_distance)


def adversarial(inputs: TermInputs) -> Tensor:
    """Adversarial loss of the output; gradients go through the discriminator and leave none in it."""
    discriminator = inputs.discriminator
    assert discriminator is not None
    batch, loss = inputs.batch, inputs.loss
    trainable = [parameter for parameter in discriminator.parameters() if parameter.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    with batch_norm.frozen_statistics(discriminator):
        logits = logits_of_fakes(discriminator, batch, inputs.output, loss, inputs.augment, inputs.features.discriminator)
        if loss.adversarial_form == "relativistic":
            with torch.no_grad():
                real = logits_of_anime(discriminator, batch, loss, inputs.augment)
            term = losses.relativistic(logits, real)
        else:
            term = losses.generator_adversarial(loss.adversarial_form, logits)
    for parameter in trainable:
        parameter.requires_grad_(True)
    return term


def identity(inputs: TermInputs) -> Tensor:
    """Mean absolute difference between anime and the generator's output for it."""
    anime = inputs.batch.anime
    assert inputs.generator is not None and anime is not None
    with batch_norm.frozen_statistics(inputs.generator):  # running statistics are those of photos, the generator's inputs
        return losses.identity(inputs.generator(anime), anime)


LOSS_TERMS = (
    LossTerm("content", lambda loss: loss.content_weight, content, ("content_features",)),
    LossTerm("style", lambda loss: loss.style_weight, style, ("style_features",)),
    LossTerm("color", lambda loss: loss.color_weight, color),
    LossTerm("area_color", lambda loss: loss.area_color_weight, area_color),
    LossTerm("chroma_variation", lambda loss: loss.chroma_variation_weight, chroma_variation),
    LossTerm("flat_areas", lambda loss: loss.flat_areas_weight, flat_areas),
    LossTerm("tv", lambda loss: loss.tv_weight, total_variation),
    LossTerm("superpixel", lambda loss: loss.superpixel_weight, superpixel, ("content_features",)),
    LossTerm("adversarial", lambda loss: loss.adversarial_weight, adversarial, ("discriminator", "anime")),
    LossTerm("identity", lambda loss: loss.identity_weight, identity, ("generator", "anime")),
)
"""All terms of the generator's loss, in the order in which they are computed."""


def active_terms(loss: LossParams) -> list[LossTerm]:
    """The rows of `LOSS_TERMS` whose weight is not 0."""
    return [term for term in LOSS_TERMS if term.weight(loss)]


def needs_of(loss: LossParams) -> set[Need]:
    """All that the terms whose weight is not 0 need; empty if none needs anything."""
    return {need for term in active_terms(loss) for need in term.needs}


def compute_terms(
    output: Tensor,
    batch: Batch,
    loss: LossParams,
    extractors: FeatureExtractors,
    generator: nn.Module | None = None,
    discriminator: nn.Module | None = None,
    augment: Sequence[Way] = (),
    features: OutputFeatures | None = None,
) -> Terms:
    """Compute the terms whose weight is not 0, before weighting, by name; those that need an absent network are left out.

    Args:
        features: those of the output if they were extracted already; None: they are extracted here.
    """
    absent = {"generator": generator is None, "discriminator": discriminator is None}
    features = features or extractors.of_output(output, batch, loss)
    inputs = TermInputs(output, batch, loss, extractors, features, generator, discriminator, augment)
    return {term.name: term.compute(inputs) for term in active_terms(loss) if not any(absent.get(need) for need in term.needs)}


def weighted_total(terms: Terms, loss: LossParams) -> Tensor:
    """Sum the terms, each times its weight: what the generator minimizes. KeyError if a term with a weight is missing."""
    return torch.stack([term.weight(loss) * terms[term.name] for term in active_terms(loss)]).sum()
