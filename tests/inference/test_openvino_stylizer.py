"""Redrawing by OpenVINO: the pictures of torch, prepared once, at any size, and nobody is told."""

from __future__ import annotations

import importlib.util
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.inference import graph_cache, onnx_export, openvino
from pipeline.inference.onnx_stylizer import OnnxStylizer
from pipeline.inference.openvino import Engine
from pipeline.inference.openvino_stylizer import WORTH_PREPARING_MEGAPIXELS, OpenVinoStylizer
from pipeline.inference.photos import redraw_files
from pipeline.inference.stylizer import Stylizer
from pipeline.media import images
from pipeline.media.images import Picture
from pipeline.networks import weights
from tests.conftest import scene
from tests.support.exported import add_row, small_onnx

if importlib.util.find_spec("openvino") is None:
    pytest.skip("OpenVINO is not installed: pip install 'genga[export]'", allow_module_level=True)

LEVELS = 2
"""How far bfloat16 of the learned layers may move a value."""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own, and the row of the model table that files name."""
    add_row(monkeypatch)
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / "cache" / name)
    return tmp_path / "cache/genga/graphs"


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with each graph that is made, of the small generator's file; which another test file made already."""
    made: list[int] = []
    model = small_onnx()[1].read_bytes()

    class Made:
        def SerializeToString(self, deterministic: bool) -> bytes:
            return model

    def trace(network: object) -> None:
        made.append(1)

    monkeypatch.setattr(onnx_export, "trace", trace)
    monkeypatch.setattr(onnx_export, "to_onnx", lambda program, metadata, opset: Made())
    return made


def apart(one: Picture, other: Picture) -> int:
    assert one.shape == other.shape and other.dtype == np.uint8 and other.flags["C_CONTIGUOUS"]
    return int(np.abs(one.astype(int) - other).max())


@pytest.mark.parametrize("size", [(16, 17), (31, 45), (99, 133), (128, 200)])
def test_it_draws_what_torch_draws_at_any_size(size: tuple[int, int]) -> None:
    saved, file = small_onnx()
    exact, made = Stylizer(saved, "cpu"), Engine(file.read_bytes())
    for seed in range(2):
        photo = scene(seed, *size)
        of_any = made(photo)
        assert apart(exact(photo), of_any) <= LEVELS
    made.expect(*photo.shape[:2])
    assert apart(of_any, made(photo)) <= 1 and np.array_equal(made(photo), made(photo))


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 7), (8, 8)])
def test_the_smallest_pictures_come_back(size: tuple[int, int]) -> None:
    # Of so few pixels instance norm makes large what is nothing but rounding.
    photo = np.ascontiguousarray(scene(0, 20, 20)[: size[0], : size[1]])
    made = Engine(small_onnx()[1].read_bytes())
    assert made(photo).shape == photo.shape
    made.expect(*photo.shape[:2])
    assert made(photo).shape == photo.shape


def test_results_are_the_caller_s_own() -> None:
    made = Engine(small_onnx()[1].read_bytes())
    first = made(scene(0, 40, 30))
    kept = first.copy()
    made(scene(1, 40, 30))
    assert np.array_equal(first, kept)


def test_a_size_that_comes_again_and_again_is_compiled_for(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Engine(small_onnx()[1].read_bytes(), threads=1)
    made._compiling_s = 0.0
    sizes: list[openvino.Size | None] = []
    compiled = made._compile

    def compile(size: openvino.Size | None) -> openvino._Compiled:
        sizes.append(size)
        return compiled(size)

    monkeypatch.setattr(made, "_compile", compile)
    for photo in [scene(0, 40, 30)] * 3 + [scene(0, 30, 40)] * 2 + [scene(0, 20, 20)] * 2 + [scene(0, 40, 30)] * 2:
        made(photo)
    assert sizes == [(30, 40), (40, 30), (20, 20), (30, 40)]
    assert list(made._of) == [(20, 20), (30, 40)]


def test_a_large_picture_is_compiled_for_and_leaves_no_memory_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino, "LARGE_PIXELS", 4000)
    monkeypatch.setattr(openvino, "HELD_PIXELS", 8000)
    released: list[int] = []
    monkeypatch.setattr(openvino._Compiled, "release", lambda self: released.append(1))
    made = Engine(small_onnx()[1].read_bytes())
    made(scene(0, 60, 60))
    assert not made._of
    made(scene(0, 60, 80))
    assert list(made._of) == [(80, 60)] and not released
    before = made(scene(0, 90, 100))
    assert list(made._of) == [(80, 60), (100, 90)] and released
    monkeypatch.undo()
    made.release()
    assert np.array_equal(before, made(scene(0, 90, 100)))


