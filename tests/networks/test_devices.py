"""Initial weights depend on seed and name alone; training continues without torch.compile where that fails."""

from pathlib import Path

import pytest
import torch
from torch import nn

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


def test_first_weights_belong_to_seed_and_name() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one = devices.build_seeded(lambda: nn.Linear(4, 4), 1, "generator", CPU)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    again = devices.build_seeded(lambda: nn.Linear(4, 4), 1, "generator", CPU)
    others = [devices.build_seeded(lambda: nn.Linear(4, 4), *key, CPU) for key in ((2, "generator"), (1, "discriminator"))]
    assert torch.equal(one.weight, again.weight)  # type: ignore[arg-type]
    assert not any(torch.equal(one.weight, other.weight) for other in others)  # type: ignore[arg-type]
