"""Rows of feature maps, made from the top down: a cache of the last ones, a store for all of them, statistics over all."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

Rows = Callable[[int, int], Tensor]
"""Rows from the first up to but not the second, 1 x C x rows x W; not to be written to."""


class Store(Protocol):
    """A place for all rows of one feature map."""

    def write(self, top: int, rows: Tensor) -> None:
        """Keep 1 x C x rows x W, which begin at row `top`."""

    def read(self, top: int, bottom: int) -> Tensor:
        """Return the rows from `top` up to but not `bottom`."""


MakeStore = Callable[[int, int, int], Store]
"""Makes a store for C x H x W values."""


class RowCache:
    """Rows that are made on demand and remembered until later ones are asked for, so that neighbors make none twice."""

    def __init__(self, make: Rows, keep: int, at_once: int) -> None:
        """Cache the rows of `make`.

        Args:
            keep: rows to remember above the lowest one made, for readers that lag behind others.
            at_once: rows to make in one go at most, which bounds memory where many are asked for.
        """
        self._make, self._keep, self._at_once = make, keep, at_once
        self._top, self._rows = 0, torch.empty(1, 0, 0, 0)

    def __call__(self, top: int, bottom: int) -> Tensor:
        """Return rows as `Rows` does."""
        end = self._top + self._rows.shape[2]
        if not self._top <= top <= end:  # before what is remembered, or beyond a gap
            self._top, self._rows, end = top, self._rows[:, :, :0], top
        if bottom > end:
            first = min(top, max(self._top, bottom - self._keep))
            old = self._rows[:, :, first - self._top :]
            new = [self._make(start, min(start + self._at_once, bottom)) for start in range(end, bottom, self._at_once)]
            parts = [old, *new] if old.shape[2] else new
            self._top, self._rows = first, parts[0] if len(parts) == 1 else torch.cat(parts, 2)
        return self._rows[:, :, top - self._top : bottom - self._top]


class Moments:
    """Mean and variance of each channel, gathered from groups of rows in float64 (Chan, Golub, LeVeque 1979)."""

    def __init__(self) -> None:
        self.count, self.mean, self.squares = 0, torch.zeros(()), torch.zeros(())

    def add(self, rows: Tensor) -> None:
        """Take in 1 x C x rows x W."""
        variance, mean = (part.double().cpu() for part in torch.var_mean(rows, (0, 2, 3), correction=0))
        count = rows[:, 0].numel()
        total, step = self.count + count, mean - self.mean
        self.squares = self.squares + variance * count + step**2 * (self.count * count / total)
        self.mean = self.mean + step * (count / total)
        self.count = total

    def of_groups(self, groups: int) -> tuple[Tensor, Tensor]:
        """Return the mean and variance over each group of channels, repeated for each channel of it."""
        mean, variance = self.mean.view(groups, -1), (self.squares / self.count).view(groups, -1)
        center = mean.mean(1, keepdim=True)
        spread = (variance + (mean - center) ** 2).mean(1, keepdim=True)
        return center.expand_as(mean).flatten(), spread.expand_as(mean).flatten()
