"""Graphs run by OpenVINO: the results of torch at any size, compiled for the sizes that are worth it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.inference import openvino_engine
from pipeline.inference.openvino_engine import OpenVinoEngine
from pipeline.inference.torch_stylizer import TorchStylizer
from pipeline.media.images import Picture
from tests.conftest import scene
from tests.support.exported import add_row, small_onnx

if importlib.util.find_spec("openvino") is None:
    pytest.skip("OpenVINO is not installed: pip install -e '.[export]'", allow_module_level=True)

MAX_LEVELS = 2
"""How far bfloat16 in the learned layers may move a value."""


@pytest.fixture(autouse=True)
def generator_table(monkeypatch: pytest.MonkeyPatch) -> None:
    add_row(monkeypatch)


def max_difference(one: Picture, other: Picture) -> int:
    assert one.shape == other.shape and other.dtype == np.uint8 and other.flags["C_CONTIGUOUS"]
    return int(np.abs(one.astype(int) - other).max())


@pytest.mark.parametrize("size", [(16, 17), (31, 45), (99, 133), (128, 200)])
def test_results_are_those_of_torch_at_any_size(size: tuple[int, int]) -> None:
    saved, file = small_onnx()
    exact, engine = TorchStylizer.from_file(saved, "cpu"), OpenVinoEngine(file.read_bytes())
    for seed in range(2):
        photo = scene(seed, *size)
        any_size = engine(photo)
        assert max_difference(exact(photo), any_size) <= MAX_LEVELS
    engine.compile_for(*photo.shape[:2])
    assert max_difference(any_size, engine(photo)) <= 1 and np.array_equal(engine(photo), engine(photo))


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 7), (8, 8)])
def test_the_smallest_pictures_keep_their_size(size: tuple[int, int]) -> None:
    # Of so few pixels instance norm makes large what is nothing but rounding.
    photo = np.ascontiguousarray(scene(0, 20, 20)[: size[0], : size[1]])
    engine = OpenVinoEngine(small_onnx()[1].read_bytes())
    assert engine(photo).shape == photo.shape
    engine.compile_for(*photo.shape[:2])
    assert engine(photo).shape == photo.shape


def test_a_result_is_not_overwritten_by_the_next() -> None:
    engine = OpenVinoEngine(small_onnx()[1].read_bytes())
    first = engine(scene(0, 40, 30))
    kept = first.copy()
    engine(scene(1, 40, 30))
    assert np.array_equal(first, kept)


def test_a_size_that_comes_often_is_compiled_for(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = OpenVinoEngine(small_onnx()[1].read_bytes(), threads=1)
    engine._compile_time_s = 0.0
    sizes: list[openvino_engine.Size | None] = []
    compiled = engine._compile

    def compile(size: openvino_engine.Size | None) -> openvino_engine._CompiledGraph:
        sizes.append(size)
        return compiled(size)

    monkeypatch.setattr(engine, "_compile", compile)
    for photo in [scene(0, 40, 30)] * 3 + [scene(0, 30, 40)] * 2 + [scene(0, 20, 20)] * 2 + [scene(0, 40, 30)] * 2:
        engine(photo)
    assert sizes == [(30, 40), (40, 30), (20, 20), (30, 40)]
    assert list(engine._by_size) == [(20, 20), (30, 40)]


def test_a_large_picture_is_compiled_for_and_its_memory_released(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_engine, "LARGE_PIXELS", 4000)
    monkeypatch.setattr(openvino_engine, "RELEASED_PIXELS", 8000)
    released: list[int] = []
    monkeypatch.setattr(openvino_engine._CompiledGraph, "release_memory", lambda self: released.append(1))
    engine = OpenVinoEngine(small_onnx()[1].read_bytes())
    engine(scene(0, 60, 60))
    assert not engine._by_size
    engine(scene(0, 60, 80))
    assert list(engine._by_size) == [(80, 60)] and not released
    before = engine(scene(0, 90, 100))
    assert list(engine._by_size) == [(80, 60), (100, 90)] and released
    monkeypatch.undo()
    engine.release_memory()
    assert np.array_equal(before, engine(scene(0, 90, 100)))


@pytest.mark.parametrize("graph", [b"", b"no graph at all" * 99])
def test_what_is_no_graph_is_an_error(graph: bytes) -> None:
    with pytest.raises(UserError, match="OpenVINO cannot run this graph"):
        OpenVinoEngine(graph)


def test_float32_on_processors_without_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    saved, file = small_onnx()
    native = OpenVinoEngine(file.read_bytes())
    exact = OpenVinoEngine.__new__(OpenVinoEngine)
    exact.__dict__ |= native.__dict__ | {"precision": "float32"}
    exact._any_size = exact._compile(None)
    photo = scene(3, 99, 133)
    assert max_difference(TorchStylizer.from_file(saved, "cpu")(photo), exact(photo)) <= 1


def test_nothing_is_reported_to_the_network() -> None:
    """OpenVINO's package reports its imports to a web analytics service."""
    program = f"""
import socket, sys
def refuse(*_, **__): raise SystemExit("a socket was asked for")
socket.socket.connect = socket.getaddrinfo = refuse
import numpy as np
from pipeline.inference.openvino_engine import OpenVinoEngine
OpenVinoEngine(open({str(small_onnx()[1])!r}, "rb").read())(np.zeros((40, 40, 3), np.uint8))
assert not [name for name, module in sys.modules.items() if module and name.startswith("openvino_telemetry")]
assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
