"""One step of adversarial training: the discriminator's, then the generator's, term by term. Tensors only, no files.

A term whose weight is 0 is not computed, and without adversarial weight there is no discriminator.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.optim import Adam

from models import batch_norm, losses
from models.ops import superpixels
from models.ops.augment import augment
from models.perceptual import VggFeatures
from pipeline.core.stage import Numbers
from pipeline.dataset.loader import Batch
from pipeline.networks import devices
from pipeline.params.schema import Params
from pipeline.params.training import LossParams
from pipeline.training import trainer
from pipeline.training.metric_log import Terms

ANIME, SMOOTH, FAKE = range(3)  # rows of a batch's chances


@dataclass(frozen=True)
class FeatureExtractors:
    """VGG19 down to the layers that the loss compares; networks that the weights make needless are None."""

    content: VggFeatures | None
    style: VggFeatures | None
    both: VggFeatures | None
    """All layers in one pass, for outputs; only where style is compared in colour."""
    looks: Mapping[str, Tensor] | None = None
    """Layer -> the Gram matrices of the style pictures, one after another, where params name some; else the anime's count."""

    def of_output(self, output: Tensor, loss: LossParams) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Features of an output for content and for style."""
        if self.both is not None:
            found = self.both(output)
            return found, found
        return (
            {} if self.content is None else self.content(output),
            {} if self.style is None else self.style(styled(output, loss)),
        )


@dataclass(frozen=True)
class Networks:
    """What a step works with."""

    generator: nn.Module
    generator_optimiser: Adam
    ema: nn.Module
    """The averaged generator; the generator itself where train.ema_decay is 0."""
    discriminator: nn.Module | None
    discriminator_optimiser: Adam | None
    rulers: FeatureExtractors
    device: torch.device
    row: Mapping[str, str]
    """What the generator is built from, as its file says."""


def step(networks: Networks, batch: Batch, params: Params, before: Iterable[Batch] = ()) -> Terms:
    """One step of both networks on one fake; the named terms, means over the batch's parts and the discriminator's steps.

    Args:
        before: what the discriminator alone learns from first, a step a batch.
    """
    parts, found = batch.chunk(params.train.accumulate), list[Terms]()
    if networks.discriminator is not None:
        for other in before:
            others = other.chunk(params.train.accumulate)
            found.append(discriminator_step(networks, others, fakes_alone(networks, others, params), params))
    # Of several parts, only one at a time is held with its graph: their fakes are made again for the generator's step.
    if len(parts) == 1:
        with devices.autocast(networks.device, params.train.precision):
            fakes = [networks.generator(batch.photo)]
    else:
        fakes = fakes_alone(networks, parts, params) if networks.discriminator is not None else []
    if networks.discriminator is not None:
        found.append(discriminator_step(networks, parts, [fake.detach() for fake in fakes], params))
    terms = trainer.mean_terms(found) if found else {}
    terms |= generator_step(networks, parts, fakes, params)
    if networks.ema is not networks.generator:
        trainer.average(networks.ema, networks.generator, params.train.ema_decay)
    return terms


def fakes_alone(networks: Networks, parts: Sequence[Batch], params: Params) -> list[Tensor]:
    """Fakes from which the generator itself does not learn: no graph, and no mark on its running statistics."""
    with torch.no_grad(), batch_norm.still(networks.generator), devices.autocast(networks.device, params.train.precision):
        return [networks.generator(part.photo) for part in parts]


def discriminator_step(networks: Networks, parts: Sequence[Batch], fakes: Sequence[Tensor], params: Params) -> Terms:
    """The discriminator learns to tell anime from its edge-smoothed twins and from fakes, in one pass over all."""
    network, optimiser = networks.discriminator, networks.discriminator_optimiser
    assert network is not None and optimiser is not None
    found: list[Terms] = []

    def totals() -> Iterator[Tensor]:
        for part, fake in batch_norm.by_turns(network, list(zip(parts, fakes, strict=True))):
            with devices.autocast(networks.device, params.train.precision):
                found.append(discriminator_terms(network, part, fake, params))
            yield found[-1]["discriminator_total"] / len(parts)

    gradient = trainer.step_down(totals(), network, optimiser)
    return {**trainer.mean_terms(found), "discriminator_gradient": gradient}


def discriminator_terms(network: nn.Module, batch: Batch, fake: Tensor, params: Params) -> Terms:
    """What the discriminator pays on a part of a batch, term by term and in all."""
    loss = params.loss
    pictures = company(batch, params)
    if loss.r1_weight:
        pictures["anime"] = pictures["anime"].detach().requires_grad_()
    logits = network(torch.cat([*pictures.values(), as_judged(fake, batch, FAKE, params)]))
    *others, judged = logits.chunk(len(pictures) + 1)
    told = dict(zip(pictures, others, strict=True))
    anime = told["anime"]
    terms = losses.discriminator_terms(
        loss.adversarial_form,
        anime,
        told.get("smooth"),
        judged,
        logits_grey=told.get("grey"),
        label_smoothing=loss.label_smoothing,
    )
    wrongs = {"smooth": loss.edge_weight, "grey": loss.grayscale_weight}
    total = torch.stack([term * wrongs.get(name, 1.0) for name, term in terms.items()]).sum()
    if loss.r1_weight:
        terms["r1"] = losses.gradient_penalty(anime, pictures["anime"])
        total = total + 0.5 * loss.r1_weight * terms["r1"]
    middle = 0.5 if loss.adversarial_form == "lsgan" else 0.0
    right = ((anime > middle).float().mean() + (judged < middle).float().mean()) / 2
    named = {f"discriminator_{name}": term for name, term in terms.items()}
    return {**named, "discriminator_total": total, "discriminator_right": right}


def as_judged(pictures: Tensor, batch: Batch, row: int, params: Params) -> Tensor:
    """Pictures as the discriminator sees them: without colour where the loss says so, augmented by a row of the chances."""
    shown = losses.grey(pictures) if params.loss.adversarial_grayscale else pictures
    if not params.train.augment:
        return shown
    assert batch.augmentation_draws is not None
    return augment(shown, batch.augmentation_draws[:, row], params.train.augment)


def company(batch: Batch, params: Params) -> dict[str, Tensor]:
    """What the discriminator sees besides fakes: anime, and its twins and itself without colour where the loss has them."""
    assert batch.anime is not None
    found = {"anime": as_judged(batch.anime, batch, ANIME, params)}
    if batch.edge_smoothed is not None:
        twin = losses.grey(batch.edge_smoothed) if params.loss.edge_grayscale else batch.edge_smoothed
        found["smooth"] = as_judged(twin, batch, SMOOTH, params)
    if params.loss.grayscale_weight:
        found["grey"] = as_judged(losses.grey(batch.anime), batch, ANIME, params)
    return found


def judge(network: nn.Module, batch: Batch, fake: Tensor, params: Params) -> Tensor:
    """The discriminator's logits for fakes.

    Batch norm judges a picture by those around it, so there the fakes keep the company in which it learned to judge.
    """
    shown = as_judged(fake, batch, FAKE, params)
    if any(isinstance(module, nn.BatchNorm2d | nn.SyncBatchNorm) for module in network.modules()):
        return cast(Tensor, network(torch.cat([*company(batch, params).values(), shown]))[-len(fake) :])
    return cast(Tensor, network(shown))


def generator_step(networks: Networks, parts: Sequence[Batch], fakes: Sequence[Tensor], params: Params) -> Terms:
    """The generator learns to keep the photo's content and to take on the anime's look."""
    loss, network, share = params.loss, networks.discriminator, shares(params.loss)
    found: list[Terms] = []

    def totals() -> Iterator[Tensor]:
        for part in batch_norm.by_turns(networks.generator, parts):
            with devices.autocast(networks.device, params.train.precision):
                fake = fakes[0] if len(parts) == 1 else networks.generator(part.photo)
                terms = reconstruction_terms(networks.rulers, fake, part.target, part.anime, loss, part.style_index)
                if network is not None:
                    network.requires_grad_(False)
                    with batch_norm.still(network):
                        logits = judge(network, part, fake, params)
                    terms["adversarial"] = losses.generator_adversarial(loss.adversarial_form, logits)
                    network.requires_grad_(True)
                if loss.identity_weight:
                    assert part.anime is not None
                    # Running statistics are to be those of photos, which it is for.
                    with batch_norm.still(networks.generator):
                        terms["identity"] = losses.identity(networks.generator(part.anime), part.anime)
            terms["total"] = torch.stack([share[name] * term for name, term in terms.items()]).sum()
            found.append(terms)
            yield terms["total"] / len(parts)

    gradient = trainer.step_down(totals(), networks.generator, networks.generator_optimiser)
    return {**trainer.mean_terms(found), "gradient": gradient}


def shares(loss: LossParams) -> Numbers:
    """The weight of each of the generator's terms."""
    return {
        "content": loss.content_weight,
        "style": loss.style_weight,
        "color": loss.color_weight,
        "tv": loss.tv_weight,
        "region": loss.superpixel_weight,
        "identity": loss.identity_weight,
        "adversarial": loss.adversarial_weight,
    }


