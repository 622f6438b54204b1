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
    (tmp_path / "data/train").mkdir(parents=True)
    (tmp_path / "data/split").symlink_to(world / "split")
    params = vary(committed, {**QUICK, "evaluate.max_photos": 2, "evaluate.max_film": 3, "evaluate.baselines": False})
    with pytest.raises(UserError, match=r"data/train/generator\.safetensors"):
        stage.execute("evaluate", evaluate.run, params)
    assert not Path("data/evaluate").exists()
    torch.manual_seed(0)
    save_generator(Path("data/train/generator.safetensors"), build_generator("tiny"), generator_metadata("tiny", None))
    stage.execute("evaluate", evaluate.run, params)
    assert {"index.html", "metrics.json", "table.csv"} <= {path.name for path in Path("data/evaluate").iterdir()}
