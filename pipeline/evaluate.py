"""Stage: evaluate the trained generator on validation photos.

    python -m pipeline.evaluate

Writes metrics.json, table.csv (the result beside photos, baselines and film), scale.csv (for dvc plots), photos.csv and
manifest.jsonl (each photo), grid.jpg (photos and results), side_by_side.jpg (all ways of redrawing), pictures/ with
pictures.csv (some photos and results, for genga sweep), and index.html, a page that opens from disk. docs/metrics.md
defines the metrics and their limitations. `genga evaluate MODEL` does the same for any generator.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.core import stage
from pipeline.evaluation.runner import evaluate_generator
from pipeline.inference.torch_stylizer import TorchStylizer
from pipeline.params.schema import Params, load


def run(params: Params, out: Path) -> dict[str, float]:
    """Evaluate data/train/generator.safetensors into the folder `out`; return its metrics."""
    return evaluate_generator(params, out, stage.DATA, TorchStylizer.from_file(stage.DATA / "train" / "generator.safetensors"))


if __name__ == "__main__":
    stage.main("evaluate", run, load)