@pytest.mark.parametrize("graph", [b"", b"no graph at all" * 99])
def test_what_is_no_graph_is_said(graph: bytes) -> None:
    with pytest.raises(UserError, match="OpenVINO cannot run this graph"):
        Engine(graph)


def test_float32_where_the_processor_has_no_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    saved, file = small_onnx()
    whole = Engine(file.read_bytes())
    exact = Engine.__new__(Engine)
    exact.__dict__ |= whole.__dict__ | {"precision": "float32"}
    exact._any = exact._compile(None)
    photo = scene(3, 99, 133)
    assert apart(Stylizer(saved, "cpu")(photo), exact(photo)) <= 1


# A stylizer that is hastened


def test_prepared_where_it_pays_and_once(traced: list[int], cache: Path) -> None:
    saved = small_onnx()[0]
    one, photo = OpenVinoStylizer(Stylizer(saved, "cpu")), scene(0, 60, 50)
    before, identity = one(photo), one.identity
    one.accelerate(WORTH_PREPARING_MEGAPIXELS - 1)
    assert not traced and one.identity == identity
    one.accelerate(WORTH_PREPARING_MEGAPIXELS)
    assert len(traced) == 1 and one.identity != identity
    assert apart(before, one(photo)) <= LEVELS
    again = OpenVinoStylizer(Stylizer(saved, "cpu"))
    again.accelerate(0.01)  # it is there: whatever the job
    assert len(traced) == 1 and again.identity == one.identity
    assert np.array_equal(one(photo), again(photo))
    assert len(list(cache.iterdir())) == 1


def test_other_weights_are_another_graph(traced: list[int], cache: Path) -> None:
    module, _ = weights.load_generator(small_onnx()[0])
    OpenVinoStylizer(Stylizer(module, "cpu")).accelerate()
    next(module.parameters()).data.mul_(1.5)
    OpenVinoStylizer(Stylizer(module, "cpu")).accelerate()
    assert len(traced) == 2 and len(list(cache.iterdir())) == 2


def test_few_graphs_are_kept(traced: list[int], cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_cache, "KEPT", 2)
    module, _ = weights.load_generator(small_onnx()[0])
    for number in range(4):
        graph_cache.graph_of(module, f"{number}")  # type: ignore[arg-type]
    assert len(list(cache.iterdir())) == 2 and graph_cache.kept("3") and not graph_cache.kept("0")


