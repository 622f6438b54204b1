"""Validation: what is measured on validation photos, and when the generator is the best so far."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.dataset.crop_sets import CropSet
from pipeline.params.schema import Params
from pipeline.training import diagnostics
from pipeline.training.validation import Validation, ValidationSet, measure
from tests.support.tiny_run import build_tiny_networks
from tests.support.training_world import flat, rough, settings


def crops(draw: Any, count: int) -> CropSet:
    return CropSet(torch.from_numpy(np.stack([draw(index) for index in range(count)])), "")


def build_validation(chosen: Params, folder: Path) -> Validation:
    networks = build_tiny_networks(chosen, folder)
    photos = crops(rough, 3)
    found = ValidationSet(photos, photos, crops(flat, 2))  # fewer anime crops than photos: they are repeated
    return Validation(
        networks.state(), networks, found, None, chosen.train, chosen.loss, folder, lambda: {"generator": "tiny", "norm": "row"}
    )


def test_terms_without_networks_and_differences_in_levels_are_measured(tmp_path: Path) -> None:
    chosen = settings(loss={"identity_weight": 1.0})
    validation = build_validation(chosen, tmp_path)
    numbers, outputs = measure(validation.networks, validation.crops, chosen.loss, chosen.train)
    assert numbers.keys() == {"content", "style", "color", "tv", "change", "from_target"}
    photos = list(validation.crops.photos.pixels.numpy())
    assert numbers["change"] == numbers["from_target"] == diagnostics.mean_difference(photos, outputs)
    assert validation.networks.ema.training


@pytest.mark.parametrize(
    ("best_by", "values", "since"),
    [
        ("color", [3.0, 2.0, 2.0], 8),
        ("color", [3.0, 2.0, 1.0], 0),
        ("score", [0.1, 0.3, 0.2], 8),
        ("score", [0.3, 0.3, 0.2], 16),
    ],
)
def test_the_best_is_the_lowest_term_or_the_highest_score(
    tmp_path: Path, best_by: str, values: list[float], since: int
) -> None:
    chosen = settings(train={"best_by": best_by, "stop_after_images": 16, "probe_photos": 3})
    validation = build_validation(chosen, tmp_path)
    assert validation.images_since_best() == 0, "nothing is measured yet"
    for index, value in enumerate(values):
        validation.state.metrics.log(8 * index, "val", {best_by: value})
    assert validation.images_since_best() == since
    assert validation.should_stop() == (since >= 16)


def test_a_run_logs_warns_and_writes_a_grid_and_the_best(tmp_path: Path) -> None:
    limits = settings().train.diagnostics.model_dump() | {"one_color_levels": 255.0}
    validation = build_validation(settings(train={"best_by": "color", "diagnostics": limits}), tmp_path)
    validation.run()
    assert validation.warnings() == ["one_color"]
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")} >= {
        "samples/000000000.jpg",
        "best.safetensors",
    }
