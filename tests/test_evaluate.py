"""Stage evaluate."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.generators.table import build_generator
from pipeline import evaluate
from pipeline.core import stage
from pipeline.core.errors import UserError
from pipeline.networks.weights import generator_metadata, save_generator
from pipeline.params.schema import Params
from tests.conftest import vary
from tests.support.evaluation_world import QUICK, world

__all__ = ["world"]


def test_the_trained_generator_is_evaluated(
    committed: Params, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("pretrain", "train"):
        (tmp_path / "data" / name).mkdir(parents=True)
    (tmp_path / "data/split").symlink_to(world / "split")
    params = vary(committed, {**QUICK, "evaluate.max_photos": 2, "evaluate.max_film": 3, "evaluate.baselines": False})
    with pytest.raises(UserError, match=r"data/train/generator\.safetensors"):
        stage.execute("evaluate", evaluate.run, params)
    assert not Path("data/evaluate").exists()
    torch.manual_seed(0)
    about = generator_metadata("tiny", None)
    save_generator(Path("data/train/generator.safetensors"), build_generator("tiny"), about)
    for images_seen, baselines, rows in ((8, True, 1), (0, True, 0), (8, False, 0)):
        pretrained = {**about, "images_seen": str(images_seen)}
        save_generator(Path("data/pretrain/generator.safetensors"), build_generator("tiny"), pretrained)
        stage.execute("evaluate", evaluate.run, vary(params, {"evaluate.baselines": baselines}))
        assert {"index.html", "metrics.json", "scores.json", "table.csv"} <= {
            path.name for path in Path("data/evaluate").iterdir()
        }
        assert Path("data/evaluate/table.csv").read_text().count("\npretrained,") == rows
