"""Feature extractors: Inception's weights are used only if they are there already."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from pipeline.metrics import feature_extractor
from tests.support.evaluation_world import photo_crops


def test_inception_is_never_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert feature_extractor.find_inception(torch.device("cpu")) is None
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / feature_extractor.INCEPTION_FILE).write_bytes(b"half of it")
    with caplog.at_level(logging.WARNING, "genga"):
        assert feature_extractor.find_inception(torch.device("cpu")) is None
    assert "is damaged" in caplog.text
    torch.manual_seed(0)
    with torch.device("meta"):
        network = feature_extractor.build_inception()
    network = network.to_empty(device="cpu")
    for tensor in [*network.parameters(), *network.buffers()]:
        tensor.data.fill_(1 if tensor.ndim == 1 else 0.01) if tensor.is_floating_point() else tensor.zero_()
    found = feature_extractor.Inception(network, torch.device("cpu"))(photo_crops(2))
    assert found.shape == (2, 2048) and bool(torch.isfinite(found).all())
