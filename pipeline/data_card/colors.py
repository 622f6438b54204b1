"""Brightness and color of crops, as histograms and means."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.core import manifest
from pipeline.core.manifest import Row
from pipeline.media import arrays, images
from pipeline.media.images import Picture

LEVELS = 256


@dataclass(frozen=True)
class CropColors:
    """Brightness and color of crops, which are of equal size."""

    luma: NDArray[np.int64]  # pixels at each of 256 levels
    saturation: NDArray[np.int64]  # the same for S of HSV
    lab: NDArray[np.float64]  # mean CIELAB color of each picture, N x 3
    rgb: NDArray[np.float64]  # mean RGB color of each picture, N x 3, 0 to 255

    @property
    def mean_lab(self) -> NDArray[np.float64]:
        return np.asarray(self.lab.mean(axis=0))


def measure(picture: Picture) -> CropColors:
    """Measure a picture (uint8 RGB HxWx3)."""
    return CropColors(
        luma=np.bincount(arrays.luma(picture).ravel(), minlength=LEVELS),
        saturation=np.bincount(arrays.saturation(picture).ravel(), minlength=LEVELS),
        lab=arrays.lab(picture).reshape(1, -1, 3).mean(axis=1, dtype=np.float64),
        rgb=picture.reshape(1, -1, 3).mean(axis=1),
    )


def measure_row(row: Row) -> CropColors:
    """Read and measure the picture of a manifest row.

    Raises:
        UserError: the picture's file is missing, unreadable, or has changed.
    """
    return measure(images.read(manifest.file_of(row)))


def merge(parts: Iterable[CropColors]) -> CropColors:
    """Combine the colors of sets of crops: add up histograms, join means in order; there may be no sets."""
    sets = list(parts)
    return CropColors(
        luma=sum((part.luma for part in sets), np.zeros(LEVELS, np.int64)),
        saturation=sum((part.saturation for part in sets), np.zeros(LEVELS, np.int64)),
        lab=np.concatenate([np.zeros((0, 3)), *(part.lab for part in sets)]),
        rgb=np.concatenate([np.zeros((0, 3)), *(part.rgb for part in sets)]),
    )


def histogram_mean(counts: NDArray[np.int64]) -> float:
    """Return the mean level of a histogram; 0 if it is empty."""
    return float((counts * np.arange(len(counts))).sum() / max(counts.sum(), 1))


def histogram_quantile(counts: NDArray[np.int64], share: float) -> int:
    """Return the lowest level at or below which `share` (0 to 1) of the histogram lies; 0 if it is empty."""
    return int(np.searchsorted(counts.cumsum(), share * counts.sum()))
