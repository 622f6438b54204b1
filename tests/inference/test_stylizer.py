"""What all stylizers have in common."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.inference.stylizer import MAX_BATCH, batch_size, check_memory
from tests.conftest import scene
from tests.support.stylizers import Negative


def test_one_picture_is_a_batch_of_one() -> None:
    stylizer = Negative()
    np.testing.assert_array_equal(stylizer(scene(1, 20, 10)), 255 - scene(1, 20, 10))
    assert stylizer.batches == [(1, 10, 20)]


def test_preparing_and_metadata_are_optional() -> None:
    stylizer = Negative()
    stylizer.prepare(10, 20)
    assert stylizer.metadata == {} and stylizer.max_megapixels == 200


@pytest.mark.parametrize(("height", "width", "count"), [(1, 1, MAX_BATCH), (256, 256, 15), (480, 854, 2), (1080, 1920, 1)])
def test_small_pictures_are_worth_redrawing_together(height: int, width: int, count: int) -> None:
    assert batch_size(height, width) == count


def test_what_memory_does_not_hold_is_refused_with_the_working_size_that_fits() -> None:
    check_memory(300, 400, 1000, 120e6)
    with pytest.raises(UserError, match=r"400x300 takes up to 0\.1 GB .* at most 200 pixels \(--working-px"):
        check_memory(300, 400, 1000, 30e6)
