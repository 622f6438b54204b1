"""Stage `train`: the generator learns the style of the films, against a discriminator where the loss has an adversarial weight.

Which published system this is depends on params alone (recipes/). The loop and the step are in pipeline/training/loop.py, the
loss terms in pipeline/training/loss_terms.py.
"""

import hashlib
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pipeline.core import files, source_code, stage
from pipeline.core.errors import UserError
from pipeline.core.stage import Numbers
from pipeline.dataset import crop_sets, evaluation_set
from pipeline.dataset.crop_sets import CropSet
from pipeline.dataset.loader import Batch, BatchLoader
from pipeline.media import arrays, images
from pipeline.media.images import Picture
from pipeline.metrics.validation_probe import ValidationProbe
from pipeline.networks import devices, process_group, weights
from pipeline.networks.vgg import load_vgg
from pipeline.params.schema import Params
from pipeline.params.training import TrainParams
from pipeline.training import checkpoints, cuda_graph, diagnostics, launcher, loop, schedules, supervision
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.color_transfer import IDENTITY
from pipeline.training.gan_networks import build_networks
from pipeline.training.loss_terms import active_terms, needs_of
from pipeline.training.metric_log import Terms
from pipeline.training.model_setup import file_metadata
from pipeline.training.state import NOT_IN_FINGERPRINT, resume
from pipeline.training.validation import BEST, SAMPLES, Validation, ValidationSet

STYLE_PICTURE_PX = (
    512  # longest side of a style picture, so that its brush strokes are as wide as those of a photo of that size
)


@dataclass(frozen=True)
class TrainingSet:
    """Crops that training learns from: `targets` has one for each photo, `edge_smoothed` one for each of `anime`."""

    photos: CropSet
    targets: CropSet
    anime: CropSet | None
    edge_smoothed: CropSet | None
    style_pictures: Sequence[Picture]

    def digests(self) -> list[str]:
        """Return the digests of photos, targets, anime and edge-smoothed crops, without those that are None."""
        return [crops.digest for crops in (self.photos, self.targets, self.anime, self.edge_smoothed) if crops is not None]

    def batches(self, section: TrainParams, adversarial: bool, device: torch.device) -> BatchLoader:
        """Build the loader of the crops, which are moved to the device where they fit."""
        return BatchLoader(
            crop_sets.to_device(self.photos, device),
            None if self.anime is None else crop_sets.to_device(self.anime, device),
            None if self.edge_smoothed is None else crop_sets.to_device(self.edge_smoothed, device),
            section.seed,
            section.batch,
            section.crop_px,
            device,
            None if self.targets is self.photos else crop_sets.to_device(self.targets, device),
            bool(section.augment),
            section.discriminator_steps if adversarial else 1,
            len(self.style_pictures),
            (section.resize_min, section.resize_max),
            section.view_margin_px,
        )


def load_crops(params: Params, data: Path, device: torch.device) -> tuple[TrainingSet, ValidationSet]:
    """Load the crops that the loss terms need, for training and (at most train.sample_count of a domain) for validation.

    Raises:
        UserError: crops, style pictures or a teacher are missing.
    """
    loss, dataset, count, needs = params.loss, params.dataset, params.train.sample_count, needs_of(params.loss)
    _, photos = crop_sets.load_split(data, "photo", "train", dataset=dataset)
    transform = supervision.fit_colors(data, dataset, loss.recolor) if loss.target == "recolored" else IDENTITY
    targets = supervision.load_targets(data, photos, loss.target, params.teacher, device, transform)
    _, val_photos = crop_sets.load_split(data, "photo", "val", count, dataset=dataset)
    val_targets = supervision.load_targets(data, val_photos, loss.target, params.teacher, device, transform)
    style_pictures = load_style_pictures(Path(loss.style_images), data.parent) if "style_features" in needs else []
    anime = val_anime = edge_smoothed = None
    if "anime" in needs or ("style_features" in needs and not style_pictures):
        rows, anime = crop_sets.load_split(data, "anime", "train", dataset=dataset)
        _, val_anime = crop_sets.load_split(data, "anime", "val", count, dataset=dataset)
        if "discriminator" in needs and loss.edge_weight:
            edge_smoothed = crop_sets.load_edge_smoothed(data, rows)
    training = TrainingSet(photos, targets, anime, edge_smoothed, style_pictures)
    return training, ValidationSet(val_photos, val_targets, val_anime)


