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
from pipeline.core import files, source_code, stage
from pipeline.core.errors import UserError
from pipeline.core.stage import Numbers
from pipeline.dataset import crop_sets, evaluation_set
from pipeline.dataset.loader import BatchLoader
from pipeline.media import arrays, images, sheets, tensors
from pipeline.media.images import Picture
from pipeline.metrics.validation_probe import ValidationProbe
from pipeline.networks import devices, process_group, weights
from pipeline.networks.vgg import VggWeights, load_vgg
from pipeline.params.schema import Params
from pipeline.params.training import LossParams
from pipeline.training import checkpoints, diagnostics, gan_step, launcher, supervision, trainer
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.gan_step import FeatureExtractors, Networks
from pipeline.training.trainer import State

BEST = "best.safetensors"
STYLE_PX = 512  # longest side of a style picture: a brush stroke is to be as wide as what a photo of that size shows

log = logging.getLogger("genga")


@torch.no_grad()
def review(
    networks: Networks, photos: Tensor, targets: Tensor, anime: Tensor | None, params: Params
) -> tuple[Numbers, Sequence[Picture]]:
    """Redraw whole validation crops (uint8 NHWC); the terms on their centres, as large as in training."""
    side, target = params.train.crop_px, devices.shown(targets, networks.device)
    output, pictures = redraw(networks, photos, params.train.precision)
    with devices.autocast(networks.device, params.train.precision):
        # A film may have fewer validation crops than there are photos: it is gone through again.
        turns = torch.arange(len(photos)) % (1 if anime is None else len(anime))
        crops = None if anime is None else _centre(devices.shown(anime[turns], networks.device), side)
        looks = networks.rulers.looks
        # Of style pictures, each photo's in turn.
        look = None if looks is None else torch.arange(len(photos), device=networks.device) % len(next(iter(looks.values())))
        terms = gan_step.reconstruction_terms(
            networks.rulers, _centre(output, side), _centre(target, side), crops, params.loss, look
        )
    numbers = {name: float(term) for name, term in terms.items()}
    numbers["change"] = diagnostics.difference(list(photos.numpy()), pictures)
    return {**numbers, "from_target": diagnostics.difference(list(targets.numpy()), pictures)}, pictures


@torch.no_grad()
def redraw(networks: Networks, photos: Tensor, precision: str) -> tuple[Tensor, list[Picture]]:
    """What the averaged generator makes of photos (uint8 NHWC): as it leaves the network, and as pictures."""
    networks.ema.eval()
    with devices.autocast(networks.device, precision):
        output = networks.ema(devices.shown(photos, networks.device))
    networks.ema.train()
    return output, list(tensors.to_pixels(output).cpu().numpy())


