"""Baselines: OpenCV's filters keep the size and change the picture."""

import numpy as np
import pytest

from pipeline.metrics.baselines import BASELINES
from tests.support.training_world import rough


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_smooths_each_picture(name: str) -> None:
    assert len(BASELINES) == 2
    photos = [rough(1), rough(2)]
    results = BASELINES[name](photos)
    for photo, result in zip(photos, results, strict=True):
        assert result.shape == photo.shape and result.dtype == np.uint8
        assert np.abs(np.diff(result.astype(int), axis=1)).mean() < np.abs(np.diff(photo.astype(int), axis=1)).mean()
