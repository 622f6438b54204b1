"""Stage `train`: the generator learns the look of the films, against a discriminator where the loss asks for one.

Which published system it is depends on params alone (recipes/): a term whose weight is 0 is not computed, and without
adversarial weight no discriminator exists.
"""

from __future__ import annotations

import copy
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.optim import Adam

from models import losses
from models.discriminators import build_discriminator
from models.perceptual import Vgg19Features
from pipeline import batches, checkpoints, images, stage, training, weights
from pipeline.batches import Batch, Batches
from pipeline.checkpoints import Checkpoints
from pipeline.faults import Fault
from pipeline.images import Picture
from pipeline.params import LossParams, Params
from pipeline.training import Numbers, State, Terms
from pipeline.vgg import VggWeights, load_vgg19

CODE = ("batches", "images", "manifest", "shards", "train", "training", "vgg", "weights")
WON = 0.98  # share of patches that a discriminator tells right, above which it has won
WON_ADVICE = "lower train.discriminator_lr or loss.adversarial_weight, or set model.spectral_norm"
WON_FOR = 0.25  # share of the run for which it must have won before that is worth a warning

log = logging.getLogger("genga")


@dataclass(frozen=True)
class Rulers:
    """VGG19 down to the layers that the loss compares; networks that the weights make needless are None."""

    content: Vgg19Features | None
    style: Vgg19Features | None
    both: Vgg19Features | None
    """All layers in one pass, for outputs; only where style is compared in colour."""

    def of_output(self, output: Tensor, loss: LossParams) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Features of an output for content and for style."""
        if self.both is not None:
            found = self.both(output)
            return found, found
        return (
            {} if self.content is None else self.content(output),
            {} if self.style is None else self.style(_styled(output, loss)),
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
    rulers: Rulers
    device: torch.device


def step(networks: Networks, batch: Batch, params: Params) -> Terms:
    """One step of both networks on one fake; the named terms."""
    with training.autocast(networks.device, params.train.precision):
        fake = networks.generator(batch.photo)
    terms = {} if networks.discriminator is None else discriminator_step(networks, batch, fake.detach(), params)
    terms |= generator_step(networks, batch, fake, params)
    if networks.ema is not networks.generator:
        training.average(networks.ema, networks.generator, params.train.ema_decay)
    return {name: term.detach() for name, term in terms.items()}


def discriminator_step(networks: Networks, batch: Batch, fake: Tensor, params: Params) -> Terms:
    """The discriminator learns to tell anime from its edge-smoothed twins and from fakes, in one pass over all."""
    loss, network, optimiser = params.loss, networks.discriminator, networks.discriminator_optimiser
    assert network is not None and optimiser is not None
    with training.autocast(networks.device, params.train.precision):
        pictures = [*company(batch, loss), as_judged(fake, loss)]
        anime, *smooth, judged = network(torch.cat(pictures)).chunk(len(pictures))
        terms = losses.discriminator_terms(loss.adversarial_form, anime, smooth[0] if smooth else None, judged)
    total = torch.stack([term * (loss.edge_weight if name == "smooth" else 1) for name, term in terms.items()]).sum()
    gradient = training.step_down(total, network, optimiser)
    middle = 0.5 if loss.adversarial_form == "lsgan" else 0.0
    right = ((anime > middle).float().mean() + (judged < middle).float().mean()) / 2
    named = {f"discriminator_{name}": term for name, term in terms.items()}
    return {**named, "discriminator_total": total, "discriminator_right": right, "discriminator_gradient": gradient}


def as_judged(pictures: Tensor, loss: LossParams) -> Tensor:
    """Pictures as the discriminator sees them: without colour where the loss says so."""
    return losses.grey(pictures) if loss.adversarial_grey else pictures


def company(batch: Batch, loss: LossParams) -> list[Tensor]:
    """What the discriminator sees besides fakes: anime, and its twins where the loss has them."""
    return [as_judged(pictures, loss) for pictures in (batch.anime, batch.smooth) if pictures is not None]


def judge(network: nn.Module, batch: Batch, fake: Tensor, loss: LossParams) -> Tensor:
    """The discriminator's logits for fakes.

    Batch norm judges a picture by those around it, so there the fakes keep the company in which it learned to judge.
    """
    if any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        return cast(Tensor, network(torch.cat([*company(batch, loss), as_judged(fake, loss)]))[-len(fake) :])
    return cast(Tensor, network(as_judged(fake, loss)))


def generator_step(networks: Networks, batch: Batch, fake: Tensor, params: Params) -> Terms:
    """The generator learns to keep the photo's content and to take on the anime's look."""
    loss, network = params.loss, networks.discriminator
    with training.autocast(networks.device, params.train.precision):
        terms = likeness(networks.rulers, fake, batch.target, batch.anime, loss)
        if network is not None:
            network.requires_grad_(False)
            terms["adversarial"] = losses.generator_adversarial(loss.adversarial_form, judge(network, batch, fake, loss))
            network.requires_grad_(True)
    share = shares(loss)
    total = torch.stack([share[name] * term for name, term in terms.items()]).sum()
    gradient = training.step_down(total, networks.generator, networks.generator_optimiser)
    return {**terms, "total": total, "gradient": gradient}


def shares(loss: LossParams) -> Numbers:
    """The weight of each of the generator's terms."""
    return {
        "content": loss.content_weight,
        "style": loss.style_weight,
        "color": loss.color_weight,
        "tv": loss.tv_weight,
        "adversarial": loss.adversarial_weight,
    }


