"""Differentiable augmentation of what a discriminator sees (Zhao et al. 2020), so that it cannot memorize a small set of crops.

Real and fake pictures are changed alike, and gradients pass through, so the generator does not learn to draw the changes.
Pictures: float N x 3 x H x W. Chances: float N x `CHANCES`, uniform in [0, 1); equal chances change equally.
"""

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor

Way = Literal["color", "translation", "cutout"]

CHANCES = 7
SHIFT = 1 / 8
"""A picture moves by at most this share of its side."""
HOLE = 1 / 2
"""Side of what is cut out, as a share of the picture's."""


def augment(pictures: Tensor, chances: Tensor, ways: Iterable[Way]) -> Tensor:
    """Change each picture in the given ways, in their order, as its row of chances says; same shape, not clamped.

    Raises:
        ValueError: an unknown way.
    """
    change = {"color": _color, "translation": _translation, "cutout": _cutout}
    for way in ways:
        if way not in change:
            raise ValueError(f"unknown way {way!r}: expected one of {', '.join(change)}")
        pictures = change[way](pictures, chances)
    return pictures


def _color(pictures: Tensor, chances: Tensor) -> Tensor:
    """Brightness by -0.5 to 0.5, saturation by 0 to 2, contrast by 0.5 to 1.5."""
    brightness, saturation, contrast = (chances[:, index].view(-1, 1, 1, 1) for index in range(3))
    x = pictures + (brightness - 0.5)
    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * (2.0 * saturation)
    middle = x.mean((1, 2, 3), keepdim=True)
    return middle + (x - middle) * (contrast + 0.5)


def _translation(pictures: Tensor, chances: Tensor) -> Tensor:
    """Shift by whole pixels; what comes in is 0."""
    height, width = pictures.shape[-2:]
    down, right = (
        torch.floor(chances[:, index] * (2 * int(side * SHIFT) + 1)).long() - int(side * SHIFT)
        for index, side in ((3, height), (4, width))
    )
    rows, inside_rows = _moved(height, down)
    columns, inside_columns = _moved(width, right)
    which = torch.arange(len(pictures), device=pictures.device).view(-1, 1, 1)
    moved = pictures.permute(0, 2, 3, 1)[which, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    return moved * (inside_rows[:, :, None] & inside_columns[:, None, :]).unsqueeze(1)


def _moved(side: int, by: Tensor) -> tuple[Tensor, Tensor]:
    """Find the index that each position along a side takes its pixel from, and whether it lies inside the picture."""
    source = torch.arange(side, device=by.device) - by[:, None]
    return source.clamp(0, side - 1), (source >= 0) & (source < side)


def _cutout(pictures: Tensor, chances: Tensor) -> Tensor:
    """A square hole of 0, its middle anywhere in the picture."""
    height, width = pictures.shape[-2:]
    holes = []
    for index, side in ((5, height), (6, width)):
        middle = torch.floor(chances[:, index] * side)[:, None]
        holes.append((torch.arange(side, device=pictures.device) - middle).abs() < side * HOLE / 2)
    return pictures * ~(holes[0][:, :, None] & holes[1][:, None, :]).unsqueeze(1)