def test_a_cache_that_cannot_be_written_costs_only_time(
    traced: list[int], cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache.parent.parent.mkdir()
    cache.parent.write_text("a file where the folder should be")
    stylizer = OpenVinoStylizer(Stylizer(small_onnx()[0], "cpu"))
    with caplog.at_level(logging.INFO, "genga"):
        stylizer.accelerate()
    assert stylizer(scene(0, 40, 40)).shape == (40, 40, 3) and "prepared again next time" in caplog.text


def test_a_graph_that_was_damaged_is_made_anew(traced: list[int], cache: Path) -> None:
    saved = small_onnx()[0]
    OpenVinoStylizer(Stylizer(saved, "cpu")).accelerate()
    next(cache.iterdir()).write_bytes(b"half a file")
    stylizer = OpenVinoStylizer(Stylizer(saved, "cpu"))
    stylizer.accelerate()
    assert len(traced) == 2 and stylizer(scene(0, 40, 40)).shape == (40, 40, 3)


def test_a_graph_that_openvino_does_not_take_leaves_it_to_torch(
    traced: list[int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(openvino, "LEARNED", "nothing of that name")
    stylizer, photo = OpenVinoStylizer(Stylizer(small_onnx()[0], "cpu")), scene(0, 40, 40)
    before = stylizer(photo)
    with caplog.at_level(logging.INFO, "genga"):
        stylizer.accelerate()
    assert "PyTorch draws" in caplog.text and np.array_equal(before, stylizer(photo))


def test_where_openvino_gives_up_torch_goes_on(
    traced: list[int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stylizer, photo = OpenVinoStylizer(Stylizer(small_onnx()[0], "cpu")), scene(0, 40, 40)
    before = stylizer(photo)
    stylizer.accelerate()

    def full(self: Engine, picture: Picture) -> Picture:
        raise RuntimeError("Check failed:\n bad allocation")

    monkeypatch.setattr(Engine, "__call__", full)
    with caplog.at_level(logging.INFO, "genga"):
        assert np.array_equal(before, stylizer(photo))
    assert "gave up (Check failed: bad allocation); PyTorch draws" in caplog.text


def test_what_memory_does_not_hold_goes_in_strips(traced: list[int]) -> None:
    saved, photo = small_onnx()[0], scene(2, 150, 400)
    small = OpenVinoStylizer(Stylizer(saved, "cpu", memory_mb=8))
    small.accelerate()
    small.expect(*photo.shape[:2])
    assert apart(Stylizer(saved, "cpu")(photo), small(photo)) <= 1


def test_without_openvino_torch_draws_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch, traced: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    stylizer = OpenVinoStylizer(Stylizer(small_onnx()[0], "cpu"))
    identity = stylizer.identity
    with caplog.at_level(logging.INFO, "genga"):
        stylizer.accelerate()
    assert stylizer.identity == identity and not traced and "OpenVINO is not installed" in caplog.text


def test_broken_weights_are_named_and_not_prepared(traced: list[int]) -> None:
    module, _ = weights.load_generator(small_onnx()[0])
    next(module.parameters()).data.fill_(float("nan"))
    stylizer = OpenVinoStylizer(Stylizer(module, "cpu"))
    stylizer.accelerate()
    assert not traced
    with pytest.raises(UserError, match="not finite"):
        stylizer(scene(0, 40, 40))


# Files


def test_an_onnx_file_is_hastened_too() -> None:
    file, photo = small_onnx()[1], scene(1, 99, 70)
    slow, quick = OnnxStylizer(file, "cpu"), OnnxStylizer(file, "cpu")
    quick.accelerate()
    quick.expect(*photo.shape[:2])
    assert apart(slow(photo), quick(photo)) <= LEVELS and slow.identity != quick.identity


def test_an_onnx_file_that_openvino_does_not_take_goes_on_as_it_was(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(openvino, "LEARNED", "nothing of that name")
    stylizer = OnnxStylizer(small_onnx()[1], "cpu")
    with caplog.at_level(logging.INFO, "genga"):
        stylizer.accelerate()
    assert "onnxruntime draws it" in caplog.text and stylizer(scene(0, 40, 40)).shape == (40, 40, 3)


@pytest.mark.parametrize("exact", [False, True])
def test_much_is_hastened_unless_it_is_to_be_exact(
    tmp_path: Path, traced: list[int], monkeypatch: pytest.MonkeyPatch, exact: bool
) -> None:
    monkeypatch.setattr("pipeline.inference.openvino_stylizer.WORTH_PREPARING_MEGAPIXELS", 0.02)
    (tmp_path / "in").mkdir()
    for seed in range(3):
        images.write(tmp_path / f"in/{seed}.png", scene(seed, 100, 80))
    stylizer = OpenVinoStylizer(Stylizer(small_onnx()[0], "cpu"))
    report = redraw_files([tmp_path / "in"], tmp_path / "out", stylizer, exact=exact)
    assert len(report.done) == 3 and len(traced) == (0 if exact else 1)
    # What is left of a job is drawn as its beginning was.
    (tmp_path / "out/1.png").unlink()
    report = redraw_files([tmp_path / "in"], tmp_path / "out", OpenVinoStylizer(Stylizer(small_onnx()[0], "cpu")), exact=exact)
    assert len(report.done) == 1 and len(report.skipped) == 2


def test_nobody_is_told_of_it() -> None:
    """OpenVINO's package would report that it was imported."""
    program = f"""
import socket, sys
def refuse(*_, **__): raise SystemExit("a socket was asked for")
socket.socket.connect = socket.getaddrinfo = refuse
import numpy as np
from pipeline.inference.openvino import Engine
Engine(open({str(small_onnx()[1])!r}, "rb").read())(np.zeros((40, 40, 3), np.uint8))
assert not [name for name, module in sys.modules.items() if module and name.startswith("openvino_telemetry")]
assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
