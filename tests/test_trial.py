"""A generator judged while it learns: the same numbers as at the end, where the pictures are the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipeline import evaluate, judge, nearness
from pipeline.baselines import BASELINES
from pipeline.material import Material
from pipeline.params import Params
from pipeline.trial import Trial
from tests.conftest import vary
from tests.test_evaluate import QUICK, world  # noqa: F401

CPU = torch.device("cpu")


def test_the_numbers_are_those_of_evaluate(committed: Params, world: Path) -> None:  # noqa: F811
    params = vary(committed, {**QUICK, "evaluate.baselines": False})
    material = evaluate.gather(params, world)
    trial = Trial(material, "pastiche", CPU)
    assert trial.scores
    redraws = {"result": BASELINES["stylization"]}
    table, _ = judge.tabulate(material, judge.measure(material, redraws, "pastiche", CPU, None))
    found = trial(BASELINES["stylization"])
    for name in ("nearness", "likeness"):
        assert found[name] == pytest.approx(table["result"][name], abs=1e-5), name
    assert found["score"] == pytest.approx(nearness.score(found["nearness"], found["likeness"]))
    untouched = trial(list)
    assert untouched == pytest.approx({"nearness": 0, "likeness": 1, "score": 0}, abs=1e-6)


def test_too_few_squares_give_likeness_alone(committed: Params, world: Path) -> None:  # noqa: F811
    whole = evaluate.gather(vary(committed, QUICK), world)
    few = Trial(Material(whole.photos[:2], whole.unseen, whole.seen), "pastiche", CPU)
    assert not few.scores and few(list) == {"likeness": pytest.approx(1)}
    alone = Trial(Material(whole.photos[:1], whole.unseen, whole.seen), "pastiche", CPU)
    assert not alone.scores and alone(list) == {}
