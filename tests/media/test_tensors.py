"""Pixels to tensors and back."""

from __future__ import annotations

import numpy as np
import torch

from pipeline.media import tensors


def test_every_level_survives_the_round_trip() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, 3)
    tensor = tensors.from_pixels(torch.from_numpy(levels))
    assert tensor.dtype == torch.float32 and tensor.shape == (1, 3, 16, 16)
    assert (tensor.min().item(), tensor.max().item()) == (-1.0, 1.0)
    np.testing.assert_array_equal(tensors.to_pixels(tensor).numpy(), levels)


def test_to_pixels_clamps_and_rounds() -> None:
    values = torch.tensor([-7.0, -1.0, 0.0, 1.0, 7.0, 10.4 / 127.5 - 1, 10.6 / 127.5 - 1]).view(1, 1, 1, -1).expand(1, 3, 1, -1)
    assert tensors.to_pixels(values)[0, 0, :, 0].tolist() == [0, 0, 128, 255, 255, 10, 11]


def test_from_pixels_does_not_modify_its_input() -> None:
    pixels = torch.full((1, 2, 2, 3), 9, dtype=torch.uint8)
    tensors.from_pixels(pixels)
    assert (pixels == 9).all()
