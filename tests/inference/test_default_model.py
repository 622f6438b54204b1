"""The generator that is used when none is named."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from pipeline.inference.default_model import SHIPPED, TRAINED, default_model
from pipeline.inference.torch_stylizer import TorchStylizer
from pipeline.metrics import pixels
from pipeline.networks import weights
from tests.conftest import scene


def test_the_shipped_generator_is_used_until_one_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    with caplog.at_level(logging.INFO, "genga"):
        assert default_model() == SHIPPED
    assert "train your own" in caplog.text
    TRAINED.parent.mkdir(parents=True)
    TRAINED.touch()
    assert default_model() == TRAINED


@pytest.mark.parametrize(("name", "artist"), [("openbiblestories", "Jim Padgett"), ("peppercarrot", "David Revoy")])
def test_each_shipped_generator_is_small_and_states_its_licence_and_scale(name: str, artist: str) -> None:
    file = SHIPPED.with_name(f"{name}.safetensors")
    assert file.stat().st_size < 4_000_000
    network, metadata = weights.load_generator(file)
    assert sum(parameter.numel() for parameter in network.parameters()) == 416_387
    assert metadata["licence"].startswith("CC BY-SA 4.0") and artist in metadata["licence"]
    assert int(metadata["working_px"]) == 546


def test_the_shipped_generator_draws_and_keeps_the_picture_recognizable() -> None:
    photo = scene(3, 160, 120)
    drawn = TorchStylizer.from_file(SHIPPED, "cpu")(photo)
    assert drawn.shape == photo.shape
    assert 2 < pixels.difference(photo, drawn) < 60
    assert np.corrcoef(photo.ravel(), drawn.ravel())[0, 1] > 0.8
