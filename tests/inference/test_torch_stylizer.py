"""Redrawing with PyTorch: pictures of any size, whole or streamed."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from models.generators.residual import Generator
from models.generators.table import TINY, build_generator
from models.streaming.stream import RowStream
from pipeline.core.errors import UserError
from pipeline.inference.offload import Offloader
from pipeline.inference.torch_stylizer import STREAMED_ROWS, TorchStylizer
from pipeline.media import arrays
from pipeline.media.images import Picture
from pipeline.networks import weights


def random_generator(norm: str | None = None) -> nn.Module:
    """A tiny generator with every part at work: as initialised, its last layer is zero, which would hide faults."""
    torch.manual_seed(0)
    module = build_generator("tiny", norm=norm)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return module


@pytest.fixture(scope="module")
def stylizer() -> TorchStylizer:
    return TorchStylizer(random_generator(), "cpu")


def noise(height: int, width: int, seed: int = 0) -> Picture:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@given(st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=20)
def test_any_size_is_kept(stylizer: TorchStylizer, height: int, width: int) -> None:
    drawn = stylizer(noise(height, width))
    assert drawn.shape == (height, width, 3) and drawn.dtype == np.uint8 and drawn.flags["C_CONTIGUOUS"]


def test_the_same_picture_always_gives_the_same_result(stylizer: TorchStylizer) -> None:
    photo = noise(33, 47)
    before = photo.copy()
    drawn = stylizer(photo)
    assert (drawn != photo).mean() > 0.5
    np.testing.assert_array_equal(photo, before)
    np.testing.assert_array_equal(stylizer(photo), drawn)
    np.testing.assert_array_equal(TorchStylizer(random_generator(), "cpu")(photo), drawn)


def test_threads_may_share_a_stylizer(stylizer: TorchStylizer) -> None:
    photos = [noise(40 + seed % 3, 50, seed) for seed in range(12)]
    alone = [stylizer(photo) for photo in photos]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(stylizer, photos))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_batch_equals_its_pictures_one_by_one(stylizer: TorchStylizer) -> None:
    photos = [noise(24, 31, seed) for seed in range(5)]
    batch = stylizer.stylize_batch(photos)
    for photo, drawn in zip(photos, batch, strict=True):
        # Convolutions of batches may sum in another order: a value on the edge of rounding moves by one.
        assert np.abs(stylizer(photo).astype(int) - drawn).max() <= 1
    assert stylizer.stylize_batch([]) == []


def test_the_module_that_was_given_is_not_changed() -> None:
    module = build_generator("tiny", norm="batch").train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    TorchStylizer(module, "cpu")(noise(16, 16))
    assert module.training and all(parameter.requires_grad for parameter in module.parameters())
    for name, value in module.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_every_level_survives_a_network_that_changes_nothing() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    network = Generator(replace(TINY, kuwahara=False, diffusion_steps=0, lines=False))
    np.testing.assert_array_equal(TorchStylizer(network, "cpu")(levels), levels)


def test_flat_pictures_stay_flat_and_wrong_arrays_are_refused(stylizer: TorchStylizer) -> None:
    # Without norm: of a picture without variance, instance norm makes large what is nothing but rounding.
    plain = TorchStylizer(random_generator("none"), "cpu")
    for level in (0, 128, 255):
        drawn = plain(np.full((20, 20, 3), level, np.uint8))
        assert np.ptp(drawn, axis=(0, 1)).max() <= 1
    for wrong in (noise(4, 4).astype(np.float32), noise(4, 4)[..., 0], np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(ValueError, match="expected uint8"):
            stylizer(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="one size"):
        stylizer.stylize_batch([noise(4, 4), noise(4, 5)])


def test_size_limit_unknown_device_and_output_that_is_not_finite() -> None:
    with pytest.raises(UserError, match=r"20x10 .*over the limit of 0\.0001"):
        TorchStylizer(random_generator(), "cpu", max_megapixels=0.0001)(noise(10, 20))
    with pytest.raises(UserError, match="device 'teapot'"):
        TorchStylizer(random_generator(), "teapot")
    broken = random_generator()
    with torch.no_grad():
        next(broken.parameters()).fill_(float("nan"))
    with pytest.raises(UserError, match="not finite"):
        TorchStylizer(broken, "cpu")(noise(8, 8))


def test_a_file_redraws_as_the_module_it_was_saved_from(tmp_path: Path, stylizer: TorchStylizer) -> None:
    path = tmp_path / "generator.safetensors"
    weights.save_generator(path, random_generator(), weights.generator_metadata("tiny", None))
    loaded = TorchStylizer.from_file(path, "cpu")
    np.testing.assert_array_equal(loaded(noise(21, 19)), stylizer(noise(21, 19)))
    assert loaded.metadata["generator"] == "tiny"
    with pytest.raises(UserError, match="none"):
        TorchStylizer.from_file(tmp_path / "none.safetensors")


def test_identity_depends_on_weights_and_architecture(stylizer: TorchStylizer) -> None:
    assert stylizer.identity == TorchStylizer(random_generator(), "cpu").identity
    others = [random_generator("none"), build_generator("tiny")]
    assert len({stylizer.identity, *(TorchStylizer(module, "cpu").identity for module in others)}) == 3


def generator_with_one_diffusion_step() -> nn.Module:
    """A network whose diffusion step takes most of the memory of streaming."""
    torch.manual_seed(0)
    network = Generator(replace(TINY, diffusion_steps=1))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def test_a_picture_comes_out_the_same_in_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, small = (TorchStylizer(generator_with_one_diffusion_step(), "cpu", memory_mb=memory) for memory in (1000, 5))
    photo = arrays.resize(noise(20, 7), 60, 400)
    redrawn: list[int] = []
    real = RowStream.run

    def watched(self: RowStream, *arguments: Any) -> None:
        redrawn.append(self._step)
        real(self, *arguments)

    monkeypatch.setattr(RowStream, "run", watched)
    expected = whole(photo)
    assert redrawn == []
    for in_files in (False, True):
        if in_files:
            monkeypatch.setattr("pipeline.inference.torch_stylizer.Offloader", lambda limit, device: Offloader(0, device))
        assert np.abs(small.stylize_batch([photo, photo])[1].astype(int) - expected).max() <= 1
    assert len(redrawn) == 4 and set(redrawn) <= set(STREAMED_ROWS)


def test_too_little_memory_is_an_error() -> None:
    with pytest.raises(UserError, match=r"1 MB are too little for a picture 500 pixels wide, which takes \d+ MB: raise"):
        TorchStylizer(random_generator(), "cpu", memory_mb=1)(noise(500, 500))


def test_a_full_disk_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    monkeypatch.setattr("pipeline.inference.torch_stylizer.Offloader", lambda limit, device: Offloader(0, device))
    with pytest.raises(UserError, match=r"no room for what memory does not hold of 60x400 \(No space left.*TMPDIR"):
        TorchStylizer(generator_with_one_diffusion_step(), "cpu", memory_mb=5)(noise(400, 60))
