"""Exported graphs are kept from run to run."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from models.generators.table import build_generator
from pipeline.inference import graph_cache
from pipeline.networks import weights
from tests.support.exported import small_onnx

pytestmark = pytest.mark.usefixtures("graph_folder")


def export(identity: str) -> bytes:
    module, _ = weights.load_generator(small_onnx()[0])
    assert graph_cache.is_exportable(module)
    return graph_cache.load_or_export(module, identity)


def test_a_network_is_exported_once(exports: list[int], graph_folder: Path) -> None:
    assert not graph_cache.contains("a")
    first = export("a")
    assert graph_cache.contains("a") and export("a") == first
    assert len(exports) == 1 and len(list(graph_folder.iterdir())) == 1
    export("b")
    assert len(exports) == 2
    graph_cache.remove("a")
    graph_cache.remove("a")
    assert not graph_cache.contains("a") and graph_cache.contains("b")


def test_few_graphs_are_kept(exports: list[int], graph_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_cache, "MAX_GRAPHS", 2)
    for number in range(4):
        export(f"{number}")
    assert len(list(graph_folder.iterdir())) == 2 and graph_cache.contains("3") and not graph_cache.contains("0")


def test_a_cache_that_cannot_be_written_only_costs_time(
    exports: list[int], graph_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    graph_folder.parent.parent.mkdir()
    graph_folder.parent.write_text("a file where the folder should be")
    with caplog.at_level(logging.INFO, "genga"):
        assert export("a") == export("a")
    assert len(exports) == 2 and "prepared again next time" in caplog.text


def test_only_generators_with_finite_weights_are_exportable() -> None:
    generator = build_generator("tiny")
    assert graph_cache.is_exportable(generator)
    with torch.no_grad():
        next(generator.parameters()).fill_(float("nan"))
    assert not graph_cache.is_exportable(generator)
    assert not graph_cache.is_exportable(torch.nn.Identity())
