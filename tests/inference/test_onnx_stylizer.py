"""ONNX files in ONNX Runtime."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pipeline.core.errors import UserError
from pipeline.inference.onnx_stylizer import OnnxStylizer
from pipeline.inference.torch_stylizer import TorchStylizer
from tests.conftest import scene
from tests.support.exported import LICENCE, add_row, small_onnx


@pytest.fixture(scope="module")
def stylizer() -> OnnxStylizer:
    return OnnxStylizer(small_onnx()[1], "cpu")


@pytest.mark.parametrize("size", [(8, 8), (17, 16), (99, 133)])
def test_it_redraws_as_torch_does(stylizer: OnnxStylizer, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    add_row(monkeypatch)
    expected = TorchStylizer.from_file(small_onnx()[0], "cpu")(scene(1, *size))
    assert np.abs(expected.astype(int) - stylizer(scene(1, *size))).max() <= 1


def test_a_batch_equals_its_pictures_one_by_one(stylizer: OnnxStylizer) -> None:
    batch = [scene(seed, 50, 33) for seed in range(3)]
    for picture, drawing in zip(batch, stylizer.stylize_batch(batch), strict=True):
        assert np.abs(stylizer(picture).astype(int) - drawing).max() <= 1 and drawing.flags["C_CONTIGUOUS"]
    assert stylizer.stylize_batch([]) == []


def test_the_file_is_its_identity_and_states_facts(stylizer: OnnxStylizer) -> None:
    assert stylizer.identity == hashlib.blake2b(small_onnx()[1].read_bytes(), digest_size=16).hexdigest()
    assert stylizer.metadata["licence"] == LICENCE and "uint8 RGB" in stylizer.metadata["interface"]
    assert stylizer.on_cpu


def float_model(path: Path) -> Path:
    """Write an ONNX file that takes floats."""
    photo = helper.make_tensor_value_info("photo", TensorProto.FLOAT, ["n", 3, "h", "w"])
    picture = helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["n", 3, "h", "w"])
    graph = helper.make_graph([helper.make_node("Neg", ["photo"], ["picture"])], "g", [photo], [picture])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


def test_errors_name_the_file_and_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    for path, text in [
        (tmp_path / "none.onnx", "does not exist"),
        (tmp_path / "bad.onnx", "no ONNX file"),
        (float_model(tmp_path / "float.onnx"), "something other than uint8 pictures"),
    ]:
        with pytest.raises(UserError, match=f"{path.name} .*{text}"):
            OnnxStylizer(path)
    model = small_onnx()[1]
    with pytest.raises(UserError, match="teapot"):
        OnnxStylizer(model, "teapot")
    with pytest.raises(UserError, match="over the limit"):
        OnnxStylizer(model, "cpu", max_megapixels=0.0001)(scene(1, 20, 20))
    with pytest.raises(ValueError, match="expected uint8"):
        OnnxStylizer(model, "cpu")(np.zeros((4, 4), np.uint8))


def picture_model(path: Path, nodes: list[onnx.NodeProto], initializers: list[TensorProto]) -> Path:
    shape = [None, None, None, 3]
    photo = helper.make_tensor_value_info("photo", TensorProto.UINT8, shape)
    picture = helper.make_tensor_value_info("picture", TensorProto.UINT8, shape)
    graph = helper.make_graph(nodes, "graph", [photo], [picture], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path


def test_a_picture_of_another_size_is_refused(tmp_path: Path) -> None:
    ends = [helper.make_tensor(name, TensorProto.INT64, [1], [value]) for name, value in (("from", 0), ("to", 4), ("axis", 1))]
    path = picture_model(tmp_path / "a.onnx", [helper.make_node("Slice", ["photo", "from", "to", "axis"], ["picture"])], ends)
    with pytest.raises(UserError, match=r"gives pictures of another size \(\(1, 4, 8, 3\)\)"):
        OnnxStylizer(path, "cpu")(scene(1, 8, 8))


def test_a_file_that_fails_at_a_picture_is_refused(tmp_path: Path) -> None:
    ends = [helper.make_tensor(name, TensorProto.INT64, [1], [value]) for name, value in (("from", 0), ("to", 4))]
    path = picture_model(
        tmp_path / "a.onnx",
        [
            helper.make_node("Shape", ["photo"], ["axes"], start=1, end=2),  # its height, which is no axis
            helper.make_node("Slice", ["photo", "from", "to", "axes"], ["picture"]),
        ],
        ends,
    )
    with pytest.raises(UserError, match=r"fails at 8x8 \(.*Slice.*\): genga export"):
        OnnxStylizer(path, "cpu")(scene(1, 8, 8))


def test_weights_beside_the_file_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("secret.bin").write_bytes(bytes(3))
    outside = TensorProto(name="more", data_type=TensorProto.UINT8, dims=[3], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": "secret.bin", "offset": "0", "length": "3"}.items():
        outside.external_data.add(key=key, value=value)
    path = picture_model(tmp_path / "a.onnx", [helper.make_node("Max", ["photo", "more"], ["picture"])], [outside])
    with pytest.raises(UserError, match=r"a.onnx is no ONNX file that this onnxruntime can run"):
        OnnxStylizer(path, "cpu")


def loop_model(path: Path) -> Path:
    """Write an ONNX file that leaves the picture as it is, again and again."""
    count = helper.make_tensor_value_info("count", TensorProto.INT64, [])
    before, after = (
        [helper.make_tensor_value_info(f"{when}_again", TensorProto.BOOL, []),
         helper.make_tensor_value_info(f"{when}_picture", TensorProto.UINT8, [None] * 4)]
        for when in ("before", "after")
    )  # fmt: skip
    nodes = [helper.make_node("Identity", [f"before_{name}"], [f"after_{name}"]) for name in ("again", "picture")]
    body = helper.make_graph(nodes, "body", [count, *before], after)
    loop = helper.make_node("Loop", ["", "true", "photo"], ["picture"], body=body)
    return picture_model(path, [loop], [helper.make_tensor("true", TensorProto.BOOL, [], [True])])


def test_a_file_that_may_never_end_is_refused(tmp_path: Path) -> None:
    path = loop_model(tmp_path / "a.onnx")
    written = path.read_bytes()
    assert written.count(b"\x22\x04Loop") == 1
    for encoded in (b"\x22\x04Loop", b"\xa2\x00\x04Loop", b"\xa2\x80\x00\x84\x80\x00Loop"):  # protobuf reads all of them
        path.write_bytes(written.replace(b"\x22\x04Loop", encoded))
        with pytest.raises(UserError, match=r"a.onnx may never end \(operator Loop\)"):
            OnnxStylizer(path, "cpu")
    for operator in ("SequenceMap", "WhisperBeamSearch"):
        picture_model(path, [helper.make_node(operator, ["photo"], ["picture"])], [])
        with pytest.raises(UserError, match=operator):
            OnnxStylizer(path, "cpu")


@pytest.mark.slow
def test_nothing_is_reported_to_the_maker_of_the_runtime(tmp_path: Path) -> None:
    """ONNX Runtime keeps its reports, and a number of the machine, in the folder for caches until it can send them."""
    left_out = ("CI", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "XDG_CACHE_HOME")
    environment = {key: value for key, value in os.environ.items() if key not in left_out} | {"HOME": str(tmp_path)}
    program = (
        "import pathlib; from pipeline.inference.onnx_stylizer import OnnxStylizer; OnnxStylizer(pathlib.Path({!r}), 'cpu')"
    )
    subprocess.run([sys.executable, "-c", program.format(str(small_onnx()[1]))], env=environment, check=True)
    assert not [path for path in tmp_path.rglob("*") if "onnxruntime" in path.name.lower()]
