"""Exports a generator to ONNX: in float32, with weights in float16, or with 8-bit convolutions.

All of them take and give uint8 pixels at any size (`models.generators.portable`), but for one file for programs that do not.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from models.generators.portable import Portable
from models.generators.table import AnyGenerator
from pipeline.core.errors import UserError
from pipeline.inference.openvino_engine import LEARNED, PHOTO, PICTURE
from pipeline.media.images import Picture

if TYPE_CHECKING:
    import onnx

INTERFACE = (
    f"{PHOTO}: uint8 RGB, batch x height x width x 3, sRGB, any size from 1 x 1; {PICTURE}: the same, redrawn. "
    "Values need no scaling, sizes no padding. For the look that was learned, shrink pictures to a long side of working_px "
    "pixels before, and enlarge the result."
)
FLOAT_INTERFACE = (
    "input: float32 RGB in 0..1, 1 x 3 x height x width, sRGB, any size; output: the same, redrawn. For the look that was "
    "learned, shrink pictures to a long side of working_px pixels before, and enlarge the result."
)
EXAMPLE_SHAPE = (2, 40, 48, 3)  # any will do that is no special case
NETWORK = "network"  # attribute of `Portable`, and so the prefix of the names of weights
MIN_HALVED_VALUES = 64  # smaller tensors are not worth a node


def trace(network: AnyGenerator) -> torch.export.ExportedProgram:
    """Trace a generator with torch.export, for any number of pictures of any size.

    The program takes and gives uint8 RGB, N x H x W x 3. `network` itself is put into evaluation mode.
    """
    free = torch.export.Dim.DYNAMIC
    with _quiet(), torch.no_grad():  # a clamp with gradients is several operations
        # What tracing cannot prove about sizes (that doubling undoes halving) is checked at run time.
        return torch.export.export(
            Portable(network).eval(),
            (torch.zeros(EXAMPLE_SHAPE, dtype=torch.uint8),),
            dynamic_shapes=({0: free, 1: free, 2: free},),
            prefer_deferred_runtime_asserts_over_guards=True,
        )


def to_onnx(program: torch.export.ExportedProgram, metadata: Mapping[str, str], opset: int) -> onnx.ModelProto:
    """Convert a traced generator to ONNX, without debug information, which would name paths of this machine.

    Args:
        metadata: facts to store in the file, besides `interface` and `arithmetic`, which are added.
        opset: version of ONNX's operators.

    Raises:
        UserError: the packages that this takes are not installed.
    """
    try:
        import onnxscript.optimizer
        from onnx_ir.passes import common
    except ImportError:
        raise UserError("ONNX files need onnx, onnxscript, onnxruntime: in Genga's folder pip install -e '.[export]'") from None
    with _quiet():
        names: dict[str, Any] = {"input_names": [PHOTO], "output_names": [PICTURE]}
        # The exporter's own optimizer takes longer than all else, and finds what every runtime finds in a moment.
        exported = torch.onnx.export(program, dynamo=True, opset_version=opset, verbose=False, optimize=False, **names)
        assert exported is not None
        onnxscript.optimizer.fold_constants(exported.model)
        for simplify in (common.RemoveUnusedNodesPass(), common.CommonSubexpressionEliminationPass()):
            simplify(exported.model)
    model = exported.model_proto
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    del graph.value_info[:]
    for value in (*graph.input, *graph.output):
        for dimension, name in zip(value.type.tensor_type.shape.dim, ("batch", "height", "width"), strict=False):
            dimension.dim_param = name
    _rename(graph, _network_convolutions(graph)[-1].output[0], LEARNED)
    graph.name = metadata.get("generator", "generator")
    model.producer_name, model.doc_string = "genga", INTERFACE
    _add_metadata(model, {**metadata, "interface": INTERFACE, "arithmetic": "float32"})
    return model


def to_bytes(model: onnx.ModelProto) -> bytes:
    """Serialize a model; equal models give equal bytes."""
    return bytes(model.SerializeToString(deterministic=True))


def halve(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy with weights in float16 that computes in float32: half the size, and every runtime can run it.

    Computing in float16 is for GPUs only, and the sums of instance norm over a large photo exceed its range.
    """
    import onnx
    from onnx import numpy_helper

    half = onnx.ModelProto()
    half.CopyFrom(model)
    casts = []
    for tensor in half.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or np.prod(tensor.dims) < MIN_HALVED_VALUES:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), f"{name}.half"))
        casts.append(onnx.helper.make_node("Cast", [tensor.name], [name], f"{name}.float", to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *half.graph.node]
    del half.graph.node[:]
    half.graph.node.extend(nodes)
    _add_metadata(half, {"arithmetic": "float32, weights stored in float16"})
    return half


def to_float_planes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy that takes `input` and gives `output` as image programs expect: float32 RGB in 0..1, 1 x 3 x H x W.

    Nothing is rounded to bytes on the way.

    Args:
        model: as `to_onnx` makes it.
    """
    import onnx
    from onnx import TensorProto, helper

    planes = onnx.ModelProto()
    planes.CopyFrom(model)
    graph = planes.graph
    first, last = _path_from(graph, PHOTO, ("Transpose", "Cast", "Div")), list(graph.node[-4:])
    assert [node.op_type for node in last] == ["Mul", "Round", "Cast", "Transpose"], "models.generators.portable has changed"
    for node in graph.node:
        if node.op_type == "Shape" and node.input[0] == PHOTO:
            axes = {attribute.name: attribute for attribute in node.attribute}
            axes["start"].i = (0, 2, 3, 1)[axes["start"].i]
            axes["end"].i = axes["start"].i + 1
            node.input[0] = "input"
    graph.initializer.append(helper.make_tensor("half", TensorProto.FLOAT, (), [0.5]))
    first[2].input[:] = ["input", "half"]  # 2 * input, from which the network's code subtracts 1
    last[0].input[1], last[0].output[0] = "half", "output"
    for node in (*first[:2], *last[1:]):
        graph.node.remove(node)
    used = {name for node in graph.node for name in node.input}
    for node in [node for node in graph.node if node.op_type == "Constant" and node.output[0] not in used]:
        graph.node.remove(node)
    for values, name in ((graph.input, "input"), (graph.output, "output")):
        values[0].CopyFrom(helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 3, "height", "width")))
    planes.doc_string = FLOAT_INTERFACE
    _add_metadata(planes, {"interface": FLOAT_INTERFACE})
    return planes


def _path_from(graph: onnx.GraphProto, name: str, operators: Sequence[str]) -> list[onnx.NodeProto]:
    """Follow a value through nodes of the given operators."""
    path = []
    for operator in operators:
        path.append(next(node for node in graph.node if node.op_type == operator and node.input[0] == name))
        name = path[-1].output[0]
    return path


def quantize(model: onnx.ModelProto, photos: Sequence[Picture]) -> onnx.ModelProto:
    """Return a copy with 8-bit convolutions, except depthwise ones, the first (it sees the photo's colors) and the last.

    Args:
        model: as `to_onnx` makes it.
        photos: uint8 RGB HxWx3, to find the value range of each convolution; not those that the model is evaluated on.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._photos = iter(photos)

        def get_next(self) -> dict[str, Any] | None:
            photo = next(self._photos, None)
            return None if photo is None else {PHOTO: photo[None]}

    weights = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    # Depthwise convolutions (with one input channel) stay in float32.
    convolutions = [node.name for node in _network_convolutions(model.graph) if weights[node.input[1]][1] > 1]
    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / "model.onnx"
        onnx.save(model, path)
        quantize_static(
            path, path, Reader(), quant_format=QuantFormat.QDQ, per_channel=True, op_types_to_quantize=["Conv"],
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, nodes_to_quantize=convolutions[1:-1],
        )  # fmt: skip
        quantized = onnx.load(path)
    quantized.producer_name, quantized.doc_string = model.producer_name, model.doc_string
    _add_metadata(quantized, _metadata(model) | {"arithmetic": "8-bit convolutions except the first and last, else float32"})
    return quantized


def _network_convolutions(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Return the network's convolutions in order."""
    return [node for node in graph.node if node.op_type == "Conv" and node.input[1].startswith(f"{NETWORK}.")]


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == old:
                    names[index] = new


def _metadata(model: onnx.ModelProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in model.metadata_props}


def _add_metadata(model: onnx.ModelProto, metadata: Mapping[str, str]) -> None:
    merged = _metadata(model) | dict(metadata)
    del model.metadata_props[:]
    for key, value in sorted(merged.items()):
        model.metadata_props.add(key=key, value=value)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporters, which warn of changes to come in themselves."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
