"""ONNX files of a generator: names, metadata, and the smaller kinds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from pipeline.inference import onnx_export
from pipeline.inference.onnx_stylizer import OnnxStylizer
from pipeline.inference.openvino_engine import LEARNED, PHOTO, PICTURE
from tests.conftest import scene
from tests.support.exported import LICENCE, ROW, small_onnx


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return onnx.load(small_onnx()[1])


def metadata(model: onnx.ModelProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in model.metadata_props}


def max_difference(model: onnx.ModelProto, other: onnx.ModelProto, folder: Path) -> int:
    """Largest difference between the pictures of two models, in levels."""
    onnx.save(model, folder / "one.onnx")
    onnx.save(other, folder / "other.onnx")
    photo = scene(5, 60, 44)
    one, two = (OnnxStylizer(folder / f"{name}.onnx", "cpu")(photo).astype(int) for name in ("one", "other"))
    return int(np.abs(one - two).max())


def test_inputs_outputs_and_metadata(model: onnx.ModelProto) -> None:
    assert [value.name for value in (*model.graph.input, *model.graph.output)] == [PHOTO, PICTURE]
    for value in (*model.graph.input, *model.graph.output):
        shape = [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
        assert shape == ["batch", "height", "width", 3] and value.type.tensor_type.elem_type == TensorProto.UINT8
    assert sum(LEARNED in node.output for node in model.graph.node) == 1
    assert metadata(model)["generator"] == ROW and metadata(model)["licence"] == LICENCE
    assert metadata(model)["arithmetic"] == "float32" and "uint8 RGB" in metadata(model)["interface"]
    assert metadata(model)["working_px"] == "300" and "working_px" in metadata(model)["interface"]


def test_equal_models_give_equal_bytes(model: onnx.ModelProto) -> None:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    assert onnx_export.to_bytes(copy) == onnx_export.to_bytes(model)


def test_halved_weights_are_rounded_to_float16(model: onnx.ModelProto, tmp_path: Path) -> None:
    half = onnx_export.halve(model)
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in half.graph.initializer}
    halved = [name for name in weights if name.endswith(".half")]
    assert len(halved) > 3
    for tensor in model.graph.initializer:
        if f"{tensor.name}.half" in halved:
            np.testing.assert_array_equal(weights[f"{tensor.name}.half"], numpy_helper.to_array(tensor).astype(np.float16))
    assert len(onnx_export.to_bytes(half)) < len(onnx_export.to_bytes(model))
    assert "float16" in metadata(half)["arithmetic"] and metadata(half)["licence"] == LICENCE
    assert 0 < max_difference(model, half, tmp_path) <= 8


def test_quantized_convolutions_are_all_but_first_and_last(model: onnx.ModelProto, tmp_path: Path) -> None:
    quantized = onnx_export.quantize(model, [scene(seed, 48, 40) for seed in range(3)])
    assert "8-bit" in metadata(quantized)["arithmetic"] and metadata(quantized)["licence"] == LICENCE
    convolutions = [node for node in quantized.graph.node if node.op_type == "Conv"]
    weights = [node.input[1] for node in convolutions if node.input[1].startswith("network.")]
    assert weights[0].endswith(".weight") and weights[-1].endswith(".weight")
    assert any(name.endswith("DequantizeLinear_Output") for name in weights[1:-1])
    assert max_difference(model, quantized, tmp_path) > 0
