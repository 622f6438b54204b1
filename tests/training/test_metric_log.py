"""The metric log: means of steps, series, and the files that dvc plots reads."""

import json
from pathlib import Path

import pytest
import torch

from pipeline.training.metric_log import MetricLog


def test_the_log_is_what_dvc_plots_reads(tmp_path: Path) -> None:
    metrics = MetricLog()
    metrics.log(4, "train", {"total": 0.123456789})
    metrics.log(8, "train", {"total": 1e-9})
    metrics.log(8, "val", {"change": 3.0})
    metrics.write(tmp_path)
    assert (tmp_path / "plots/metrics/train/total.tsv").read_text() == "step\ttotal\n4\t0.123457\n8\t1e-09\n"
    assert json.loads((tmp_path / "metrics.json").read_text()) == {
        "train": {"total": 1e-9},
        "val": {"change": 3.0},
        "step": 8,
    }
    assert metrics.latest("val") == {"change": 3.0}


def test_means_are_of_the_steps_since_the_last_row() -> None:
    metrics = MetricLog()
    for seen, values in ((4, (1.0, 3.0)), (12, (8.0,))):
        for value in values:
            metrics.add_step(seen, {"total": torch.tensor(value)})
        assert metrics.fetch_steps() is None
        metrics.log_means(seen)
    assert metrics.series("train/total") == [(4, 2.0), (12, 8.0)] and metrics.unlogged == []


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_the_first_term_that_is_not_finite_is_named(value: float) -> None:
    metrics = MetricLog()
    for seen, style in ((4, 1.0), (8, value), (12, value)):
        metrics.add_step(seen, {"content": torch.tensor(1.0), "style": torch.tensor(style)})
    assert metrics.fetch_steps() == (8, "style")
