"""Stage `train`: the generator learns the look of the films, against a discriminator where the loss asks for one.

Which published system it is depends on params alone (recipes/): a term whose weight is 0 is not computed, and without
adversarial weight no discriminator exists.
"""

from __future__ import annotations

import copy
import hashlib
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.discriminators import build_discriminator
from pipeline import (
    batches,
    checkpoints,
    devices,
    gan,
    guards,
    images,
    launch,
    lessons,
    material,
    stage,
    team,
    training,
    weights,
)
from pipeline.batches import Batches
from pipeline.checkpoints import Checkpoints
from pipeline.faults import Fault
from pipeline.gan import Networks, Rulers
from pipeline.images import Picture
from pipeline.journal import Numbers
from pipeline.params import LossParams, Params
from pipeline.training import State
from pipeline.trial import Trial
from pipeline.vgg import VggWeights, load_vgg

CODE = (
    "batches",
    "devices",
    "gan",
    "guards",
    "images",
    "journal",
    "lessons",
    "manifest",
    "material",
    "nearness",
    "ruler",
    "schedules",
    "shards",
    "team",
    "train",
    "training",
    "trial",
    "vgg",
    "weights",
)
BEST = "best.safetensors"
STYLE_PX = 512  # longest side of a style picture: a brush stroke is to be as wide as what a photo of that size shows

log = logging.getLogger("genga")


@torch.no_grad()
def review(
    networks: Networks, photos: Tensor, targets: Tensor, anime: Tensor | None, params: Params
) -> tuple[Numbers, Sequence[Picture]]:
    """Redraw whole validation squares (uint8 NHWC); the terms on their centres, as large as in training."""
    side, target = params.train.crop_px, devices.shown(targets, networks.device)
    output, pictures = redraw(networks, photos, params.train.precision)
    with devices.autocast(networks.device, params.train.precision):
        # A film may have fewer validation squares than there are photos: it is gone through again.
        turns = torch.arange(len(photos)) % (1 if anime is None else len(anime))
        squares = None if anime is None else _centre(devices.shown(anime[turns], networks.device), side)
        looks = networks.rulers.looks
        # Of style pictures, each photo's in turn.
        look = None if looks is None else torch.arange(len(photos), device=networks.device) % len(next(iter(looks.values())))
        terms = gan.likeness(networks.rulers, _centre(output, side), _centre(target, side), squares, params.loss, look)
    numbers = {name: float(term) for name, term in terms.items()}
    numbers["change"] = guards.difference(list(photos.numpy()), pictures)
    return {**numbers, "from_target": guards.difference(list(targets.numpy()), pictures)}, pictures


@torch.no_grad()
def redraw(networks: Networks, photos: Tensor, precision: str) -> tuple[Tensor, list[Picture]]:
    """What the averaged generator makes of photos (uint8 NHWC): as it leaves the network, and as pictures."""
    networks.ema.eval()
    with devices.autocast(networks.device, precision):
        output = networks.ema(devices.shown(photos, networks.device))
    networks.ema.train()
    return output, list(images.from_model(output).cpu().numpy())


