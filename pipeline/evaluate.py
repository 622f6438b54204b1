"""Stage: evaluate the trained generator on validation photos.

    python -m pipeline.evaluate

Writes metrics.json, scores.json (those of them that `dvc exp show` has columns for), table.csv (the result beside photos, the
pretrained generator, baselines and film), scale.csv (for dvc plots), photos.csv and manifest.jsonl (each photo), grid.jpg
(photos and results), side_by_side.jpg (all ways of redrawing), pictures/ with pictures.csv (some photos and results, for genga
sweep), and index.html, a page that opens from disk. docs/metrics.md defines the metrics and their limitations. `genga evaluate
MODEL` does the same for any generator.
"""

from pathlib import Path

from pipeline.core import files, stage
from pipeline.evaluation.advice import PRETRAINED
from pipeline.evaluation.runner import evaluate_generator
from pipeline.inference.torch_stylizer import TorchStylizer
from pipeline.networks.weights import INIT_FROM
from pipeline.params.schema import Params, load

SCORES = ("score", "style_score", "content_similarity")


def run(params: Params, out: Path) -> dict[str, float]:
    """Evaluate the trained generator into the folder `out`, beside the pretrained one; return its metrics."""
    generator, pretrained = (
        TorchStylizer.from_file(stage.DATA / name / "generator.safetensors") for name in ("train", "pretrain")
    )
    # Random weights without a single photo of pretraining give the photo, or noise.
    learned = pretrained.metadata.get("images_seen") != "0" or INIT_FROM in pretrained.metadata
    others = {PRETRAINED: pretrained} if params.evaluate.baselines and learned else {}
    metrics = evaluate_generator(params, out, stage.DATA, generator, others=others)
    files.write_json(out / "scores.json", {name: metrics[name] for name in SCORES if name in metrics})
    return metrics


if __name__ == "__main__":
    stage.main("evaluate", run, load)
