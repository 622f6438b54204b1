"""Order and augmentation of crops: which crop comes when, and its sub-crop, flip and size, as functions of a running number."""

import functools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.core import manifest
from pipeline.networks import devices


class CropViews(NamedTuple):
    """How each of N pictures is cut out of a set of crops."""

    crop_index: NDArray[np.int64]
    """Which crop of the set, N."""
    left: NDArray[np.int64]
    """Left column of the cut, N, pixels."""
    top: NDArray[np.int64]
    """Top row of the cut, N, pixels."""
    mirrored: NDArray[np.bool_]
    """Whether it is flipped left to right, N."""
    crop_px: int
    """Side of the result, pixels."""
    sides: NDArray[np.int64] | None = None
    """Width and height of the cut before it is resized to crop_px, N x 2; None: nothing is resized."""


@dataclass(frozen=True)
class CropOrder:
    """An endless, seeded order of the crops of a set: each epoch is a permutation, each view a function of its number alone."""

    seed: int
    name: str
    """Sets of different names are ordered independently."""
    count: int
    """Crops in the set."""
    side_px: int
    """Side of the set's crops."""
    crop_px: int
    """Side of what is shown of them."""
    resize: tuple[float, float] = (1.0, 1.0)
    """Smallest and largest side of a cut in units of crop_px; width and height are drawn independently."""

    def views(self, start: int, count: int) -> CropViews:
        """Return views number `start` to `start + count - 1`; they do not depend on how views are batched."""
        numbers = range(start, start + count)
        crop = [_permutation(self.seed, self.name, n // self.count, self.count)[n % self.count] for n in numbers]
        if self.resize == (1.0, 1.0):
            room = self.side_px - self.crop_px
            draws = [manifest.rng(self.seed, self.name, "view", n).integers(0, (room + 1, room + 1, 2)) for n in numbers]
            left, top, mirrored = np.array(draws, np.int64).reshape(count, 3).T
            return CropViews(np.array(crop, np.int64), left, top, mirrored.astype(bool), self.crop_px)
        uniform = np.array([manifest.rng(self.seed, self.name, "view", n).random(5) for n in numbers]).reshape(count, 5)
        low, high = self.resize
        sides = np.rint(self.crop_px * (low + (high - low) * uniform[:, 3:])).astype(np.int64).clip(1, self.side_px)
        left, top = (uniform[:, :2] * (self.side_px - sides + 1)).astype(np.int64).T
        return CropViews(np.array(crop, np.int64), left, top, uniform[:, 2] < 0.5, self.crop_px, sides)


@functools.lru_cache(maxsize=8)
def _permutation(seed: int, name: str, epoch: int, count: int) -> NDArray[np.int64]:
    return manifest.rng(seed, name, "epoch", epoch).permutation(count)


def extract_views(pixels: Tensor, views: CropViews, device: torch.device) -> Tensor:
    """Cut n views out of crops (uint8 N x H x W x 3, any device): float32 n x 3 x crop_px x crop_px in [-1, 1] on `device`."""
    if views.sides is not None:
        return _extract_resized(pixels, views, views.sides, device)
    offsets = np.arange(views.crop_px)
    rows = views.top[:, None] + offsets
    columns = views.left[:, None] + np.where(views.mirrored[:, None], offsets[::-1], offsets)
    return devices.to_model_input(_pixels_at(pixels, views, rows, columns), device)


def _pixels_at(pixels: Tensor, views: CropViews, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Tensor:
    """Pick rows and columns (each n x crop_px) of the crop of each view: uint8 n x crop_px x crop_px x 3."""
    index = (views.crop_index[:, None, None], rows[:, :, None], columns[:, None, :])
    return pixels[tuple(torch.from_numpy(axis).to(pixels.device) for axis in index)]


def _extract_resized(pixels: Tensor, views: CropViews, sides: NDArray[np.int64], device: torch.device) -> Tensor:
    """Cut views of various sizes and resize them to crop_px: bilinear, sampled where cv2.INTER_LINEAR does."""
    (rows, down), (columns, across) = (
        _neighbors(start, side, views.crop_px) for start, side in zip((views.top, views.left), sides.T[::-1], strict=True)
    )
    columns, across = (np.where(views.mirrored[:, None], one[..., ::-1], one) for one in (columns, across))
    result: Tensor | None = None
    for row, row_share in zip(rows, (1 - down, down), strict=True):
        for column, column_share in zip(columns, (1 - across, across), strict=True):
            share = (row_share[:, :, None] * column_share[:, None, :]).astype(np.float32)
            part = _pixels_at(pixels, views, row, column) * torch.from_numpy(share).to(pixels.device)[..., None]
            result = part if result is None else result + part
    assert result is not None
    return devices.to_model_input(result.round().byte(), device)


def _neighbors(start: NDArray[np.int64], side: NDArray[np.int64], count: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Find the two pixels around each of `count` sample points spread evenly over each of N intervals.

    Returns:
        Pixel indices, 2 x N x count, and the weight of the second pixel, N x count.
    """
    points = ((np.arange(count) + 0.5) * (side[:, None] / count) - 0.5).clip(0, side[:, None] - 1)
    before = points.astype(np.int64)
    pair = np.stack([before, np.minimum(before + 1, side[:, None] - 1)])
    return pair + start[:, None], points - before