def reconstruction_terms(
    rulers: FeatureExtractors,
    output: Tensor,
    target: Tensor,
    anime: Tensor | None,
    loss: LossParams,
    look: Tensor | None = None,
) -> Terms:
    """The raw terms that need no discriminator, each only where it has a weight.

    Args:
        look: for each output the number of the style picture it is held to, where params name some.
    """
    terms: Terms = {}
    content, style = rulers.of_output(output, loss)
    if loss.content_weight:
        assert rulers.content is not None
        with torch.no_grad():
            wanted = rulers.content(target)[loss.content_layer]
        terms["content"] = losses.content(content[loss.content_layer], wanted, loss.content_distance)
    if rulers.style is not None:
        if rulers.looks is not None and look is not None:
            wanted_looks = {layer: grams[look] for layer, grams in rulers.looks.items()}
        else:
            assert anime is not None
            wanted_looks = grams_of(rulers.style, anime, loss)
        found = [
            losses.gram_distance(losses.gram(style[layer]), wanted_looks[layer], loss.style_distance)
            for layer in loss.style_layers
        ]
        shares = loss.style_layer_weights or [1.0] * len(found)
        terms["style"] = torch.stack([share * term for share, term in zip(shares, found, strict=True)]).sum() / sum(shares)
    if loss.color_weight:
        terms["color"] = (losses.color_lab if loss.color_space == "lab" else losses.color_yuv)(output, target)
    if loss.tv_weight:
        terms["tv"] = losses.total_variation(output, loss.tv_distance)
    if loss.superpixel_weight:
        assert rulers.content is not None
        with torch.no_grad():
            even = rulers.content(superpixels.evened(output, loss.superpixel_px))[loss.content_layer]
        terms["region"] = losses.region(content[loss.content_layer], even, loss.content_distance)
    return terms


@torch.no_grad()
def grams_of(ruler: VggFeatures, pictures: Tensor, loss: LossParams) -> dict[str, Tensor]:
    """Layer -> the Gram matrices of pictures, as style is compared."""
    return {layer: losses.gram(features) for layer, features in ruler(styled(pictures, loss)).items()}


def styled(picture: Tensor, loss: LossParams) -> Tensor:
    """A picture as style is compared in: without colour where the loss says so."""
    return losses.grey(picture) if loss.style_grayscale else picture
