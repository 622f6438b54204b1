"""Tables of metrics: which distances apply to how many pictures."""

from __future__ import annotations

import numpy as np
import torch

from pipeline.core.manifest import Row
from pipeline.dataset import evaluation_set
from pipeline.metrics import comparison


def test_frechet_distances_need_more_pictures_than_features() -> None:
    def subject(count: int, width: int) -> comparison.Subject:
        rng = np.random.default_rng(count)
        return comparison.Subject([torch.from_numpy(rng.random((count, width)))], [], [{"lpips": 0.0}])

    def row(index: int) -> Row:
        return Row(id=str(index), domain="photo", source="x", width_px=1, height_px=1)

    rows = [row(index) for index in range(12)]
    crops = evaluation_set.EvaluationSet(rows, rows, rows)
    for width, given in ((8, True), (20, False)):
        subjects = {"photo": subject(12, width), "result": subject(12, width)}
        film = {"unseen": subject(12, width), "seen": subject(12, width)}
        found, _, _ = comparison.distances(crops, comparison.Measured(subjects, film, 1.0, {}, {}))
        assert ("fid_vgg19" in found["result"]) is given and "kid_vgg19" in found["result"]
