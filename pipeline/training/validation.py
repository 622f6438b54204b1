"""What training looks at between steps: validation photos, the diagnostics, sample grids and the best generator so far."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.core.errors import log
from pipeline.core.stage import Numbers
from pipeline.dataset.crop_sets import CropSet
from pipeline.dataset.loader import Batch
from pipeline.media import images, sheets, tensors
from pipeline.media.images import Picture
from pipeline.metrics.validation_probe import ValidationProbe
from pipeline.networks import devices, process_group, weights
from pipeline.params.training import LossParams, TrainParams
from pipeline.training import diagnostics
from pipeline.training.gan_networks import GanNetworks
from pipeline.training.loss_terms import compute_terms
from pipeline.training.state import TrainingState

SAMPLES, BEST = "samples", "best.safetensors"


@dataclass(frozen=True)
class ValidationSet:
    """Crops that training is validated on; targets has one for each photo."""

    photos: CropSet
    targets: CropSet
    anime: CropSet | None


@dataclass(frozen=True)
class Validation:
    """Measures the averaged generator on validation photos, warns, and writes sample grids and the best generator so far."""

    state: TrainingState
    networks: GanNetworks
    crops: ValidationSet
    probe: ValidationProbe | None
    section: TrainParams
    loss: LossParams
    folder: Path
    """Where sample grids and the best generator are written."""
    metadata: Callable[[], Mapping[str, str]]
    """Gives the metadata of the generator's file as of now."""

    def run(self) -> None:
        """Measure, log and warn; write a sample grid, and the generator if it is the best so far."""
        seen, metrics, section = self.state.images_seen, self.state.metrics, self.section
        numbers, outputs = measure(self.networks, self.crops, self.loss, section)
        if self.probe is not None:
            numbers |= self.probe(lambda pictures: stylize(self.networks, np.stack(pictures), section.precision)[1])
        photos = list(self.crops.photos.pixels.numpy())
        warnings = diagnostics.check_output(photos, outputs, seen / section.images, section.diagnostics)
        accuracy, spent = (metrics.series(f"train/discriminator_{name}") for name in ("accuracy", "total"))
        warnings += diagnostics.check_discriminator(accuracy, spent, section.images, section.diagnostics)
        metrics.log(seen, "val", numbers)
        metrics.log(seen, "diagnostics", diagnostics.as_numbers(warnings))
        for name in warnings:
            log.warning("at images %d %s", seen, diagnostics.ADVICE[name])
        if process_group.current().writes:
            (self.folder / SAMPLES).mkdir(parents=True, exist_ok=True)
            images.write(self.folder / SAMPLES / f"{seen:09d}.jpg", sheets.grid([photos, outputs]))
            if section.best_by is not None and self.images_since_best() == 0:
                weights.save_generator(self.folder / BEST, self.networks.ema, {**self.metadata()})

    def images_since_best(self) -> int:
        """Images from the best validation by train.best_by (the highest score, else the lowest) to the last; 0 if none."""
        series = self.state.metrics.series(f"val/{self.section.best_by}")
        best = max if self.section.best_by == "score" else min
        if not series:
            return 0
        return series[-1][0] - best(series, key=lambda point: point[1])[0]

    def should_stop(self) -> bool:
        """Whether train.stop_after_images have been seen without a better generator."""
        limit = self.section.stop_after_images
        return limit is not None and self.images_since_best() >= limit

    def warnings(self) -> list[str]:
        """Names of the warnings given by the last run."""
        return [name for name, given in self.state.metrics.latest("diagnostics").items() if given]


@torch.no_grad()
def measure(
    networks: GanNetworks, crops: ValidationSet, loss: LossParams, section: TrainParams
) -> tuple[Numbers, list[Picture]]:
    """Stylize the validation photos whole, and compute the loss terms on their centers, as large as crops in training.

    Returns:
        The loss terms that need no network but the VGG, the mean differences from the photos (change) and from the targets
        (from_target) in levels of 255; and the outputs.
    """
    photos, targets = crops.photos.pixels, crops.targets.pixels
    output, pictures = stylize(networks, photos.numpy(), section.precision)

    def center(pixels: Tensor) -> Tensor:
        return _center_crop(devices.to_model_input(pixels, networks.device), section.crop_px)

    indices = torch.arange(len(photos))
    grams = networks.extractors.style_grams
    with devices.autocast(networks.device, section.precision):
        batch = Batch(
            photo=center(photos),
            # There may be fewer anime crops or style pictures than photos: they are repeated.
            anime=None if crops.anime is None else center(crops.anime.pixels[indices % len(crops.anime)]),
            edge_smoothed=None,
            target=center(targets),
            style_index=None if grams is None else indices.to(networks.device) % len(next(iter(grams.values()))),
        )
        terms = compute_terms(_center_crop(output, section.crop_px), batch, loss, networks.extractors)
    numbers = {name: float(term) for name, term in terms.items()}
    numbers["change"] = diagnostics.mean_difference(list(photos.numpy()), pictures)
    return {**numbers, "from_target": diagnostics.mean_difference(list(targets.numpy()), pictures)}, pictures


@torch.no_grad()
def stylize(networks: GanNetworks, photos: NDArray[np.uint8], precision: str) -> tuple[Tensor, list[Picture]]:
    """Stylize photos (uint8 N x H x W x 3) by the averaged generator: N x 3 x H x W in [-1, 1], and as N uint8 pictures."""
    networks.ema.eval()
    with devices.autocast(networks.device, precision):
        output = networks.ema(devices.to_model_input(torch.from_numpy(photos), networks.device))
    networks.ema.train()
    return output, list(tensors.to_pixels(output).cpu().numpy())


def _center_crop(pictures: Tensor, side: int) -> Tensor:
    top, left = ((length - side) // 2 for length in pictures.shape[-2:])
    return pictures[..., top : top + side, left : left + side]