def likeness(rulers: Rulers, output: Tensor, target: Tensor, anime: Tensor | None, loss: LossParams) -> Terms:
    """The raw terms that need no discriminator, each only where it has a weight."""
    terms: Terms = {}
    content, style = rulers.of_output(output, loss)
    if rulers.content is not None:
        with torch.no_grad():
            wanted = rulers.content(target)[loss.content_layer]
        terms["content"] = losses.content(content[loss.content_layer], wanted, loss.content_distance)
    if rulers.style is not None:
        assert anime is not None
        with torch.no_grad():
            look = rulers.style(_styled(anime, loss))
        layers = dict.fromkeys(loss.style_layers)
        terms["style"] = torch.stack(
            [losses.gram_style(style[layer], look[layer], loss.style_distance) for layer in layers]
        ).mean()
    if loss.color_weight:
        terms["color"] = losses.color_yuv(output, target)
    if loss.tv_weight:
        terms["tv"] = losses.total_variation(output)
    return terms


def _styled(picture: Tensor, loss: LossParams) -> Tensor:
    return losses.grey(picture) if loss.style_grey else picture


@torch.no_grad()
def review(
    networks: Networks, photos: Tensor, targets: Tensor, anime: Tensor | None, params: Params
) -> tuple[Numbers, Sequence[Picture]]:
    """Redraw whole validation squares (uint8 NHWC); the terms on their centres, as large as in training."""
    network, side = networks.ema, params.train.crop_px
    photo, target = (images.to_model(pixels.to(networks.device)) for pixels in (photos, targets))
    network.eval()
    with training.autocast(networks.device, params.train.precision):
        output = network(photo)
        # A film may have fewer validation squares than there are photos: it is gone through again.
        turns = torch.arange(len(photos)) % (1 if anime is None else len(anime))
        look = None if anime is None else _centre(images.to_model(anime[turns].to(networks.device)), side)
        terms = likeness(networks.rulers, _centre(output, side), _centre(target, side), look, params.loss)
    network.train()
    pictures = list(images.from_model(output).cpu().numpy())
    numbers = {name: float(term) for name, term in terms.items()}
    return {**numbers, "change": training.difference(list(photos.numpy()), pictures)}, pictures


