"""Redrawing with PyTorch: pictures of any size."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.profiler import ProfilerActivity, profile

from models.generators.residual import Generator
from models.generators.table import GENERATORS, TINY, build_generator
from pipeline.core.errors import UserError
from pipeline.inference.torch_stylizer import BYTES_PER_PIXEL, TorchStylizer
from pipeline.media.images import Picture
from pipeline.networks import weights


def random_generator(norm: str | None = None) -> nn.Module:
    """A tiny generator with every part at work: as initialized, its last layer is zero, which would hide faults."""
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
    network = Generator(TINY)
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
    with pytest.raises(UserError, match="device 'teapot' is not supported"):
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
    others = [random_generator("batch"), build_generator("tiny")]
    assert len({stylizer.identity, *(TorchStylizer(module, "cpu").identity for module in others)}) == 3


def test_a_picture_beyond_memory_is_refused(stylizer: TorchStylizer, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = noise(500, 400)
    stylizer(photo)
    monkeypatch.setattr(TorchStylizer, "_free_bytes", lambda self: 0.25 * photo.size / 3 * BYTES_PER_PIXEL)
    with pytest.raises(UserError, match=r"400x500 takes up to 0\.5 GB .* at most 250 pixels"):
        stylizer(photo)


@pytest.mark.parametrize("name", sorted(GENERATORS))
def test_no_generator_takes_more_memory_than_is_checked_for(name: str) -> None:
    """By the allocations of PyTorch's operations, on a picture in which nothing else counts."""
    side = 128
    module = build_generator(name).eval()
    with torch.no_grad(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        module(torch.zeros(1, 3, side, side))
    held, peak = 0, 0
    for event in profiler.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    assert 100 < peak / side**2 < BYTES_PER_PIXEL
