"""A generator as ONNX: in float32, with its weights halved, and with its convolutions in 8 bits.

All three take and give bytes (`models.generators.portable`) at any size, and say in their metadata what they are.
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

from models.generators.portable import Network, Portable
from pipeline.core.errors import UserError
from pipeline.inference.openvino import LEARNED, PHOTO, PICTURE
from pipeline.media.images import Picture

if TYPE_CHECKING:
    import onnx

INTERFACE = (
    f"{PHOTO}: uint8 RGB, batch x height x width x 3, sRGB, any size from 1 x 1; {PICTURE}: the same, redrawn. "
    "Nothing is to be scaled or padded."
)
TRACED = (2, 40, 48, 3)  # any size will do that is no special case
NETWORK = "network"  # what weights are called by, in `Portable`
HALVED_FROM = 64  # values; fewer are not worth a node


def trace(network: Network) -> torch.export.ExportedProgram:
    """The network as a graph of torch's own, for any number of pictures of any size."""
    free = torch.export.Dim.DYNAMIC
    with _quiet():
        # What tracing cannot prove of sizes (that doubling undoes halving) becomes a check at run time.
        return torch.export.export(
            Portable(network).eval(),
            (torch.zeros(TRACED, dtype=torch.uint8),),
            dynamic_shapes=({0: free, 1: free, 2: free},),
            prefer_deferred_runtime_asserts_over_guards=True,
        )


def to_onnx(program: torch.export.ExportedProgram, metadata: Mapping[str, str], opset: int) -> onnx.ModelProto:
    """The graph as ONNX, without the traces of how it was made, which would name this machine's paths."""
    try:
        import onnxscript.optimizer
        from onnx_ir.passes import common
    except ImportError:
        raise UserError("ONNX files need the packages onnx, onnxscript and onnxruntime: pip install 'genga[export]'") from None
    with _quiet():
        names: dict[str, Any] = {"input_names": [PHOTO], "output_names": [PICTURE]}
        # Its own optimiser takes longer than all else, to find what every runtime finds for itself in a moment.
        made = torch.onnx.export(program, dynamo=True, opset_version=opset, verbose=False, optimize=False, **names)
        assert made is not None
        onnxscript.optimizer.fold_constants(made.model)
        for tidy in (common.RemoveUnusedNodesPass(), common.CommonSubexpressionEliminationPass()):
            tidy(made.model)
    model = made.model_proto
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    del graph.value_info[:]
    for value in (*graph.input, *graph.output):
        for dimension, name in zip(value.type.tensor_type.shape.dim, ("batch", "height", "width"), strict=False):
            dimension.dim_param = name
    _rename(graph, _learned(graph)[-1].output[0], LEARNED)
    graph.name = metadata.get("generator", "generator")
    model.producer_name, model.doc_string = "genga", INTERFACE
    _describe(model, {**metadata, "interface": INTERFACE, "arithmetic": "float32"})
    return model


def halve(model: onnx.ModelProto) -> onnx.ModelProto:
    """The weights in float16, all arithmetic in float32: half the file, and every runtime has it.

    Arithmetic in float16 is for GPUs only, and the sums of instance norm over a large photo leave its range.
    """
    import onnx
    from onnx import numpy_helper

    half = onnx.ModelProto()
    half.CopyFrom(model)
    casts = []
    for tensor in half.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or np.prod(tensor.dims) < HALVED_FROM:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), f"{name}.half"))
        casts.append(onnx.helper.make_node("Cast", [tensor.name], [name], f"{name}.whole", to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *half.graph.node]
    del half.graph.node[:]
    half.graph.node.extend(nodes)
    _describe(half, {"arithmetic": "float32, weights stored in float16"})
    return half


def quantise(model: onnx.ModelProto, photos: Sequence[Picture]) -> onnx.ModelProto:
    """The convolutions in 8 bits, but the first and the last: they see the photo's colours, and set boundaries and lines.

    Args:
        photos: pictures to learn the range of each convolution's values from, none of those that it is judged by.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left = iter(photos)

        def get_next(self) -> dict[str, Any] | None:
            photo = next(self._left, None)
            return None if photo is None else {PHOTO: photo[None]}

    weights = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    learned = [node.name for node in _learned(model.graph) if weights[node.input[1]][1] > 1]
    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / "model.onnx"
        onnx.save(model, path)
        quantize_static(
            path, path, Reader(), quant_format=QuantFormat.QDQ, per_channel=True, op_types_to_quantize=["Conv"],
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, nodes_to_quantize=learned[1:-1],
        )  # fmt: skip
        small = onnx.load(path)
    small.producer_name, small.doc_string = model.producer_name, model.doc_string
    told = {one.key: one.value for one in model.metadata_props}
    _describe(small, {**told, "arithmetic": "8-bit convolutions (but the first and last), float32 between them"})
    return small


def _learned(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The convolutions of the network, in order; those of ink have no weights that were learned."""
    return [node for node in graph.node if node.op_type == "Conv" and node.input[1].startswith(f"{NETWORK}.")]


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == old:
                    names[place] = new


def _describe(model: onnx.ModelProto, facts: Mapping[str, str]) -> None:
    told = {one.key: one.value for one in model.metadata_props} | dict(facts)
    del model.metadata_props[:]
    for key, value in sorted(told.items()):
        model.metadata_props.add(key=key, value=value)


@contextmanager
def _quiet() -> Iterator[None]:
    """Exporters warn of their own coming changes, which say nothing about the model."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
