"""Evaluations of generators with known outcomes: the photo itself, and drawings like those of the film."""

from __future__ import annotations

import csv
import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.generators.table import build_generator
from pipeline.core import manifest
from pipeline.core.errors import UserError
from pipeline.evaluation import outputs, runner
from pipeline.inference.torch_stylizer import TorchStylizer
from pipeline.media import images, tensors
from pipeline.networks.weights import generator_metadata, save_generator
from pipeline.params.schema import Params
from tests.conftest import vary
from tests.support.evaluation_world import QUICK, SIDE, drawing, world

__all__ = ["world"]


class FilmDrawings(nn.Module):
    """Returns drawings like those of the film, whatever the photo."""

    def forward(self, photo: Tensor) -> Tensor:
        """Any N x 3 x H x W of at most 64 pixels a side."""
        drawings = [drawing(100 + index)[: photo.shape[2], : photo.shape[3]] for index in range(len(photo))]
        return tensors.from_pixels(torch.from_numpy(np.stack(drawings)))


def evaluate(committed: Params, world: Path, out: Path, module: nn.Module, **changes: object) -> dict[str, float]:
    out.mkdir()
    return runner.evaluate_generator(vary(committed, {**QUICK, **changes}), out, world, TorchStylizer(module, "cpu"))


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_unchanged_photo_scores_zero(
    committed: Params, world: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "genga"):
        metrics = evaluate(committed, world, tmp_path / "out", nn.Identity())
    assert metrics["photos"] == 6 and metrics["ssim"] == pytest.approx(1)
    assert metrics["content_similarity"] == pytest.approx(1, abs=1e-6)
    for name in ("input_difference", "color_shift", "style_score", "score", "flicker"):
        assert metrics[name] == 0
    assert metrics["kid_vgg19"] == metrics["kid_vgg19_photo"] > metrics["kid_vgg19_film"] and metrics["checkerboard"] == 1
    assert "almost the photo" in caplog.text
    rows = {row["name"]: row for row in read_csv(tmp_path / "out" / outputs.TABLE)}
    assert rows["result"]["from_result"] == rows["photo"]["from_result"] == ""
    for name in ("stylization", "edge_preserving"):  # the result is the photo
        assert rows[name]["from_result"] == rows[name]["input_difference"] != "0"
        assert rows[name]["from_result_lpips"] == rows[name]["lpips"] != "0"


