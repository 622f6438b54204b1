"""Stage `train`: the generator learns the look of the films, against a discriminator where the loss asks for one.

Which published system it is depends on params alone (recipes/): a term whose weight is 0 is not computed, and without
adversarial weight no discriminator exists.
"""

from __future__ import annotations

import copy
import logging
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.optim import Adam

from models import losses
from models.augment import augment
from models.discriminators import build_discriminator
from models.perceptual import Vgg19Features
from pipeline import batches, checkpoints, devices, guards, images, launch, stage, team, training, weights
from pipeline.batches import Batch, Batches
from pipeline.checkpoints import Checkpoints
from pipeline.faults import Fault
from pipeline.images import Picture
from pipeline.journal import Numbers, Terms
from pipeline.params import LossParams, Params
from pipeline.training import State
from pipeline.vgg import VggWeights, load_vgg19

CODE = (
    "batches",
    "devices",
    "guards",
    "images",
    "journal",
    "manifest",
    "schedules",
    "shards",
    "team",
    "train",
    "training",
    "vgg",
    "weights",
)
FAKE = 2  # row of a batch's chances: anime, twin, fake
BEST = "best.safetensors"

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
    """One step of both networks on one fake; the named terms, means over the batch's parts."""
    parts = batch.parts(params.train.accumulate)
    # Of several parts, only one at a time is held with its graph: their fakes are made again for the generator's step.
    with torch.set_grad_enabled(len(parts) == 1), devices.autocast(networks.device, params.train.precision):
        fakes = [networks.generator(part.photo) for part in parts]
    terms = {}
    if networks.discriminator is not None:
        terms = discriminator_step(networks, parts, [fake.detach() for fake in fakes], params)
    terms |= generator_step(networks, parts, fakes, params)
    if networks.ema is not networks.generator:
        training.average(networks.ema, networks.generator, params.train.ema_decay)
    return terms


def discriminator_step(networks: Networks, parts: Sequence[Batch], fakes: Sequence[Tensor], params: Params) -> Terms:
    """The discriminator learns to tell anime from its edge-smoothed twins and from fakes, in one pass over all."""
    network, optimiser = networks.discriminator, networks.discriminator_optimiser
    assert network is not None and optimiser is not None
    found: list[Terms] = []

    def totals() -> Iterator[Tensor]:
        for part, fake in zip(parts, fakes, strict=True):
            with devices.autocast(networks.device, params.train.precision):
                found.append(discriminator_terms(network, part, fake, params))
            yield found[-1]["discriminator_total"] / len(parts)

    gradient = training.step_down(totals(), network, optimiser)
    return {**training.mean_terms(found), "discriminator_gradient": gradient}


def discriminator_terms(network: nn.Module, batch: Batch, fake: Tensor, params: Params) -> Terms:
    """What the discriminator pays on a part of a batch, term by term and in all."""
    loss = params.loss
    pictures = company(batch, params)
    if loss.r1_weight:
        pictures[0] = pictures[0].detach().requires_grad_()
    logits = network(torch.cat([*pictures, as_judged(fake, batch, FAKE, params)]))
    anime, *smooth, judged = logits.chunk(len(pictures) + 1)
    terms = losses.discriminator_terms(
        loss.adversarial_form, anime, smooth[0] if smooth else None, judged, label_smoothing=loss.label_smoothing
    )
    total = torch.stack([term * (loss.edge_weight if name == "smooth" else 1) for name, term in terms.items()]).sum()
    if loss.r1_weight:
        terms["r1"] = losses.gradient_penalty(anime, pictures[0])
        total = total + 0.5 * loss.r1_weight * terms["r1"]
    middle = 0.5 if loss.adversarial_form == "lsgan" else 0.0
    right = ((anime > middle).float().mean() + (judged < middle).float().mean()) / 2
    named = {f"discriminator_{name}": term for name, term in terms.items()}
    return {**named, "discriminator_total": total, "discriminator_right": right}


def as_judged(pictures: Tensor, batch: Batch, row: int, params: Params) -> Tensor:
    """Pictures as the discriminator sees them: without colour where the loss says so, augmented by a row of the chances."""
    shown = losses.grey(pictures) if params.loss.adversarial_grey else pictures
    if not params.train.augment:
        return shown
    assert batch.chances is not None
    return augment(shown, batch.chances[:, row], params.train.augment)


def company(batch: Batch, params: Params) -> list[Tensor]:
    """What the discriminator sees besides fakes: anime, and its twins where the loss has them."""
    beside = enumerate((batch.anime, batch.smooth))
    return [as_judged(pictures, batch, row, params) for row, pictures in beside if pictures is not None]


def judge(network: nn.Module, batch: Batch, fake: Tensor, params: Params) -> Tensor:
    """The discriminator's logits for fakes.

    Batch norm judges a picture by those around it, so there the fakes keep the company in which it learned to judge.
    """
    shown = as_judged(fake, batch, FAKE, params)
    if any(isinstance(module, nn.BatchNorm2d | nn.SyncBatchNorm) for module in network.modules()):
        return cast(Tensor, network(torch.cat([*company(batch, params), shown]))[-len(fake) :])
    return cast(Tensor, network(shown))


