"""Maps of a picture made in strips of rows: each is asked for from the top down, and asks the one before it for what it needs.

A plane remembers the rows that it was asked for last, so nothing but the rims is worked out twice (`models.streaming.strips`).
"""

from collections.abc import Callable, Iterator
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Rows = Callable[[int, int], Tensor]
"""Rows from the first up to but not the second, 1 x C x rows x W."""


class Store(Protocol):
    """A place for the maps of a whole picture."""

    def write(self, top: int, rows: Tensor) -> None:
        """Keep 1 x C x rows x W, which begin at row `top`."""

    def read(self, top: int, bottom: int) -> Tensor:
        """The rows from `top` up to but not `bottom`."""


Room = Callable[[int, int, int], Store]
"""Makes room for C maps of H x W."""


class Plane:
    """Maps of a picture, made a strip at a time and asked for from the top down."""

    def __init__(self, height: int, make: Rows, tail: int = 0, most: int | None = None) -> None:
        """A plane that `make` makes.

        Args:
            tail: rows to remember above the lowest made, for askers that lag behind one another.
            most: rows to make at once, where they are many at first, as something below lags far behind.
        """
        self.height, self._tail = height, tail
        self._make = make if most is None else _in_pieces(make, most)
        self._top, self._made = 0, torch.empty(0)

    def rows(self, top: int, bottom: int) -> Tensor:
        """1 x C x (bottom - top) x W; not to be written to."""
        made_to = self._top + (self._made.shape[2] if self._made.ndim == 4 else 0)
        if self._made.ndim != 4 or not self._top <= top <= made_to:
            self._top, self._made = top, self._make(top, bottom)
        elif bottom > made_to:
            first = min(top, max(self._top, bottom - self._tail))
            new = self._make(made_to, bottom)
            old = self._made[:, :, first - self._top :]
            self._made = torch.cat([old, new], 2) if old.shape[2] else new
            self._top = first
        return self._made[:, :, top - self._top : bottom - self._top]

    def strips(self, step: int) -> Iterator[tuple[int, Tensor]]:
        """All rows, `step` at a time, each strip with its first row."""
        for top in range(0, self.height, step):
            yield top, self.rows(top, min(top + step, self.height))
        self._top, self._made = 0, torch.empty(0)


def _in_pieces(make: Rows, most: int) -> Rows:
    def made(top: int, bottom: int) -> Tensor:
        pieces = [make(first, min(first + most, bottom)) for first in range(top, bottom, most)]
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces, 2)

    return made


def local(work: Callable[..., Tensor], reach: int, *planes: Plane, tail: int = 0, most: int | None = None) -> Plane:
    """What `work` makes of planes of one size, where it reaches so many rows up and down."""
    height = planes[0].height

    def make(top: int, bottom: int) -> Tensor:
        first, last = max(top - reach, 0), min(bottom + reach, height)
        made = work(*(plane.rows(first, last) for plane in planes))
        return made[:, :, top - first : bottom - first]

    return Plane(height, make, tail, most)


def halved(conv: nn.Module, plane: Plane) -> Plane:
    """A 3x3 convolution with stride 2 of a plane of even height."""

    def make(top: int, bottom: int) -> Tensor:
        first = max(2 * top - 2, 0)
        return cast(Tensor, conv(plane.rows(first, 2 * bottom)))[:, :, top - first // 2 :]

    return Plane(plane.height // 2, make)


def halved_below(conv: nn.Module, plane: Plane) -> Plane:
    """The same without padding of its own: one row more is mirrored at the bottom, and one column at the right."""

    def make(top: int, bottom: int) -> Tensor:
        last = min(2 * bottom + 1, plane.height)
        return cast(Tensor, conv(F.pad(plane.rows(2 * top, last), (0, 1, 0, 2 * bottom + 1 - last), mode="reflect")))

    return Plane(plane.height // 2, make)


def pooled(plane: Plane) -> Plane:
    """The largest of each two by two, of a plane of even height."""
    return Plane(plane.height // 2, lambda top, bottom: F.max_pool2d(plane.rows(2 * top, 2 * bottom), 2))


def doubled(up: nn.Module, plane: Plane) -> Plane:
    """An enlargement to twice the size that reaches one row up and down: nearest, bilinear, transposed convolution."""

    def make(top: int, bottom: int) -> Tensor:
        first, last = max((top - 1) // 2, 0), min(bottom // 2 + 1, plane.height)
        return cast(Tensor, up(plane.rows(first, last)))[:, :, top - 2 * first : bottom - 2 * first]

    return Plane(2 * plane.height, make)


class Moments:
    """Mean and variance of each map, gathered strip by strip (Chan, Golub, LeVeque 1979) in float64."""

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
        """Mean and variance over each group of maps, one value a map."""
        mean, variance = self.mean.view(groups, -1), (self.squares / self.count).view(groups, -1)
        middle = mean.mean(1, keepdim=True)
        spread = (variance + (mean - middle) ** 2).mean(1, keepdim=True)
        return middle.expand_as(mean).flatten(), spread.expand_as(mean).flatten()


class Stored(Plane):
    """A plane that lies in a store."""

    def __init__(self, height: int, store: Store) -> None:
        super().__init__(height, store.read)
        self.store = store

    def rows(self, top: int, bottom: int) -> Tensor:
        """As `Plane.rows`, in any order."""
        return self.store.read(top, bottom)
