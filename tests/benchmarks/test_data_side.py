"""The data side's benchmark keeps up with the stages."""

from __future__ import annotations

import re

from benchmarks.data_side import STAGES, metrics_path, short
from tests.test_layout import STAGE_MODULES, stages


def test_stages_exist_and_their_metrics_lie_where_dvc_expects_them() -> None:
    outs = [str(out) for stage in stages().values() for out in stage["outs"]]
    for name in STAGES:
        module = name.split()[0]
        assert f"pipeline.{module}" in STAGE_MODULES.values()
        folder = metrics_path(name).parent.as_posix()
        pattern = re.sub(r"(about/)(anime/|photo/)?\w+$", r"\1\2${key}", folder)
        assert pattern in outs, (pattern, outs)
    assert len({short(name) for name in STAGES}) == len(STAGES)
