"""DVC experiments, from what DVC printed about a real queue; tests/commands/test_sweep.py has those of a real repository."""

from __future__ import annotations

import csv
import io
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.commands import experiments
from pipeline.core.errors import UserError


def state(rev: str, weight: float, metrics: dict[str, Any] | None, executor: str | None = None, error: str = "") -> Any:
    """A revision as `dvc exp show --json` of DVC 3.67 describes it, shortened."""
    files = {experiments.SCORES: {"data": metrics}} if metrics is not None else {experiments.SCORES: {"error": "gone"}}
    data = {"rev": rev, "params": {"params.yaml": {"data": {"loss": {"style_weight": weight}}}}, "metrics": files}
    revision = {"rev": rev, "name": None, "data": None if error else data, "error": {"msg": error} if error else None}
    return {"revs": [revision], "name": f"exp-{rev}", "executor": {"state": executor} if executor else None}


def test_experiments_without_metrics_say_why(tmp_path: Path) -> None:
    log = tmp_path / "c.out"
    log.write_text("train: error: loss.<b>: no such layer\nERROR: failed to reproduce 'train': exited with 2\n")
    before = {"score": 0.9}  # what lay in the workspace when it began
    baseline = {
        "rev": "c0ffee",
        "experiments": [
            state("a", 1, before, "running"),
            state("b", 2, {"score": 0.5, "style_score": math.nan, "flag": True, "content_similarity": None}, "success"),
            state("c", 3, before, "failed"),
            state("d", 4, None),
            state("e", 5, None, error="cannot parse dvc.yaml"),
        ],
    }
    baseline["experiments"][2]["executor"]["local"] = {"log": str(log)}
    found = experiments.parse_states([{"rev": "workspace", "data": None, "error": {"msg": "x"}}, baseline])
    assert [one.name for one in found] == ["workspace", *(f"exp-{rev}" for rev in "abcde")]
    assert [dict(one.metrics) for one in found] == [{}, {}, {"score": 0.5}, {}, {}, {}], "only finite numbers"
    problems = {one.name: one.problem for one in found if one.problem}
    assert "dvc queue logs exp-c" in problems["exp-c"] and "dvc pull" in problems["exp-d"] and "parse" in problems["exp-e"]
    assert "train: error: loss.<b>: no such layer" in problems["exp-c"]
    log.write_text("ERROR: not this\nERROR: No such file\n")
    assert "failed: ERROR: No such file" in experiments.parse_states([{}, baseline])[3].problem
    log.unlink()
    assert experiments.parse_states([{}, baseline])[3].problem == "failed: see dvc queue logs exp-c"
    assert experiments.parse_states([]) == []


def test_picture_lists_may_hold_any_name() -> None:
    file = io.StringIO()
    csv.writer(file).writerows([["id", "photo", "result"], ['a,"b"', "p/0.jpg", "p/1.jpg"]])
    read = experiments.parse_picture_list(file.getvalue().encode(), lambda name: name.encode())
    assert read == {'a,"b"': (b"data/evaluate/p/0.jpg", b"data/evaluate/p/1.jpg")}


def test_params_are_flattened_to_dotted_keys() -> None:
    tree = {"b": {"y": 1, "list": [1, 2], "empty": {}}, "a": "word"}
    assert experiments.flatten(tree) == {"b.y": 1, "b.list": [1, 2], "b.empty": {}, "a": "word"}


def test_a_missing_list_of_pictures_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert experiments.read_pictures(experiments.Experiment("x", None, {}, {}), tmp_path) == {}
    assert "x: no pictures" in caplog.text and "run stage evaluate" in caplog.text


def test_a_folder_without_dvc_or_git_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a DVC repository"):
        experiments.read_experiments(tmp_path)
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], cwd=tmp_path, check=True)
    with pytest.raises(UserError, match="git init"):
        experiments.read_experiments(tmp_path)
