"""A generator's ONNX graph run by OpenVINO on the processor: what was trained works, as it is, in a third of torch's time.

The graph is cut after the last layer that was learned. What is before it sets where lines and boundaries are and by how much
colours change, and works in bfloat16 where the processor multiplies that natively: half the bytes, twice the products. What is
after it (brush, fills, grade, ink) sees the photo's own colours, of which eight bits of mantissa would lose some: float32.
"""

from __future__ import annotations

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
"""What goes in, what the learned layers say, and what comes out, as graphs name them (see `pipeline.inference.onnx_export`)."""
KEPT_SIZES = 2
"""Sizes for which a compiled graph is kept: portrait and landscape."""
LARGE_PIXELS = 2_000_000
"""A picture of so many takes longer than compiling for it."""
HELD_PIXELS = 4_000_000
"""Memory of larger pictures is given back after each, or the next of another size would find none."""
Size = tuple[int, int]


def available() -> bool:
    """Whether OpenVINO is installed here."""
    return _openvino() is not None


def _openvino() -> Any:
    # The package reports each import to a web analytics service, unless that part of it is missing; a redrawn photo is
    # nobody's business.
    sys.modules.setdefault("openvino_telemetry", cast(ModuleType, None))
    try:
        return importlib.import_module("openvino")
    except ImportError:
        return None


@functools.cache
def _core() -> Any:
    # One for the process, never let go: its plugin would go with it, which graphs need that wait for the garbage collector.
    return _openvino().Core()


@dataclass
class _Compiled:
    """The graph ready to run: of one size, or of any."""

    learned: Any
    rest: Any

    def __call__(self, photo: Picture) -> Picture:
        lent = {"share_inputs": True, "share_outputs": True}  # the requests' own memory, written over by the next picture
        said = self.learned.infer({0: photo[None]}, **lent)[0]
        return np.array(self.rest.infer({0: photo[None], 1: said}, **lent)[0][0])

    def release(self) -> None:
        """Give back the memory of the last picture."""
        for request in (self.learned, self.rest):
            request.get_compiled_model().release_memory()


class Engine:
    """One graph and what was compiled of it. Calls must not overlap.

    Compiled for one size a graph takes half the time of one for any size, and compiling takes a second: it is done for a size
    that is announced, is large, or has taken that second already.
    """

    def __init__(self, graph: bytes, threads: int = 0) -> None:
        """Take the ONNX file of `pipeline.inference.onnx_export`.

        Args:
            threads: cores to work on; 0 is all.

        Raises:
            UserError: OpenVINO cannot run it.
        """
        openvino = _openvino()
        self._core = _core()
        self._options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if threads:
            self._options["INFERENCE_NUM_THREADS"] = threads
        native = "BF16" in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        self.precision = "bfloat16" if native else "float32"
        """Of the learned layers."""
        try:
            self._learned, self._rest = _cut(openvino, self._core.read_model(graph))
            began = time.perf_counter()
            self._any = self._compile(None)
            self._compiling_s = time.perf_counter() - began
        except RuntimeError as error:
            detail = " ".join(str(error).split())[:160]
            raise UserError(f"OpenVINO cannot run this graph ({detail})") from None
        self._of: OrderedDict[Size, _Compiled] = OrderedDict()
        self._spent_s: defaultdict[Size, float] = defaultdict(float)

    def expect(self, height: int, width: int) -> None:
        """Say that many pictures of this size are to come."""
        size = height, width
        if size not in self._of:
            while len(self._of) >= KEPT_SIZES:
                oldest, _ = self._of.popitem(last=False)
                self._spent_s[oldest] = 0.0  # or sizes that take turns would be compiled for each time
            self._of[size] = self._compile(size)
        self._of.move_to_end(size)

    def __call__(self, photo: Picture) -> Picture:
        """Redraw one picture: uint8 RGB HxWx3, H and W from 1 up, to the same size."""
        size = photo.shape[:2]
        pixels = size[0] * size[1]
        if pixels >= LARGE_PIXELS or self._spent_s[size] > self._compiling_s:
            self.expect(*size)
        if size in self._of:
            drawn = self._of[size](photo)
            if pixels > HELD_PIXELS:
                self.release()
            return drawn
        began = time.perf_counter()
        drawn = self._any(photo)
        self._spent_s[size] += time.perf_counter() - began
        return drawn

    def release(self) -> None:
        """Give back the memory that the last pictures took."""
        for compiled in (self._any, *self._of.values()):
            compiled.release()

    def _compile(self, size: Size | None) -> _Compiled:
        learned, rest = self._learned.clone(), self._rest.clone()
        if size is not None:
            learned.reshape({PHOTO: [1, *size, 3]})
            rest.reshape({PHOTO: [1, *size, 3], LEARNED: list(learned.output(0).shape)})
        # Unsaid, the processor's own choice would be bfloat16 for the rest as well.
        return _Compiled(
            *(self._request(part, precision) for part, precision in ((learned, self.precision), (rest, "float32")))
        )

    def _request(self, part: Any, precision: str) -> Any:
        options = self._options | {"INFERENCE_PRECISION_HINT": {"bfloat16": "bf16", "float32": "f32"}[precision]}
        return self._core.compile_model(part, "CPU", options).create_infer_request()


def _cut(openvino: Any, graph: Any) -> tuple[Any, Any]:
    """The graph up to `LEARNED`, and from there and the photo on."""
    ops = openvino.opset13
    said = next((out for op in graph.get_ordered_ops() for out in op.outputs() if LEARNED in out.get_names()), None)
    if said is None:
        raise RuntimeError(f"it has no tensor named {LEARNED}: an older genga wrote it")
    photo = graph.get_parameters()[0]
    first = openvino.Model([ops.result(said)], [photo], LEARNED).clone()
    given = ops.parameter(said.get_partial_shape(), openvino.Type.f32, name=LEARNED)
    given.output(0).set_names({LEARNED})
    for place in said.get_target_inputs():
        if place.get_node().get_type_name() != "Result":
            place.replace_source_output(given.output(0))
    return first, openvino.Model(graph.get_results(), [photo, given], PICTURE)
