"""OpenVINO with another stylizer behind it for what it fails at."""

from __future__ import annotations

import importlib.util
import logging
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from pipeline.core.errors import UserError
from pipeline.inference.openvino_engine import OpenVinoEngine
from pipeline.inference.openvino_stylizer import OpenVinoStylizer
from pipeline.inference.torch_stylizer import TorchStylizer
from pipeline.media.images import Picture
from tests.conftest import scene
from tests.support.exported import add_row, small_onnx
from tests.support.stylizers import Negative, negative

if importlib.util.find_spec("openvino") is None:
    pytest.skip("OpenVINO is not installed: pip install -e '.[export]'", allow_module_level=True)

PHOTO = scene(0, 40, 40)


def test_it_redraws_as_the_fallback_does_and_says_that_its_arithmetic_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    add_row(monkeypatch)
    saved, onnx = small_onnx()
    exact = TorchStylizer.from_file(saved, "cpu")
    fast = OpenVinoStylizer(onnx.read_bytes(), exact)
    fast.prepare(40, 40)
    drawings = fast.stylize_batch([PHOTO, scene(1, 40, 40)])
    assert np.abs(exact(PHOTO).astype(int) - drawings[0]).max() <= 2
    assert fast.identity.startswith(f"{exact.identity}-") and fast.metadata == exact.metadata
    assert fast.stylize_batch([]) == []
    with pytest.raises(ValueError, match="one size"):
        fast.stylize_batch([PHOTO, scene(1, 30, 40)])


def test_a_picture_beyond_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    stylizer = OpenVinoStylizer(small_onnx()[1].read_bytes(), fallback := Negative())
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1.5e6))
    stylizer(scene(0, 30, 40))
    with pytest.raises(UserError, match=r"40x40 takes up to .* at most 38 pixels"):
        stylizer(PHOTO)
    assert fallback.count == 0


def test_where_openvino_fails_the_fallback_goes_on(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def fail(self: OpenVinoEngine, picture: Picture) -> Picture:
        raise RuntimeError("Check failed:\n bad allocation")

    monkeypatch.setattr(OpenVinoEngine, "__call__", fail)
    stylizer = OpenVinoStylizer(small_onnx()[1].read_bytes(), Negative())
    with caplog.at_level(logging.INFO, "genga"):
        np.testing.assert_array_equal(stylizer(PHOTO), negative(PHOTO))
    assert "failed (Check failed: bad allocation): redrawing without it" in caplog.text


def test_a_result_of_another_size_is_left_to_the_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OpenVinoEngine, "__call__", lambda self, picture: picture[1:])
    stylizer = OpenVinoStylizer(small_onnx()[1].read_bytes(), Negative())
    np.testing.assert_array_equal(stylizer(PHOTO), negative(PHOTO))


def test_the_limit_is_the_fallback_s() -> None:
    fallback = Negative()
    fallback.max_megapixels = 0.001
    with pytest.raises(UserError, match=r"over the limit of 0\.001"):
        OpenVinoStylizer(small_onnx()[1].read_bytes(), fallback)(PHOTO)