def generator_step(networks: Networks, parts: Sequence[Batch], fakes: Sequence[Tensor], params: Params) -> Terms:
    """The generator learns to keep the photo's content and to take on the anime's look."""
    loss, network, share = params.loss, networks.discriminator, shares(params.loss)
    found: list[Terms] = []

    def totals() -> Iterator[Tensor]:
        for part, made in zip(parts, fakes, strict=True):
            with devices.autocast(networks.device, params.train.precision):
                fake = made if len(parts) == 1 else networks.generator(part.photo)
                terms = likeness(networks.rulers, fake, part.target, part.anime, loss)
                if network is not None:
                    network.requires_grad_(False)
                    terms["adversarial"] = losses.generator_adversarial(
                        loss.adversarial_form, judge(network, part, fake, params)
                    )
                    network.requires_grad_(True)
            terms["total"] = torch.stack([share[name] * term for name, term in terms.items()]).sum()
            found.append(terms)
            yield terms["total"] / len(parts)

    gradient = training.step_down(totals(), networks.generator, networks.generator_optimiser)
    return {**training.mean_terms(found), "gradient": gradient}


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
    with devices.autocast(networks.device, params.train.precision):
        output = network(photo)
        # A film may have fewer validation squares than there are photos: it is gone through again.
        turns = torch.arange(len(photos)) % (1 if anime is None else len(anime))
        look = None if anime is None else _centre(images.to_model(anime[turns].to(networks.device)), side)
        terms = likeness(networks.rulers, _centre(output, side), _centre(target, side), look, params.loss)
    network.train()
    pictures = list(images.from_model(output).cpu().numpy())
    numbers = {name: float(term) for name, term in terms.items()}
    return {**numbers, "change": guards.difference(list(photos.numpy()), pictures)}, pictures


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
    generator = team.synchronised(generator.train(), device, "model.generator_norm")
    devices.to_device(generator, device).requires_grad_(True)
    ema = copy.deepcopy(generator).requires_grad_(False) if section.ema_decay else generator
    training.make_ready(generator, section, device)
    discriminator = None
    if params.loss.adversarial_weight:
        with training.naming("model.discriminator"):
            discriminator = devices.seeded(
                lambda: build_discriminator(model.discriminator, norm=model.discriminator_norm, spectral=model.spectral_norm),
                section.seed,
                "discriminator",
                device,
            )
        discriminator = team.synchronised(discriminator, device, "model.discriminator_norm")
    return Networks(
        generator,
        training.adam(generator, section.lr, section.beta1),
        ema,
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


def stalled(series: Sequence[tuple[int, float]], images: int | None) -> bool:
    """Whether a term has not fallen under its lowest for so many images."""
    if images is None or not series:
        return False
    lowest = min(series, key=lambda point: point[1])[0]
    return series[-1][0] - lowest >= images


def run(params: Params, out: Path, data: Path = stage.DATA) -> Numbers:
    """Train on what params.squares lists, from the weights of data/pretrain; fill `out` with weights, losses and samples."""
    section, loss, device = params.train, params.loss, devices.pick_device()
    devices.prepare(device)
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
        "params": section.model_dump(exclude=training.HOUSEKEEPING),
        "loss": loss.model_dump(),
        "model": params.model.model_dump(),
        "data": [*taught, *(squares.digest for squares in (judges, judged_by, look) if squares is not None)],
        "pretrained": checkpoints.digest(pretrained),
        "vgg": vgg.sha256,
        "processes": team.ours().size,
    }
    name = checkpoints.fingerprint(ingredients, checkpoints.source_code(*CODE))
    kept = Checkpoints("train", name, keep=section.keep_checkpoints)
    targets = None if photo_targets is photos else batches.place(photo_targets, device)
    source = Batches(
        batches.place(photos, device),
        anime,
        smooth,
        section.seed,
        section.batch,
        section.crop_px,
        device,
        targets,
        bool(section.augment),
    )
    samples, best, writes = kept.folder / "samples", kept.folder / BEST, team.ours().writes

    def metadata() -> dict[str, str]:
        return training.describe(params, ["model", "train", "loss"], vgg, " ".join(taught), state.images_seen)

    def measured() -> list[tuple[int, float]]:
        return state.journal.series(f"val/{section.best_by}")

    def look_over() -> None:
        seen, squares, journal = state.images_seen, list(judges.pixels.numpy()), state.journal
        numbers, outputs = review(networks, judges.pixels, judged_by.pixels, None if look is None else look.pixels, params)
        found = guards.judge_output(squares, outputs, seen / section.images, section.guards)
        right, spent = (journal.series(f"train/discriminator_{name}") for name in ("right", "total"))
        found += guards.judge_discriminator(right, spent, section.images, section.guards)
        journal.log(seen, "val", numbers)
        journal.log(seen, "guards", guards.told(found))
        for name in found:
            log.warning("at images %d %s", seen, guards.ADVICE[name])
        if writes:
            samples.mkdir(parents=True, exist_ok=True)
            images.write(samples / f"{seen:09d}.jpg", images.strip([squares, outputs]))
            if section.best_by and not stalled(measured(), 1):
                weights.save_generator(best, networks.ema, metadata())

    training.resume(state, kept, section.images)
    training.fit(
        state,
        section,
        lambda seen: step(networks, source.at(seen), params),
        kept,
        look_over,
        section.sample_every_images,
        lambda: stalled(measured(), section.stop_after_images),
    )

    if writes:
        weights.save_generator(out / "generator.safetensors", networks.ema, metadata())
        state.journal.write(out / "dvclive")
        shutil.copytree(samples, out / "samples")
        if best.exists():
            shutil.copyfile(best, out / BEST)
        kept.finish()
    return {"images_seen": float(state.images_seen)} | {
        f"val_{name}": value for name, value in state.journal.latest("val").items()
    }


if __name__ == "__main__":
    launch.main("train", run, lambda: checkpoints.sweep("train"))
