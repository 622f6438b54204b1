"""Rows are made once and remembered while they are needed; statistics of groups of rows are those of the whole."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.streaming.rows import Moments, RowCache

ROWS = torch.arange(40.0).view(1, 1, 40, 1)


def test_a_cache_makes_each_row_once_and_few_at_a_time() -> None:
    made: list[tuple[int, int]] = []

    def make(top: int, bottom: int) -> Tensor:
        made.append((top, bottom))
        return ROWS[:, :, top:bottom]

    cache = RowCache(make, keep=8, at_once=4)
    for top, bottom in ((0, 6), (4, 12), (6, 10), (8, 14)):  # the third lags behind the second
        assert torch.equal(cache(top, bottom), ROWS[:, :, top:bottom])
    assert made == [(0, 4), (4, 6), (6, 10), (10, 12), (12, 14)]
    assert torch.equal(cache(30, 33), ROWS[:, :, 30:33]), "beyond a gap"
    assert torch.equal(cache(2, 4), ROWS[:, :, 2:4]), "forgotten, so made again"


@given(st.lists(st.integers(1, 7), min_size=1, max_size=6), st.floats(-1e3, 1e3))
def test_moments_of_strips_are_those_of_the_whole(heights: list[int], middle: float) -> None:
    maps = torch.randn(1, 6, sum(heights), 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + middle
    moments = Moments()
    for rows in torch.split(maps, heights, 2):
        moments.add(rows)
    for groups in (1, 2, 6):
        mean, variance = moments.of_groups(groups)
        grouped = maps.view(groups, -1)
        each = 6 // groups
        assert torch.allclose(mean, grouped.mean(1).repeat_interleave(each))
        assert torch.allclose(variance, grouped.var(1, correction=0).repeat_interleave(each), rtol=1e-6)