def _centre(pictures: Tensor, side: int) -> Tensor:
    top, left = ((length - side) // 2 for length in pictures.shape[-2:])
    return pictures[..., top : top + side, left : left + side]


def style_pictures(place: Path, project: Path) -> list[Picture]:
    """The pictures that loss.style_images names, of its own or a folder's; none, where the folder is empty.

    Raises:
        UserError: there is no such place, or a picture cannot be read.
    """
    if not (project / place).exists():
        raise UserError(f"loss.style_images: {place} does not exist: give a picture, or a folder, which may be empty")
    return [arrays.shrink(images.read(file), STYLE_PX) for file in images.find(project / place, allow_empty=True)]


def build_rulers(
    vgg: VggWeights, loss: LossParams, device: torch.device, pictures: Sequence[Picture] = ()
) -> FeatureExtractors:
    """The networks that the loss weights call for, and what they see in style pictures."""
    content = style = both = None
    if loss.content_weight or loss.superpixel_weight:
        content = trainer.ruler(vgg, [loss.content_layer], "loss.content_layer", device)
    if loss.style_weight:
        style = trainer.ruler(vgg, loss.style_layers, "loss.style_layers", device)
    if content is not None and style is not None and not loss.style_grayscale:
        both = trainer.ruler(vgg, [loss.content_layer, *loss.style_layers], "loss", device)
    looks: dict[str, Tensor] | None = None
    if style is not None and pictures:
        # One by one, as each has a size of its own: Gram matrices have none.
        seen = [gan_step.grams_of(style, devices.shown(torch.from_numpy(one)[None], device), loss) for one in pictures]
        looks = {layer: torch.cat([grams[layer] for grams in seen]) for layer in seen[0]}
    return FeatureExtractors(content, style, both, looks)


def build_networks(
    params: Params, vgg: VggWeights, pretrained: Path, device: torch.device, pictures: Sequence[Picture] = ()
) -> Networks:
    """The pretrained generator, its average, and a fresh discriminator where there is to be one."""
    model, section = params.model, params.train
    generator, metadata = weights.load_generator(pretrained)
    row = {key: metadata.get(key, weights.ROW_OWN) for key in (weights.GENERATOR, weights.NORM, weights.FILLS)}
    if model.generator_diffusion_steps == "auto":  # which pretraining has asked
        wanted = weights.generator_metadata(model.generator, model.generator_norm) | {weights.FILLS: row[weights.FILLS]}
    else:
        wanted = weights.generator_metadata(model.generator, model.generator_norm, model.generator_diffusion_steps)
    if row != wanted:
        found, asked = (
            f"{kind[weights.GENERATOR]} (norm: {kind[weights.NORM]}, fills: {kind[weights.FILLS]})" for kind in (row, wanted)
        )
        raise UserError(f"{pretrained} is a {found}, not the {asked} of params.yaml: run dvc repro")
    generator = process_group.synchronised(generator.train(), device, "model.generator_norm")
    devices.to_device(generator, device).requires_grad_(True)
    ema = copy.deepcopy(generator).requires_grad_(False) if section.ema_decay else generator
    trainer.make_ready(generator, section, device)
    discriminator = None
    if params.loss.adversarial_weight:
        with trainer.naming("model.discriminator"):
            discriminator = devices.seeded(
                lambda: build_discriminator(model.discriminator, norm=model.discriminator_norm, spectral=model.spectral_norm),
                section.seed,
                "discriminator",
                device,
            )
        discriminator = process_group.synchronised(discriminator, device, "model.discriminator_norm")
        trainer.make_ready(discriminator, section, device)
    return Networks(
        generator,
        trainer.adam(generator, section.lr, section.beta1),
        ema,
        discriminator,
        None if discriminator is None else trainer.adam(discriminator, section.discriminator_lr, section.beta1),
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
    """Train on what params.dataset lists, from the weights of data/pretrain; fill `out` with weights, losses and samples."""
    section, loss, device = params.train, params.loss, devices.pick_device()
    devices.prepare(device)
    if not any(gan_step.shares(loss).values()):
        raise UserError("loss: every weight is 0, so there is nothing to learn: give one of them a value")
    photo_rows, photos = crop_sets.load_split(data, "photo", "train", dataset=params.dataset)
    photo_targets = supervision.load(data, photo_rows, photos, loss.target, params.teacher, device)
    judge_rows, judges = crop_sets.load_split(data, "photo", "val", section.sample_count, dataset=params.dataset)
    judged_by = supervision.load(data, judge_rows, judges, loss.target, params.teacher, device)
    anime = look = smooth = trial = None
    pictures = style_pictures(Path(loss.style_images), data.parent) if loss.style_weight else []
    if (loss.style_weight and not pictures) or loss.adversarial_weight or loss.identity_weight:
        rows, crops = crop_sets.load_split(data, "anime", "train", dataset=params.dataset)
        anime = crop_sets.to_device(crops, device)
        look = crop_sets.load_split(data, "anime", "val", section.sample_count, dataset=params.dataset)[1]
        if loss.adversarial_weight and loss.edge_weight:
            smooth = crop_sets.to_device(crop_sets.load_paired(data, rows, "edge_smooth"), device)
        if section.probe_photos:
            trial = ValidationProbe(
                evaluation_set.choose(data.parent / params.dataset, section.probe_photos, 4 * section.probe_photos),
                params.perceptual.weights,
                device,
                data.parent,
            )
    if section.best_by == "score" and not (trial and trial.scores):
        raise UserError(
            "train.best_by: no score without three val photos, three film crops each side, and a film unlike the photos"
        )
    vgg = load_vgg(params.perceptual.weights)
    pretrained = data / "pretrain" / "generator.safetensors"
    networks = build_networks(params, vgg, pretrained, device, pictures)
    state = declare(networks)
    taught = [crops.digest for crops in (photos, photo_targets, anime, smooth) if crops is not None]
    ingredients = {
        "params": section.model_dump(exclude=trainer.HOUSEKEEPING),
        "loss": loss.model_dump(),
        "model": params.model.model_dump(),
        "data": [*taught, *(crops.digest for crops in (judges, judged_by, look) if crops is not None)],
        "pretrained": files.digest(pretrained),
        "styles": [hashlib.blake2b(picture.tobytes(), digest_size=16).hexdigest() for picture in pictures],
        "vgg": vgg.sha256,
    }
    name = checkpoints.fingerprint(ingredients, source_code.digest(source_code.closure("pipeline.train")))
    kept = Checkpoints("train", name, keep=section.keep_checkpoints)
    targets = None if photo_targets is photos else crop_sets.to_device(photo_targets, device)
    source = BatchLoader(
        crop_sets.to_device(photos, device),
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
    samples, best, writes = kept.folder / "samples", kept.folder / BEST, process_group.current().writes

    def metadata() -> dict[str, str]:
        told = trainer.describe(params, ["model", "train", "loss"], networks.row, vgg, " ".join(taught), state.images_seen)
        return {**told, diagnostics.METADATA: " ".join(warned())}

    def warned() -> list[str]:
        """What the guards found at their last look."""
        return [name for name, found in state.journal.latest("diagnostics").items() if found]

    def measured() -> list[tuple[int, float]]:
        """What best_by names, so that the lowest is best."""
        sign = -1 if section.best_by == "score" else 1
        return [(seen, sign * value) for seen, value in state.journal.series(f"val/{section.best_by}")]

    def look_over() -> None:
        seen, crops, journal = state.images_seen, list(judges.pixels.numpy()), state.journal
        numbers, outputs = review(networks, judges.pixels, judged_by.pixels, None if look is None else look.pixels, params)
        found = diagnostics.judge_output(crops, outputs, seen / section.images, section.diagnostics)
        right, spent = (journal.series(f"train/discriminator_{name}") for name in ("right", "total"))
        found += diagnostics.judge_discriminator(right, spent, section.images, section.diagnostics)
        if trial:
            numbers |= trial(lambda pictures: redraw(networks, torch.from_numpy(np.stack(pictures)), section.precision)[1])
        journal.log(seen, "val", numbers)
        journal.log(seen, "diagnostics", diagnostics.told(found))
        for name in found:
            log.warning("at images %d %s", seen, diagnostics.ADVICE[name])
        if writes:
            samples.mkdir(parents=True, exist_ok=True)
            images.write(samples / f"{seen:09d}.jpg", sheets.grid([crops, outputs]))
            if section.best_by and not stalled(measured(), 1):
                weights.save_generator(best, networks.ema, metadata())

    trainer.resume(state, kept, section.images)
    trainer.fit(
        state,
        section,
        lambda seen: gan_step.step(networks, source.batch_at(seen), params, source.discriminator_batches(seen)),
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
    launcher.main("train", run, lambda: checkpoints.sweep("train"))