def load_style_pictures(path: Path, project: Path) -> list[Picture]:
    """Read the picture, or those of the folder, at `path` in `project`, shrunk to `STYLE_PICTURE_PX`; [] if it is empty.

    Raises:
        UserError: the path does not exist, or a picture cannot be read.
    """
    if not (project / path).exists():
        raise UserError(f"loss.style_images: {path} does not exist: give a picture, or a folder, which may be empty")
    return [arrays.shrink(images.read(file), STYLE_PICTURE_PX) for file in images.find(project / path, allow_empty=True)]


def build_probe(params: Params, training: TrainingSet, project: Path, device: torch.device) -> ValidationProbe | None:
    """Build the probe that follows the style score in training; None if train.probe_photos is 0 or no film crops are used.

    Raises:
        UserError: train.best_by is score, and no score can be computed.
    """
    count, probe = params.train.probe_photos, None
    if count and training.anime is not None:
        crops = evaluation_set.choose(project / params.dataset, count, 4 * count)
        probe = ValidationProbe(crops, params.perceptual.weights, device, project)
    if params.train.best_by == "score" and not (probe and probe.can_score):
        raise UserError(
            "train.best_by: no score without three val photos, three film crops each side, and a film unlike the photos"
        )
    return probe


def run(params: Params, out: Path, data: Path = stage.DATA) -> Numbers:
    """Train on the crops that params.dataset lists, from the weights in data/pretrain; write weights and curves to `out`.

    Raises:
        UserError: all loss weights are 0, or something that params name is missing.
    """
    section, loss, device = params.train, params.loss, devices.pick_device()
    devices.prepare(device)
    if not active_terms(loss):
        raise UserError("loss: every weight is 0, so there is nothing to learn: set at least one of them")
    training, validation_set = load_crops(params, data, device)
    probe = build_probe(params, training, data.parent, device)
    vgg = load_vgg(params.perceptual.weights)
    pretrained = data / "pretrain" / "generator.safetensors"
    networks = build_networks(params.model, section, loss, vgg, pretrained, device, training.style_pictures)
    state = networks.state()

    validated = (validation_set.photos, validation_set.targets, validation_set.anime)
    ingredients = {
        "params": section.model_dump(exclude=NOT_IN_FINGERPRINT),
        "loss": loss.model_dump(),
        "model": params.model.model_dump(),
        "data": [*training.digests(), *(crops.digest for crops in validated if crops is not None)],
        "pretrained": files.digest(pretrained),
        "styles": [hashlib.blake2b(picture.tobytes(), digest_size=16).hexdigest() for picture in training.style_pictures],
        "vgg": vgg.sha256,
    }
    fingerprint = checkpoints.fingerprint(ingredients, source_code.digest(source_code.closure("pipeline.train")))
    kept = Checkpoints("train", fingerprint, keep=section.keep_checkpoints)

    def metadata() -> dict[str, str]:
        sections, digests = ["model", "train", "loss"], " ".join(training.digests())
        how = file_metadata(params, section, sections, networks.generator_metadata, vgg, digests, state.images_seen)
        return {**how, diagnostics.METADATA_KEY: " ".join(validation.warnings())}

    validation = Validation(state, networks, validation_set, probe, section, loss, kept.folder, metadata)
    resume(state, kept, section.images)

    def train_step(batch: Batch, others: Iterable[Batch], decay: float | Tensor) -> Terms:
        return loop.gan_step(networks, batch, section, loss, others, decay)

    step = cuda_graph.graphed(train_step, section, loss) if device.type == "cuda" else train_step
    loop.fit(
        state,
        section,
        training.batches(section, networks.discriminator is not None, device),
        lambda batch, others: step(batch, others, schedules.ema_decay(section, state.images_seen)),
        kept,
        validation.run,
        section.sample_every_images,
        validation.should_stop,
    )

    if process_group.current().writes:
        weights.save_generator(out / "generator.safetensors", networks.ema, metadata())
        state.metrics.write(out / "dvclive")
        shutil.copytree(kept.folder / SAMPLES, out / SAMPLES)
        if (kept.folder / BEST).exists():
            shutil.copyfile(kept.folder / BEST, out / BEST)
        kept.mark_finished()
    numbers = {f"val_{name}": value for name, value in state.metrics.latest("val").items()}
    return {"images_seen": float(state.images_seen), "warnings": float(len(validation.warnings())), **numbers}


if __name__ == "__main__":
    launcher.main("train", run, lambda: checkpoints.remove_finished("train"))