def _centre(pictures: Tensor, side: int) -> Tensor:
    top, left = ((length - side) // 2 for length in pictures.shape[-2:])
    return pictures[..., top : top + side, left : left + side]


def style_pictures(place: Path, project: Path) -> list[Picture]:
    """The pictures that loss.style_from names, of its own or a folder's; none, where the folder is empty.

    Raises:
        Fault: there is no such place, or a picture cannot be read.
    """
    if not (project / place).exists():
        raise Fault(f"loss.style_from: {place} does not exist: give a picture, or a folder, which may be empty")
    return [images.shrink(images.read(file), STYLE_PX) for file in images.find(project / place, allow_empty=True)]


def build_rulers(vgg: VggWeights, loss: LossParams, device: torch.device, pictures: Sequence[Picture] = ()) -> Rulers:
    """The networks that the loss weights call for, and what they see in style pictures."""
    content = style = both = None
    if loss.content_weight or loss.region_weight:
        content = training.ruler(vgg, [loss.content_layer], "loss.content_layer", device)
    if loss.style_weight:
        style = training.ruler(vgg, loss.style_layers, "loss.style_layers", device)
    if content is not None and style is not None and not loss.style_grey:
        both = training.ruler(vgg, [loss.content_layer, *loss.style_layers], "loss", device)
    looks: dict[str, Tensor] | None = None
    if style is not None and pictures:
        # One by one, as each has a size of its own: Gram matrices have none.
        seen = [gan.grams_of(style, devices.shown(torch.from_numpy(one)[None], device), loss) for one in pictures]
        looks = {layer: torch.cat([grams[layer] for grams in seen]) for layer in seen[0]}
    return Rulers(content, style, both, looks)


def build_networks(
    params: Params, vgg: VggWeights, pretrained: Path, device: torch.device, pictures: Sequence[Picture] = ()
) -> Networks:
    """The pretrained generator, its average, and a fresh discriminator where there is to be one."""
    model, section = params.model, params.train
    generator, metadata = weights.load_generator(pretrained)
    row = {key: metadata.get(key, weights.ROW_OWN) for key in (weights.GENERATOR, weights.NORM, weights.FILLS)}
    if model.generator_fills == "film":  # which pretraining has asked
        wanted = weights.generator_metadata(model.generator, model.generator_norm) | {weights.FILLS: row[weights.FILLS]}
    else:
        wanted = weights.generator_metadata(model.generator, model.generator_norm, model.generator_fills)
    if row != wanted:
        found, asked = (
            f"{kind[weights.GENERATOR]} (norm: {kind[weights.NORM]}, fills: {kind[weights.FILLS]})" for kind in (row, wanted)
        )
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
        training.make_ready(discriminator, section, device)
    return Networks(
        generator,
        training.adam(generator, section.lr, section.beta1),
        ema,
        discriminator,
        None if discriminator is None else training.adam(discriminator, section.discriminator_lr, section.beta1),
        build_rulers(vgg, params.loss, device, pictures),
        device,
        row,
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
    if not any(gan.shares(loss).values()):
        raise Fault("loss: every weight is 0, so there is nothing to learn: give one of them a value")
    photo_rows, photos = batches.load_split(data, "photo", "train", listed=params.squares)
    photo_targets = lessons.load(data, photo_rows, photos, loss.target, params.teacher, device)
    judge_rows, judges = batches.load_split(data, "photo", "val", section.sample_count, listed=params.squares)
    judged_by = lessons.load(data, judge_rows, judges, loss.target, params.teacher, device)
    anime = look = smooth = trial = None
    pictures = style_pictures(Path(loss.style_from), data.parent) if loss.style_weight else []
    if (loss.style_weight and not pictures) or loss.adversarial_weight or loss.identity_weight:
        rows, squares = batches.load_split(data, "anime", "train", listed=params.squares)
        anime = batches.place(squares, device)
        look = batches.load_split(data, "anime", "val", section.sample_count, listed=params.squares)[1]
        if loss.adversarial_weight and loss.edge_weight:
            smooth = batches.place(batches.load_twins(data, rows, "smooth"), device)
        if section.trial_photos:
            trial = Trial(
                material.choose(data.parent / params.squares, section.trial_photos, 4 * section.trial_photos),
                params.perceptual.weights,
                device,
                data.parent,
            )
    if section.best_by == "score" and not (trial and trial.scores):
        raise Fault(
            "train.best_by: no score without three val photos, three film squares each side, and a film unlike the photos"
        )
    vgg = load_vgg(params.perceptual.weights)
    pretrained = data / "pretrain" / "generator.safetensors"
    networks = build_networks(params, vgg, pretrained, device, pictures)
    state = declare(networks)
    taught = [squares.digest for squares in (photos, photo_targets, anime, smooth) if squares is not None]
    ingredients = {
        "params": section.model_dump(exclude=training.HOUSEKEEPING),
        "loss": loss.model_dump(),
        "model": params.model.model_dump(),
        "data": [*taught, *(squares.digest for squares in (judges, judged_by, look) if squares is not None)],
        "pretrained": checkpoints.digest(pretrained),
        "styles": [hashlib.blake2b(picture.tobytes(), digest_size=16).hexdigest() for picture in pictures],
        "vgg": vgg.sha256,
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
        section.discriminator_steps if loss.adversarial_weight else 1,
        len(pictures),
        (section.resize_min, section.resize_max),
    )
    samples, best, writes = kept.folder / "samples", kept.folder / BEST, team.ours().writes

    def metadata() -> dict[str, str]:
        told = training.describe(params, ["model", "train", "loss"], networks.row, vgg, " ".join(taught), state.images_seen)
        return {**told, guards.METADATA: " ".join(warned())}

    def warned() -> list[str]:
        """What the guards found at their last look."""
        return [name for name, found in state.journal.latest("guards").items() if found]

    def measured() -> list[tuple[int, float]]:
        """What best_by names, so that the lowest is best."""
        sign = -1 if section.best_by == "score" else 1
        return [(seen, sign * value) for seen, value in state.journal.series(f"val/{section.best_by}")]

    def look_over() -> None:
        seen, squares, journal = state.images_seen, list(judges.pixels.numpy()), state.journal
        numbers, outputs = review(networks, judges.pixels, judged_by.pixels, None if look is None else look.pixels, params)
        found = guards.judge_output(squares, outputs, seen / section.images, section.guards)
        right, spent = (journal.series(f"train/discriminator_{name}") for name in ("right", "total"))
        found += guards.judge_discriminator(right, spent, section.images, section.guards)
        if trial:
            numbers |= trial(lambda pictures: redraw(networks, torch.from_numpy(np.stack(pictures)), section.precision)[1])
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
        lambda seen: gan.step(networks, source.at(seen), params, source.before(seen)),
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
    return {"images_seen": float(state.images_seen), "warnings": float(len(warned()))} | {
        f"val_{name}": value for name, value in state.journal.latest("val").items()
    }


if __name__ == "__main__":
    launch.main("train", run, lambda: checkpoints.sweep("train"))
