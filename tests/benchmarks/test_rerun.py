"""What a change of code runs again, on a small pipeline and on this one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks import rerun
from benchmarks.rerun import Rerun

STAGES: dict[str, dict[str, Any]] = {
    "cut": {"deps": ["${photos}", "pipeline/core"], "outs": ["data/cut/about/${key}", "data/cut/pictures/${key}"]},
    "list": {"deps": ["data/cut/about", "pipeline/core"], "outs": ["data/list"]},
    "learn": {"deps": ["data/list/photo", "models"], "outs": ["data/learn"]},
    "show": {"deps": ["${dataset}", "pipeline/web"], "outs": ["data/show"]},
}
VALUES = {"photos": "photos", "dataset": "data/list"}


@pytest.mark.parametrize(
    ("folder", "direct", "later"),
    [
        ("pipeline/core", ["cut", "list"], ["learn", "show"]),
        ("models", ["learn"], []),
        ("pipeline/web", ["show"], []),
        ("pipeline/unused", [], []),
    ],
)
def test_a_change_is_followed_from_outputs_to_the_stages_that_read_them(
    folder: str, direct: list[str], later: list[str]
) -> None:
    assert rerun.affected(folder, STAGES, VALUES) == Rerun(folder, direct, later)


def test_pages_and_inference_repeat_neither_data_nor_training(capsys: pytest.CaptureFixture[str]) -> None:
    rerun.main([])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    found = {line["notes"].split(":")[0]: line["notes"] for line in lines}
    assert len(found) == len(lines) >= 16
    for folder in ("web", "data_card", "inference", "film", "commands"):
        stages = found[f"pipeline/{folder}"].replace(";", ",").replace(":", ",").split(", ")
        assert not {"keyframes", "crop", "pretrain", "train"} & set(stages), found[f"pipeline/{folder}"]
    assert "train" in found["models"] and "keyframes" in found["pipeline/core"]
