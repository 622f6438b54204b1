"""Devices: input and precision of networks, initial weights, and training without torch.compile where that fails."""

from pathlib import Path

import pytest
import torch
from torch import nn

from pipeline.core.errors import UserError
from pipeline.networks import devices

CPU = torch.device("cpu")


@pytest.mark.slow
def test_a_compiler_that_fails_is_reported_and_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    import torch._inductor.config as inductor

    monkeypatch.setattr(inductor.cpp, "cxx", ("/nowhere/c++",))
    network, picture = nn.Sequential(nn.BatchNorm2d(3)), torch.ones(2, 3, 4, 4)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    devices.compile_if_it_works(network, picture, "float32")
    assert "compile: torch.compile failed" in caplog.text and "continuing without it" in caplog.text
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert network(picture).shape == picture.shape


def test_initial_weights_depend_on_seed_and_name() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one = devices.build_seeded(lambda: nn.Linear(4, 4), 1, "generator", CPU)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    again = devices.build_seeded(lambda: nn.Linear(4, 4), 1, "generator", CPU)
    others = [devices.build_seeded(lambda: nn.Linear(4, 4), *key, CPU) for key in ((2, "generator"), (1, "discriminator"))]
    assert torch.equal(one.weight, again.weight)  # type: ignore[arg-type]
    assert not any(torch.equal(one.weight, other.weight) for other in others)  # type: ignore[arg-type]


def test_pictures_become_input_in_the_layout_of_the_device() -> None:
    pixels = torch.tensor([[[[0, 127, 255], [255, 0, 51]]]], dtype=torch.uint8)  # N x H x W x 3
    found = devices.to_model_input(pixels, CPU)
    assert found.shape == (1, 3, 1, 2) and found.is_contiguous(memory_format=devices.layout(CPU))
    assert found[0, :, 0, 0].tolist() == pytest.approx([-1, 127 / 127.5 - 1, 1])
    plain = devices.to_model_input(pixels, CPU, torch.contiguous_format)
    assert plain.is_contiguous() and torch.equal(plain, found)


@pytest.mark.parametrize(
    ("capability", "precision", "dtype"),
    [("AVX512", "float32", torch.float32), ("AVX512", "bfloat16", torch.bfloat16), ("AVX2", "bfloat16", torch.float32)],
)
def test_a_precision_sets_the_arithmetic_of_forward_passes(
    capability: str, precision: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    network = devices.to_device(nn.Conv2d(3, 4, 1), CPU)
    with devices.autocast(CPU, precision):
        assert network(torch.ones(1, 3, 2, 2)).dtype == dtype
    assert next(network.parameters()).dtype == torch.float32


@pytest.mark.parametrize(("capability", "layout"), [("AVX2", torch.contiguous_format), ("AVX512", torch.channels_last)])
def test_processors_without_avx512_have_contiguous_channels(
    capability: str, layout: torch.memory_format, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert devices.layout(CPU) is layout
    assert devices.layout(torch.device("cuda")) is torch.channels_last
    assert devices.layout(torch.device("mps")) is torch.contiguous_format


def test_the_device_is_that_of_the_environment_unless_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Apple's GPU is faked: torch says that it is there. Nothing is computed on it."""
    monkeypatch.delenv("GENGA_DEVICE", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert devices.pick_device() == CPU
    monkeypatch.setenv("GENGA_DEVICE", "mps")
    assert devices.pick_device() == torch.device("mps") and devices.pick_device("cpu") == CPU
    before = torch.are_deterministic_algorithms_enabled()
    devices.prepare(torch.device("mps"))
    assert torch.are_deterministic_algorithms_enabled() is before
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for wish, problem in (("mps", "device mps is not here"), ("cuda:1", "cuda:1 is not here"), ("teapot", "use cpu, cuda")):
        monkeypatch.setenv("GENGA_DEVICE", wish)
        with pytest.raises(UserError, match=problem):
            devices.pick_device()
