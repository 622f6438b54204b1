"""A generator judged while it learns: the same numbers as at the end, where the pictures are the same."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pipeline.dataset.evaluation_set import EvaluationSet
from pipeline.evaluation.runner import choose_crops
from pipeline.metrics import comparison, sharpness, style_score
from pipeline.metrics.baselines import BASELINES
from pipeline.metrics.feature_extractor import StyleFeatureExtractor
from pipeline.metrics.validation_probe import ValidationProbe
from pipeline.params.schema import Params
from tests.conftest import scene, vary
from tests.support.evaluation_world import QUICK, world

__all__ = ["world"]

CPU = torch.device("cpu")


def test_the_numbers_are_those_of_evaluate(committed: Params, world: Path) -> None:
    params = vary(committed, {**QUICK, "evaluate.baselines": False})
    material = choose_crops(params, world)
    trial = ValidationProbe(material, "pastiche", CPU)
    assert trial.can_score
    redraws = {"result": BASELINES["stylization"]}
    table, _ = comparison.tabulate(material, comparison.measure(material, redraws, "pastiche", CPU, None))
    found = trial(BASELINES["stylization"])
    for name in ("style_score", "content_similarity"):
        assert found[name] == pytest.approx(table["result"][name], abs=1e-5), name
    assert found["score"] == pytest.approx(style_score.combined_score(found["style_score"], found["content_similarity"]))
    untouched = trial(list)
    assert untouched == pytest.approx({"style_score": 0, "content_similarity": 1, "score": 0}, abs=1e-6)


def test_too_few_crops_give_content_similarity_alone(committed: Params, world: Path) -> None:
    whole = choose_crops(vary(committed, QUICK), world)
    few = ValidationProbe(EvaluationSet(whole.photos[:2], whole.unseen, whole.seen), "pastiche", CPU)
    assert not few.can_score and few(list) == {"content_similarity": pytest.approx(1)}
    alone = ValidationProbe(EvaluationSet(whole.photos[:1], whole.unseen, whole.seen), "pastiche", CPU)
    assert not alone.can_score and alone(list) == {}


def test_a_blur_moves_photos_hardly_where_the_film_is_as_soft() -> None:
    rough = np.random.default_rng(0).normal(0, 6, (128, 128, 3))
    photos = [np.clip(scene(seed, 128, 128) + rough, 0, 255).astype(np.uint8) for seed in range(4)]
    soft = [np.asarray(cv2.GaussianBlur(photo, (0, 0), 1.5), np.uint8) for photo in photos]
    extractor = StyleFeatureExtractor("pastiche", sharpness.common_px(photos, soft), CPU)
    as_they_are, levelled = ((extractor(of(photos)) - extractor(of(soft))).norm() for of in (list, extractor.equalize_blur))
    assert levelled < 0.4 * as_they_are
