"""A small generator and its exported files, made once a process, for tests of exports and of pages."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import pytest
import torch

from models.generators.table import GENERATORS, TINY, build_generator
from pipeline.networks import weights

ROW = "small"
LICENCE = "Learned from a drawn film."


def add_row(patch: pytest.MonkeyPatch) -> None:
    """Add a row to the model table under a name of its own."""
    patch.setitem(GENERATORS, ROW, TINY)


def save_small(path: Path) -> Path:
    """Save a generator of that row in which every layer has an effect."""
    torch.manual_seed(0)
    module = build_generator(ROW)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    weights.save_generator(
        path,
        module,
        weights.generator_metadata(ROW, None) | {"licence": LICENCE, "working_px": "300", "recipe": '{"loss": {}}'},
    )
    return path


def count_exports(patch: pytest.MonkeyPatch) -> list[int]:
    """Replace exporting by the small generator's ONNX file; the returned list grows with each export."""
    from pipeline.inference import onnx_export

    exports: list[int] = []
    graph = small_onnx()[1].read_bytes()
    patch.setattr(onnx_export, "trace", lambda network: exports.append(1))
    patch.setattr(onnx_export, "to_onnx", lambda program, metadata, opset: None)
    patch.setattr(onnx_export, "to_bytes", lambda model: graph)
    return exports


@functools.cache
def small_onnx() -> tuple[Path, Path]:
    """Return the generator's file and its ONNX file."""
    from pipeline.inference import onnx_export

    folder = Path(tempfile.mkdtemp(prefix="genga-test-"))
    with pytest.MonkeyPatch.context() as patch:
        add_row(patch)
        saved = save_small(folder / "small.safetensors")
        network, metadata = weights.load_generator(saved)
    model = onnx_export.to_onnx(onnx_export.trace(network), metadata, 20)  # type: ignore[arg-type]
    (folder / "small.onnx").write_bytes(model.SerializeToString())
    return saved, folder / "small.onnx"
