"""What pretraining and training do with a network before the first step and when they write it to a file."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Collection, Iterator, Mapping

import safetensors
import torch
from torch import nn
from torch.optim import Adam

from models.generators.animegan import AnimeGan
from models.generators.residual import Generator
from models.generators.table import AnyGenerator
from pipeline.core.errors import UserError
from pipeline.networks import devices
from pipeline.networks.vgg import VggWeights
from pipeline.params.schema import Params
from pipeline.params.training import EngineParams

BETA2 = 0.999


@contextlib.contextmanager
def blame_key(key: str) -> Iterator[None]:
    """Turn a ValueError of models/ into a UserError that names the parameter behind it."""
    try:
        yield
    except ValueError as error:
        raise UserError(f"{key}: {error}") from None


def prepare_for_training(network: nn.Module, section: EngineParams, device: torch.device) -> None:
    """Switch on activation checkpointing (save_memory), and torch.compile or faster convolutions, as params say."""
    if section.save_memory and isinstance(network, Generator | AnimeGan):
        network.save_memory = True
    if not section.compile:
        devices.accelerate(network, device)
    elif isinstance(network, AnyGenerator):
        picture = torch.zeros(section.batch // section.accumulate, 3, section.crop_px, section.crop_px, device=device)
        devices.compile_if_it_works(network, picture.contiguous(memory_format=devices.layout(device)), section.precision)


def build_adam(network: nn.Module, lr: float, beta1: float) -> Adam:
    """Build the fused Adam of a network."""
    return Adam(network.parameters(), lr=lr, betas=(beta1, BETA2), fused=True)


def file_metadata(
    params: Params, sections: Collection[str], generator: Mapping[str, str], vgg: VggWeights, data: str, images_seen: int
) -> dict[str, str]:
    """Compose the metadata of a generator's file: how to rebuild the network, and how it was trained.

    Names and paths of films and photographs are left out, as they are the user's business; the digest of the data is there.

    Args:
        sections: sections of params that shaped the weights.
        generator: what `weights.generator_metadata` gives.
        data: digests of what was trained on.
    """
    recipe = json.dumps(params.model_dump(include=set(sections)), sort_keys=True)
    return {
        **generator,
        "images_seen": str(images_seen),
        "recipe": recipe,
        "recipe_blake2b": hashlib.blake2b(recipe.encode(), digest_size=8).hexdigest(),
        "data_blake2b": data,
        "vgg": vgg.origin,
        "vgg_sha256": vgg.sha256,
        "versions": f"torch {torch.__version__}, safetensors {safetensors.__version__}",
        "licence": "Learned from the films and photographs of whoever trained it, whose rights may bear on its use.",
    }
