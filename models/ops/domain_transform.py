"""Edge-aware diffusion: colors spread out from every pixel until an edge stops them, which leaves flat areas.

A picture is averaged along paths that cost nothing in flat parts and much across edges, at distances of 16, 8, 4, 2 and 1
pixels. Edge-avoiding wavelets (Dammertz et al. 2010) give the distances, the domain transform (Gastal and Oliveira 2011)
the cost summed along a path; that a network sets the cost is spatial propagation (Liu et al. 2017).
"""

import torch
from torch import Tensor
from torch.nn import functional as F

LEVELS = 5
"""Steps of 16, 8, 4, 2 and 1 pixels: a color spreads 31 pixels at most."""
EDGE_THRESHOLD = 0.13
"""A color difference of this size, summed over R, G and B in [-1, 1], costs 1 unless the network says otherwise: 1/e passes."""
MAX_LOG_COST = 6.0
"""A network may make an edge up to e^6 times as costly or as cheap."""
COST_CHANNELS = 2
"""Channels that one step takes: the cost of the edge to the right, and of the edge below."""
_BEYOND = 1e3
"""A color that stands for what lies beyond the border: so far from all others that nothing passes."""


def diffuse(picture: Tensor, log_costs: Tensor) -> Tensor:
    """Let the colors of a picture spread once.

    Args:
        picture: N x C x H x W, float, any H and W >= 1; in [-1, 1] for `EDGE_THRESHOLD` to hold.
        log_costs: N x 2 x H x W, logarithms of the cost of the edge to the right and below, per squared color difference; 0
            is the difference alone. Smoothly bounded by `MAX_LOG_COST`.

    Returns:
        The same shape. Each value is a weighted mean of values of the picture, so its range never grows.
    """
    picture, log_costs = picture.contiguous(), log_costs.contiguous()  # weights are one channel for all of the picture's
    costs = torch.exp(MAX_LOG_COST * torch.tanh(log_costs / MAX_LOG_COST))
    weights = {axis: _passing(picture, costs[:, index : index + 1], axis) for index, axis in enumerate((3, 2))}
    levels = [weights]
    for level in range(LEVELS - 1):
        # A path of length 2s is two of length s, end to end: costs add up, so weights are multiplied.
        levels.append({axis: weight * _shift(weight, axis, 1 << level) for axis, weight in levels[-1].items()})
    for level in reversed(range(LEVELS)):  # far first: what one row carries too far, its neighbors correct
        for axis, weight in levels[level].items():
            picture = _mix(picture, weight, axis, 1 << level)
    return picture


def _passing(picture: Tensor, costs: Tensor, axis: int) -> Tensor:
    """How much passes between each pixel and the next along an axis, 0 to 1: N x 1 x H x W."""
    difference = (_shift(picture, axis, 1, _BEYOND) - picture).abs().sum(1, keepdim=True)
    return torch.exp(-((difference / EDGE_THRESHOLD) ** 2) * costs)


def _mix(picture: Tensor, after: Tensor, axis: int, distance: int) -> Tensor:
    """Average each pixel with those `distance` after and before it; `after` weighs the former, N x 1 x H x W."""
    before = _shift(after, axis, -distance)
    change = after * (_shift(picture, axis, distance) - picture) + before * (_shift(picture, axis, -distance) - picture)
    return picture + change / (1.0 + after + before)


def _shift(x: Tensor, axis: int, distance: int, beyond: float = 0.0) -> Tensor:
    """Give each pixel the value `distance` pixels further along an axis, or before where negative; `beyond` past the border."""
    # Padded and then cut, rather than padded by a negative number: that works at any size, and in exported graphs.
    before, after = max(-distance, 0), max(distance, 0)
    padded = F.pad(x, (before, after) if axis == 3 else (0, 0, before, after), value=beyond)
    return padded.narrow(axis, after, x.shape[axis])