def test_drawings_like_the_films_score_one_and_all_files_agree(
    committed: Params, world: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    with caplog.at_level(logging.WARNING, "genga"):
        metrics = evaluate(committed, world, out, FilmDrawings())
    assert not caplog.records
    assert 0.6 < metrics["style_score"] < 1.4 and metrics["content_similarity"] < 0.4 and metrics["input_difference"] > 5
    assert metrics["flatness"] == pytest.approx(metrics["flatness_film"], abs=0.1) and metrics["flatness_photo"] < 0.75
    json.dumps(metrics, allow_nan=False)
    rows = {row.id: row for row in manifest.read(out)}
    photos = {row["id"]: row for row in read_csv(out / outputs.PHOTOS)}
    assert rows.keys() == photos.keys() and len(rows) == 6
    for name, row in rows.items():
        for metric, value in row.scores.items():
            assert float(photos[name][metric]) == pytest.approx(value, rel=1e-4)
    for metric in next(iter(rows.values())).scores.keys() - {"gain"}:
        assert metrics[metric] == pytest.approx(np.mean([row.scores[metric] for row in rows.values()]))
    assert images.read(out / outputs.GRID).shape == (2 * (SIDE + 4) + 4, 4 * (SIDE + 4) + 4, 3)
    listed = read_csv(out / outputs.PICTURE_LIST)
    assert len(listed) == 4 and {row["id"] for row in listed} <= photos.keys()
    for line in listed:
        original, drawn = images.read(Path(str(rows[line["id"]].file))), images.read(out / line["result"])
        assert np.abs(images.read(out / line["photo"]).astype(int) - original).mean() < 4
        assert drawn.shape == original.shape and np.abs(drawn.astype(int) - original).mean() > 5
    table = {row["name"]: row for row in read_csv(out / outputs.TABLE)}
    assert list(table) == ["photo", "result", "stylization", "edge_preserving", "film"]
    assert float(table["result"]["style_score"]) == pytest.approx(metrics["style_score"], rel=1e-4)
    assert table["film"]["style_score"] == "1" and table["film"]["lpips"] == "" and table["photo"]["score"] == "0"
    scale = {row["name"]: row["style_score"] for row in read_csv(out / outputs.SCALE)}
    assert scale == {name: row["style_score"] for name, row in table.items()}
    # Without baselines: the same numbers.
    assert evaluate(committed, world, tmp_path / "again", FilmDrawings(), **{"evaluate.baselines": False}) == metrics
    assert not any("stylization" in row["name"] for row in read_csv(tmp_path / "again" / outputs.TABLE))


def test_the_table_has_other_models(committed: Params, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data"
    shutil.copytree(world, data)
    params = vary(committed, {**QUICK, "evaluate.max_photos": 3, "evaluate.max_film": 3, "evaluate.flicker_frames": 0})
    model, other = Path("a/generator.safetensors"), Path("b/generator.safetensors")
    monkeypatch.chdir(tmp_path)
    for seed, path in enumerate((model, other)):
        path.parent.mkdir()
        torch.manual_seed(seed)
        save_generator(path, build_generator("tiny"), generator_metadata("tiny", None))
    out = Path("evaluation")
    metrics = runner.evaluate_files(params, model, [other], out, overwrite=False)
    assert json.loads((out / "metrics.json").read_text()) == metrics
    table = {row["name"]: row for row in read_csv(out / outputs.TABLE)}
    assert list(table) == ["photo", "result", "b/generator", "stylization", "edge_preserving", "film"]
    columns = round(images.read(out / outputs.SIDE_BY_SIDE).shape[1] / (SIDE + 4))
    assert columns == 5, "the photo and all rows of the table but the film"
    with pytest.raises(UserError, match="exists already: give another folder, or --overwrite"):
        runner.evaluate_files(params, model, [], out, overwrite=False)
    with pytest.raises(UserError, match="was not written by genga evaluate and is not replaced"):
        runner.evaluate_files(params, model, [], data, overwrite=True)
    with pytest.raises(UserError, match="does not exist"):
        runner.evaluate_files(params, Path("c.safetensors"), [], out, overwrite=True)
    assert (out / outputs.PAGE).is_file() and not list(tmp_path.glob(".evaluation*"))


def test_too_few_crops_give_no_style_score(
    committed: Params, world: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    few = {"evaluate.max_photos": 1, "evaluate.max_film": 1}
    with caplog.at_level(logging.WARNING, "genga"):
        metrics = evaluate(committed, world, tmp_path / "out", FilmDrawings(), **few)
    assert "no style score" in caplog.text
    assert "style_score" not in metrics and "content_similarity" not in metrics
    assert metrics["photos"] == 1 and metrics["lpips"] > 0.1
    assert "No style score" in (tmp_path / "out" / outputs.PAGE).read_text()


def test_a_split_without_crops_is_reported_with_a_remedy(committed: Params, world: Path, tmp_path: Path) -> None:
    rows = [row for row in manifest.read(world / "split") if row.domain == "photo"]
    (tmp_path / "data/split").mkdir(parents=True)
    manifest.write_by_domain(tmp_path / "data/split", rows)
    with pytest.raises(UserError, match="no anime crops in the val split: give more films"):
        evaluate(committed, tmp_path / "data", tmp_path / "out", nn.Identity())


@pytest.mark.parametrize(
    ("model", "others", "names"),
    [("m.onnx", ["a/x.onnx", "b/x.onnx"], ["a/x", "b/x"]), ("a/g.pt", ["b/g.pt"], ["b/g"]), ("g.pt", ["h.pt"], ["h"])],
)
def test_models_are_named_by_the_end_of_their_path(model: str, others: list[str], names: list[str]) -> None:
    paths = [Path(other) for other in others]
    assert runner.name_models(Path(model), paths) == dict(zip(names, paths, strict=True))


def test_models_of_one_name_are_refused() -> None:
    with pytest.raises(UserError, match="named twice"):
        runner.name_models(Path("m.pt"), [Path("m.pt")])
    with pytest.raises(UserError, match=r"b\.pt is named twice"):
        runner.name_models(Path("m.pt"), [Path("b.pt"), Path("b.pt")])
    with pytest.raises(UserError, match="may not be called film: rename its file"):
        runner.name_models(Path("m.pt"), [Path("film.pt")])
