"""Columns of metrics."""

from pipeline.web.metric_columns import COLUMNS
from tests.conftest import ROOT


def test_the_most_important_metrics_come_first() -> None:
    names = [column.name for column in COLUMNS]
    assert names[:2] == ["score", "style_score"] and "content_similarity" in names[:6] and len(set(names)) == len(names)


def test_every_metric_is_documented() -> None:
    documentation = (ROOT / "docs/metrics.md").read_text("utf-8")
    names = [column.name.removesuffix("_error") for column in COLUMNS]
    assert not [name for name in names if name not in documentation]
