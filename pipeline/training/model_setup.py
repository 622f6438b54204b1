"""What pretraining and training do with a network before the first step and when they write it to a file."""

import contextlib
import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import safetensors
import torch
from torch import nn
from torch.optim import Adam

from models.generators.animegan import AnimeGan
from models.generators.residual import Generator
from models.generators.table import AnyGenerator
from pipeline.core.errors import UserError
from pipeline.networks import devices, weights
from pipeline.networks.vgg import VggWeights
from pipeline.params.data import CropParams
from pipeline.params.networks import ModelParams
from pipeline.params.schema import Params
from pipeline.params.training import EngineParams

BETA2 = 0.999
ASPECT = 4 / 3
MIN_WORKING_PX = 512
"""In smaller pictures the faces of a group have too few pixels to be drawn."""


@contextlib.contextmanager
def blame_key(key: str) -> Iterator[None]:
    """Turn a ValueError of models/ into a UserError that names the parameter behind it."""
    try:
        yield
    except ValueError as error:
        raise UserError(f"{key}: {error}") from None


def prepare_for_training(
    network: nn.Module, section: EngineParams, device: torch.device, *, twice_differentiable: bool = False
) -> None:
    """Switch on activation checkpointing (save_memory), and torch.compile or faster convolutions, as params say.

    Faster convolutions have first derivatives only: with `twice_differentiable` torch's own are kept.
    """
    if section.save_memory and isinstance(network, Generator | AnimeGan):
        network.save_memory = True
    if not section.compile:
        if not twice_differentiable:
            devices.accelerate(network, device)
    elif isinstance(network, AnyGenerator):
        picture = torch.zeros(section.batch // section.accumulate, 3, section.crop_px, section.crop_px, device=device)
        devices.compile_if_it_works(network, picture.contiguous(memory_format=devices.layout(device)), section.precision)


def build_adam(network: nn.Module, lr: float, beta1: float, beta2: float = BETA2) -> Adam:
    """Build the fused Adam of a network; on a GPU its learning rate is a tensor there, so that a CUDA graph can step it."""
    parameters = list(network.parameters())
    on_gpu = any(parameter.is_cuda for parameter in parameters)
    optimizer = Adam(parameters, lr=lr, betas=(beta1, beta2), fused=True, capturable=on_gpu)
    if on_gpu:
        for group in optimizer.param_groups:
            group["lr"] = torch.tensor(lr, device=parameters[0].device)
    return optimizer


def learned_working_px(crop: CropParams, section: EngineParams) -> int:
    """Return the long side in pixels (at least MIN_WORKING_PX) at which things in a photo are as large as in training.

    Crops whose side is a share of a picture's short side, drawn evenly between `side_min` and `side_max`, were resized to
    `size_px`. Half of the pictures were therefore shrunk to a short side of less than size_px / (mean share), and half to one
    of more; with 4:3, as cameras have it, the long side is 4/3 of that. Training resizes once more, by `resize_min` to
    `resize_max`.
    """
    # In mode areas a crop is at most as high as one of two rows.
    side_max = min(crop.side_max, 0.5) if crop.mode == "areas" else crop.side_max
    share = (min(crop.side_min, side_max) + side_max) / 2
    resized = 2 / (section.resize_min + section.resize_max)
    return max(MIN_WORKING_PX, round(ASPECT * crop.size_px / share * resized))


def file_metadata(
    params: Params,
    section: EngineParams,
    sections: Collection[str],
    generator: Mapping[str, str],
    vgg: VggWeights,
    data: str,
    images_seen: int,
) -> dict[str, str]:
    """Compose the metadata of a generator's file: how to rebuild the network, and how it was trained.

    Names and paths of films and photographs are left out, as they are the user's business; the digest of the data is there.

    Args:
        section: the phase that trained it.
        sections: sections of params that shaped the weights.
        generator: what `weights.generator_metadata` gives.
        data: digests of what was trained on.
    """
    recipe = json.dumps(params.model_dump(include=set(sections)), sort_keys=True)
    return {
        **generator,
        "images_seen": str(images_seen),
        "working_px": str(learned_working_px(params.crop, section)),
        "recipe": recipe,
        "recipe_blake2b": hashlib.blake2b(recipe.encode(), digest_size=8).hexdigest(),
        "data_blake2b": data,
        "vgg": vgg.origin,
        "vgg_sha256": vgg.sha256,
        "versions": f"torch {torch.__version__}, safetensors {safetensors.__version__}",
        "licence": "Learned from the films and photographs of whoever trained it, whose rights may bear on its use.",
    }


def load_as_in_params(file: Path, model: ModelParams, remedy: str) -> tuple[nn.Module, dict[str, str]]:
    """Load a generator and its metadata, and check that it is the one that params name.

    Raises:
        UserError: it is another one (the message ends with `remedy`), or the file is missing or not a generator's.
    """
    generator, metadata = weights.load_generator(file)
    found = weights.generator_metadata(metadata[weights.GENERATOR], metadata.get(weights.NORM))
    wanted = weights.generator_metadata(model.generator, model.generator_norm)
    if found != wanted:
        in_file, in_params = (f"{one[weights.GENERATOR]} (norm: {one[weights.NORM]})" for one in (found, wanted))
        raise UserError(f"{file} is a {in_file}, not the {in_params} of params.yaml: {remedy}")
    return generator, metadata
