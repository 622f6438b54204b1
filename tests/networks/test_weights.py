"""Generators' files: the same bytes for the same content, and anything else refused with a remedy."""

from pathlib import Path

import pytest
import torch

from models.generators.table import build_generator
from pipeline.core.errors import UserError
from pipeline.networks import devices, weights

CPU = torch.device("cpu")


def save_tiny(path: Path, **metadata: str) -> None:
    network = devices.build_seeded(lambda: build_generator("tiny"), 1, "generator", CPU)
    weights.save_generator(path, network, weights.generator_metadata("tiny", None) | metadata)


def test_weights_are_read_as_they_were_written(tmp_path: Path) -> None:
    save_tiny(tmp_path / "a.safetensors", note="hello", images_seen="8")
    save_tiny(tmp_path / "b.safetensors", images_seen="8", note="hello")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    module, metadata = weights.load_generator(tmp_path / "a.safetensors")
    assert metadata == {"generator": "tiny", "norm": "row", "note": "hello", "images_seen": "8"}
    assert not module.training and not any(p.requires_grad for p in module.parameters())
    first = devices.build_seeded(lambda: build_generator("tiny"), 1, "generator", CPU)
    assert all(torch.equal(first.state_dict()[key], value) for key, value in module.state_dict().items())
    assert {path.name for path in tmp_path.iterdir()} == {"a.safetensors", "b.safetensors"}


def test_files_that_are_no_generator_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    with pytest.raises(UserError, match=r"does not exist: run dvc repro"):
        weights.load_generator(file)
    torch.save({"a": torch.zeros(2)}, file)
    with pytest.raises(UserError, match=r"no whole safetensors file .*\.pth"):
        weights.load_generator(file)
    weights.save_tensors(file, {"a": torch.zeros(2)}, {})
    with pytest.raises(UserError, match=r"does not name its generator"):
        weights.load_generator(file)
    save_tiny(file, generator="of the future")
    with pytest.raises(UserError, match=r"'of the future', which is none of .*tiny"):
        weights.load_generator(file)
    for changed in ({"generator": "genga-s"}, {"norm": "batch"}, {"norm": "odd"}):
        save_tiny(file, **changed)
        with pytest.raises(UserError, match=r"does not fit the generator"):
            weights.load_generator(file)
    save_tiny(file)
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(UserError, match=r"no whole safetensors file"):
        weights.load_generator(file)