def _centre(pictures: Tensor, side: int) -> Tensor:
    top, left = ((length - side) // 2 for length in pictures.shape[-2:])
    return pictures[..., top : top + side, left : left + side]


def build_rulers(vgg: VggWeights, loss: LossParams, device: torch.device) -> Rulers:
    """The networks that the loss weights call for."""
    content = style = both = None
    if loss.content_weight:
        content = training.ruler(vgg, [loss.content_layer], "loss.content_layer", device)
    if loss.style_weight:
        style = training.ruler(vgg, loss.style_layers, "loss.style_layers", device)
    if content is not None and style is not None and not loss.style_grey:
        both = training.ruler(vgg, [loss.content_layer, *loss.style_layers], "loss", device)
    return Rulers(content, style, both)


def build_networks(params: Params, vgg: VggWeights, pretrained: Path, device: torch.device) -> Networks:
    """The pretrained generator, its average, and a fresh discriminator where there is to be one."""
    model, section = params.model, params.train
    generator, metadata = weights.load_generator(pretrained)
    wanted = weights.generator_metadata(model.generator, model.generator_norm)
    if {key: metadata.get(key) for key in wanted} != wanted:
        found, asked = (f"{kind[weights.GENERATOR]} (norm: {kind[weights.NORM]})" for kind in (metadata, wanted))
        raise Fault(f"{pretrained} is a {found}, not the {asked} of params.yaml: run dvc repro")
    training.to_device(generator, device).train().requires_grad_(True)
    discriminator = None
    if params.loss.adversarial_weight:
        with training.naming("model.discriminator"):
            discriminator = training.seeded(
                lambda: build_discriminator(model.discriminator, norm=model.discriminator_norm, spectral=model.spectral_norm),
                section.seed,
                "discriminator",
                device,
            )
    return Networks(
        generator,
        training.adam(generator, section.lr, section.beta1),
        copy.deepcopy(generator).requires_grad_(False) if section.ema_decay else generator,
        discriminator,
        None if discriminator is None else training.adam(discriminator, section.discriminator_lr, section.beta1),
        build_rulers(vgg, params.loss, device),
        device,
    )


def declare(networks: Networks) -> State:
    """What a checkpoint of training holds."""
    state = State({"generator": networks.generator}, {"generator": networks.generator_optimiser})
    if networks.ema is not networks.generator:
        state.networks["ema"] = networks.ema
    if networks.discriminator is not None and networks.discriminator_optimiser is not None:
        state.networks["discriminator"] = networks.discriminator
        state.optimisers["discriminator"] = networks.discriminator_optimiser
    return state


def has_won(right: Sequence[tuple[int, float]], images_in_all: int) -> bool:
    """Whether the discriminator told nearly everything right for long, given its share by images seen."""
    since = right[-1][0] if right else 0
    for images_seen, share in reversed(right):
        if share < WON:
            break
        since = images_seen
    return bool(right) and right[-1][0] - since >= WON_FOR * images_in_all


def run(params: Params, out: Path, data: Path = stage.DATA) -> Numbers:
    """Train on what params.squares lists, from the weights of data/pretrain; fill `out` with weights, losses and samples."""
    section, loss, device = params.train, params.loss, training.pick_device()
    training.prepare(device)
    if not any(shares(loss).values()):
        raise Fault("loss: every weight is 0, so there is nothing to learn: give one of them a value")
    photo_rows, photos = batches.load_split(data, "photo", "train", listed=params.squares)
    photo_targets = batches.load_targets(data, photo_rows, photos, loss.target)
    judge_rows, judges = batches.load_split(data, "photo", "val", section.sample_count, listed=params.squares)
    judged_by = batches.load_targets(data, judge_rows, judges, loss.target)
    anime = look = smooth = None
    if loss.style_weight or loss.adversarial_weight:
        rows, squares = batches.load_split(data, "anime", "train", listed=params.squares)
        anime = batches.place(squares, device)
        look = batches.load_split(data, "anime", "val", section.sample_count, listed=params.squares)[1]
        if loss.adversarial_weight and loss.edge_weight:
            smooth = batches.place(batches.load_twins(data, rows, "smooth"), device)
    vgg = load_vgg19(params.perceptual.weights)
    pretrained = data / "pretrain" / "generator.safetensors"
    networks = build_networks(params, vgg, pretrained, device)
    state = declare(networks)
    taught = [squares.digest for squares in (photos, photo_targets, anime, smooth) if squares is not None]
    ingredients = {
        "params": section.model_dump(exclude={"checkpoint_every_s"}),
        "loss": loss.model_dump(),
        "model": params.model.model_dump(),
        "data": [*taught, *(squares.digest for squares in (judges, judged_by, look) if squares is not None)],
        "pretrained": checkpoints.digest(pretrained),
        "vgg": vgg.sha256,
    }
    kept = Checkpoints("train", checkpoints.fingerprint(ingredients, checkpoints.source_code(*CODE)))
    targets = None if photo_targets is photos else batches.place(photo_targets, device)
    source = Batches(
        batches.place(photos, device), anime, smooth, section.seed, section.batch, section.crop_px, device, targets
    )
    samples = kept.folder / "samples"

    def look_over() -> None:
        seen, squares = state.images_seen, list(judges.pixels.numpy())
        numbers, outputs = review(networks, judges.pixels, judged_by.pixels, None if look is None else look.pixels, params)
        state.journal.log(seen, "val", numbers)
        samples.mkdir(parents=True, exist_ok=True)
        images.write(samples / f"{seen:09d}.jpg", images.strip([squares, outputs]))
        if warning := training.judge_output(squares, outputs, seen / section.images):
            log.warning("at images %d %s", seen, warning)
        if has_won(state.journal.series("train/discriminator_right"), section.images):
            log.warning("at images %d the discriminator has long told nearly everything right: %s", seen, WON_ADVICE)

    training.resume(state, kept, section.images)
    training.fit(
        state,
        section,
        lambda seen: step(networks, source.at(seen), params),
        kept,
        look_over,
        section.sample_every_images,
    )

    metadata = training.describe(params, ["model", "train", "loss"], vgg, " ".join(taught), state.images_seen)
    weights.save_generator(out / "generator.safetensors", networks.ema, metadata)
    state.journal.write(out / "dvclive")
    shutil.copytree(samples, out / "samples")
    kept.clear()
    return {"images_seen": float(state.images_seen)} | {
        f"val_{name}": value for name, value in state.journal.latest("val").items()
    }


if __name__ == "__main__":
    stage.main("train", run)
