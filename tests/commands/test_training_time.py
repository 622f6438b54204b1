"""The estimate of how long a training takes here."""

from __future__ import annotations

import math
import multiprocessing

import pytest
import torch

from pipeline.commands import training_time
from pipeline.core.errors import UserError
from pipeline.params.schema import Params
from tests.conftest import vary

TINY = {"model.generator": "tiny", "model.discriminator": "tiny", "train.crop_px": 32, "pretrain.crop_px": 32}


def test_hours_follow_from_the_speed_of_a_step(committed: Params) -> None:
    changes = {"train.images": 7200, "pretrain.images": 3600, "loss.edge_weight": 1.0, "train.augment": ["color"]}
    found = training_time.estimate(vary(committed, TINY | changes), 0.2, torch.device("cpu"))
    assert found.images_per_s > 0 and math.isclose(found.train_hours * found.images_per_s, 2)
    assert math.isclose(found.pretrain_hours * found.images_per_s, 1)


def test_a_measurement_that_takes_too_long_is_ended(committed: Params) -> None:
    others = set(multiprocessing.active_children())  # joblib's workers stay after a test that used them
    assert training_time.estimate_within(vary(committed, TINY), 600.0, 0.1) is None
    assert set(multiprocessing.active_children()) <= others


def test_an_unknown_network_is_named(committed: Params) -> None:
    with pytest.raises(UserError, match=r"model\.generator: "):
        training_time.estimate_within(vary(committed, TINY | {"model.generator": "nothing"}), 0.1, 300.0)
