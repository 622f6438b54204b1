"""Crops of noise, for tests of what is done with crops."""

import numpy as np
import torch

from pipeline.dataset.crop_sets import CropSet


def random_crops(count: int, side: int = 12, seed: int = 0) -> CropSet:
    """Make `count` crops of random pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), np.uint8)
    return CropSet(torch.from_numpy(pixels), "")
