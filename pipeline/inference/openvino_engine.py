"""Runs a generator's ONNX graph with OpenVINO on the processor, in about a third of PyTorch's time.

The graph is cut behind the last learned layer. The layers before the cut run in bfloat16 where the processor multiplies it
natively. What follows adds their change to the photo's own colors, which eight bits of mantissa would coarsen, in float32.
"""

import functools
import importlib
import sys
import time
from collections import OrderedDict, defaultdict
from dataclasses import dataclass
from types import ModuleType
from typing import Any, cast

import numpy as np

from pipeline.core.errors import UserError
from pipeline.media.images import Picture

PHOTO, LEARNED, PICTURE = "photo", "learned", "picture"
"""Names in the graph: its input, the output of the last learned layer, its output (see `pipeline.inference.onnx_export`)."""
MAX_COMPILED_SIZES = 2  # portrait and landscape
LARGE_PIXELS = 2_000_000
"""A picture this large takes longer to redraw than its size takes to compile."""
RELEASED_PIXELS = 4_000_000
"""Memory of larger pictures is released after each one, so that the next of another size finds some."""
Size = tuple[int, int]


def is_available() -> bool:
    """Whether OpenVINO is installed."""
    return _openvino() is not None


def _openvino() -> Any:
    # The package reports every import to a web analytics service, unless its telemetry module is missing.
    sys.modules.setdefault("openvino_telemetry", cast(ModuleType, None))
    try:
        return importlib.import_module("openvino")
    except ImportError:
        return None


@functools.cache
def _core() -> Any:
    # One for the process, never released: its plugin would go with it, which compiled graphs awaiting collection need.
    return _openvino().Core()


@dataclass
class _CompiledGraph:
    """Both parts of the graph, compiled for one size or for any."""

    learned: Any
    rest: Any

    def __call__(self, photo: Picture) -> Picture:
        shared = {"share_inputs": True, "share_outputs": True}  # results lie in the requests' memory: copied below
        features = self.learned.infer({0: photo[None]}, **shared)[0]
        return np.array(self.rest.infer({0: photo[None], 1: features}, **shared)[0][0])

    def release_memory(self) -> None:
        for request in (self.learned, self.rest):
            request.get_compiled_model().release_memory()


class OpenVinoEngine:
    """A graph compiled for pictures of any size, and for the sizes that are worth it. Not thread-safe.

    A graph compiled for one size takes half the time, and compiling takes a second. So a size is compiled for if it was
    announced (`compile_for`), is large, or has already taken as long as compiling.
    """

    def __init__(self, graph: bytes, threads: int = 0) -> None:
        """Compile a graph for pictures of any size.

        Args:
            graph: an ONNX file made by `pipeline.inference.onnx_export`.
            threads: number of threads to use; 0 for one per core.

        Raises:
            UserError: OpenVINO cannot run the graph.
        """
        self._options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if threads:
            self._options["INFERENCE_NUM_THREADS"] = threads
        native = "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        self.precision = "bfloat16" if native else "float32"
        """Arithmetic of the learned layers."""
        try:
            self._learned, self._rest = _split_graph(_core().read_model(graph))
            start = time.perf_counter()
            self._any_size = self._compile(None)
            self._compile_time_s = time.perf_counter() - start
        except RuntimeError as error:
            detail = " ".join(str(error).split())[:160]
            raise UserError(f"OpenVINO cannot run this graph ({detail})") from None
        self._by_size: OrderedDict[Size, _CompiledGraph] = OrderedDict()
        self._spent_s: defaultdict[Size, float] = defaultdict(float)

    def compile_for(self, height: int, width: int) -> None:
        """Compile for pictures of this size, unless that has been done."""
        size = height, width
        if size not in self._by_size:
            while len(self._by_size) >= MAX_COMPILED_SIZES:
                oldest, _ = self._by_size.popitem(last=False)
                self._spent_s[oldest] = 0.0  # or sizes that alternate would be compiled for each time
            self._by_size[size] = self._compile(size)
        self._by_size.move_to_end(size)

    def __call__(self, photo: Picture) -> Picture:
        """Redraw one picture: uint8 RGB HxWx3, any size from 1x1, to the same size."""
        height, width = photo.shape[:2]
        size, pixels = (height, width), height * width
        if pixels >= LARGE_PIXELS or self._spent_s[size] > self._compile_time_s:
            self.compile_for(height, width)
        start = time.perf_counter()
        drawing = self._by_size.get(size, self._any_size)(photo)
        self._spent_s[size] += time.perf_counter() - start
        if pixels > RELEASED_PIXELS:
            self.release_memory()
        return drawing

    def release_memory(self) -> None:
        """Release the memory that the last pictures took."""
        for compiled in (self._any_size, *self._by_size.values()):
            compiled.release_memory()

    def _compile(self, size: Size | None) -> _CompiledGraph:
        learned, rest = self._learned.clone(), self._rest.clone()
        if size is not None:
            learned.reshape({PHOTO: [1, *size, 3]})
            rest.reshape({PHOTO: [1, *size, 3], LEARNED: list(learned.output(0).shape)})
        # The precision of both is stated, since OpenVINO's own choice would be bfloat16 for the rest too.
        return _CompiledGraph(self._request(learned, self.precision), self._request(rest, "float32"))

    def _request(self, part: Any, precision: str) -> Any:
        options = self._options | {"INFERENCE_PRECISION_HINT": {"bfloat16": "bf16", "float32": "f32"}[precision]}
        return _core().compile_model(part, "CPU", options).create_infer_request()


def _split_graph(graph: Any) -> tuple[Any, Any]:
    """Return the graph up to the tensor `LEARNED`, and the rest, whose inputs are the photo and that tensor."""
    openvino = _openvino()
    ops = openvino.opset13
    outputs = (out for op in graph.get_ordered_ops() for out in op.outputs())
    cut = next((out for out in outputs if LEARNED in out.get_names()), None)
    if cut is None:
        raise RuntimeError(f"it has no tensor named {LEARNED}: an older genga wrote it")
    photo = graph.get_parameters()[0]
    learned = openvino.Model([ops.result(cut)], [photo], LEARNED).clone()
    features = ops.parameter(cut.get_partial_shape(), openvino.Type.f32, name=LEARNED)
    features.output(0).set_names({LEARNED})
    for target in cut.get_target_inputs():
        if target.get_node().get_type_name() != "Result":
            target.replace_source_output(features.output(0))
    return learned, openvino.Model(graph.get_results(), [photo, features], PICTURE)
