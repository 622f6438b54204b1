"""What all stylizers have in common."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.inference.stylizer import MAX_BATCH, batch_size
from pipeline.media import images
from tests.conftest import scene
from tests.support.stylizers import Negative


def test_one_picture_is_a_batch_of_one() -> None:
    stylizer = Negative()
    np.testing.assert_array_equal(stylizer(scene(1, 20, 10)), 255 - scene(1, 20, 10))
    assert stylizer.batches == [(1, 10, 20)]


def test_preparing_and_metadata_are_optional() -> None:
    stylizer = Negative()
    stylizer.prepare(10, 20)
    assert stylizer.metadata == {} and stylizer.max_megapixels == images.DEFAULT_MAX_MEGAPIXELS


@pytest.mark.parametrize(("height", "width", "count"), [(1, 1, MAX_BATCH), (256, 256, 15), (480, 854, 2), (1080, 1920, 1)])
def test_small_pictures_are_worth_redrawing_together(height: int, width: int, count: int) -> None:
    assert batch_size(height, width) == count
