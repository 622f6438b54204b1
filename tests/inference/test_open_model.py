"""Which stylizer a model's file is opened with."""

from __future__ import annotations

import functools
import importlib.util
import logging
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.inference import open_model as openers
from pipeline.inference import openvino_engine
from pipeline.inference.onnx_stylizer import OnnxStylizer
from pipeline.inference.open_model import WORTH_PREPARING_MEGAPIXELS, accelerate
from pipeline.inference.openvino_stylizer import OpenVinoStylizer
from pipeline.inference.scaled_stylizer import KEY, ScaledStylizer
from pipeline.inference.torch_stylizer import TorchStylizer
from pipeline.networks import weights
from tests.conftest import scene
from tests.support.exported import small_onnx

if importlib.util.find_spec("openvino") is None:
    pytest.skip("OpenVINO is not installed: pip install -e '.[export]'", allow_module_level=True)

pytestmark = pytest.mark.usefixtures("graph_folder")
PHOTO = scene(0, 60, 50)
open_model = functools.partial(openers.open_model, working_px=None)


def test_openvino_is_prepared_if_the_workload_is_worth_it(exports: list[int]) -> None:
    saved = small_onnx()[0]
    small = open_model(saved, "cpu", workload_megapixels=WORTH_PREPARING_MEGAPIXELS - 1)
    assert isinstance(small, TorchStylizer) and not exports
    large = open_model(saved, "cpu", workload_megapixels=WORTH_PREPARING_MEGAPIXELS)
    assert isinstance(large, OpenVinoStylizer) and len(exports) == 1
    assert np.abs(small(PHOTO).astype(int) - large(PHOTO)).max() <= 2
    again = open_model(saved, "cpu", workload_megapixels=0.01)
    assert isinstance(again, OpenVinoStylizer) and len(exports) == 1, "what is prepared is used for any workload"
    assert again.identity == large.identity != small.identity
    np.testing.assert_array_equal(again(PHOTO), large(PHOTO))


def test_exact_never_uses_openvino(exports: list[int]) -> None:
    saved, onnx = small_onnx()
    assert isinstance(open_model(saved, "cpu", exact=True), TorchStylizer) and not exports
    assert isinstance(open_model(onnx, "cpu", exact=True), OnnxStylizer)


def test_an_onnx_file_needs_no_preparation(exports: list[int]) -> None:
    onnx = small_onnx()[1]
    fast = open_model(onnx, "cpu", workload_megapixels=0.01)
    assert isinstance(fast, OpenVinoStylizer) and not exports
    exact = OnnxStylizer(onnx, "cpu")
    assert np.abs(exact(PHOTO).astype(int) - fast(PHOTO)).max() <= 2 and fast.identity != exact.identity


def test_other_weights_are_another_graph(exports: list[int], graph_folder: Path) -> None:
    module, _ = weights.load_generator(small_onnx()[0])
    accelerate(TorchStylizer(module, "cpu"))
    next(module.parameters()).data.mul_(1.5)
    accelerate(TorchStylizer(module, "cpu"))
    assert len(exports) == 2 and len(list(graph_folder.iterdir())) == 2


def test_a_damaged_graph_is_exported_again(exports: list[int], graph_folder: Path) -> None:
    saved = small_onnx()[0]
    open_model(saved, "cpu")
    next(graph_folder.iterdir()).write_bytes(b"half a file")
    assert isinstance(open_model(saved, "cpu"), OpenVinoStylizer) and len(exports) == 2


def test_a_graph_that_openvino_cannot_run_is_left_to_others(
    exports: list[int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(openvino_engine, "LEARNED", "no such tensor")
    saved, onnx = small_onnx()
    with caplog.at_level(logging.INFO, "genga"):
        assert isinstance(open_model(saved, "cpu"), TorchStylizer)
        assert "redrawing with PyTorch" in caplog.text
        assert isinstance(open_model(onnx, "cpu"), OnnxStylizer)
        assert "redrawing with ONNX Runtime" in caplog.text


def test_without_openvino_torch_redraws(
    exports: list[int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with caplog.at_level(logging.INFO, "genga"):
        assert isinstance(open_model(small_onnx()[0], "cpu"), TorchStylizer)
    assert not exports and "OpenVINO is not installed" in caplog.text


def test_damaged_weights_are_not_exported(exports: list[int]) -> None:
    module, _ = weights.load_generator(small_onnx()[0])
    next(module.parameters()).data.fill_(float("nan"))
    stylizer = accelerate(TorchStylizer(module, "cpu"))
    assert not exports
    with pytest.raises(UserError, match="not finite"):
        stylizer(PHOTO)


def test_the_limit_of_size_is_that_of_the_caller() -> None:
    for path in small_onnx():
        assert open_model(path, "cpu", exact=True).max_megapixels == 200
        assert open_model(path, "cpu", 3.0, exact=True).max_megapixels == 3


def test_models_are_opened_at_the_scale_their_file_states() -> None:
    for path in small_onnx():
        stylizer = openers.open_model(path, "cpu", exact=True)
        assert isinstance(stylizer, ScaledStylizer) and stylizer.max_megapixels == 200
        assert stylizer.working_px == int(stylizer.metadata[KEY]) == 300
    assert openers.open_model(path, "cpu", 3.0, exact=True).max_megapixels == 3
