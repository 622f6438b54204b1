"""Shuffle units: half of the channels pass through unchanged."""

import torch

from models.generators.shuffle_unit import ShuffleUnit, shuffle_channels
from models.layers import make_norm
from tests.support.random_pictures import random_pictures as pictures


def test_a_shuffle_unit_keeps_half_and_shuffles() -> None:
    x = pictures(2, 6, 5, 7)
    assert torch.equal(shuffle_channels(x)[:, 0::2], x[:, :3]) and torch.equal(shuffle_channels(x)[:, 1::2], x[:, 3:])
    unit = ShuffleUnit(6, lambda maps: make_norm("instance", maps))
    out = unit(x)
    assert torch.equal(out[:, 0::2], x[:, :3]), "what stays"
    assert not torch.equal(out[:, 1::2], x[:, 3:]) and (out[:, 1::2] >= 0).all()
