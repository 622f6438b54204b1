"""The paint bucket: colour runs out from every pixel until a boundary stops it, as cels are painted between ink lines.

A picture is averaged along paths that cost nothing in flat parts and much across edges, at distances of 16, 8, 4, 2 and 1
pixels. Edge-avoiding wavelets (Dammertz et al. 2010) give the distances, the domain transform (Gastal and Oliveira 2011)
the cost added up along a path; that a network sets the cost is spatial propagation (Liu et al. 2017).
"""

import torch
from torch import Tensor
from torch.nn import functional as F

LEVELS = 5
THRESHOLD = 0.13
"""A step of this size, summed over R, G and B in [-1, 1], costs 1 unless a network says otherwise: it passes 1/e."""
REACH = 6.0
"""A network may make a boundary up to e^6 times as dear or as cheap."""


def steps(picture: Tensor) -> tuple[Tensor, Tensor]:
    """Sizes of the colour steps to the right (N x 1 x H x W-1) and down (N x 1 x H-1 x W) of N x C x H x W, sums over C."""
    right, down = (
        (picture.narrow(axis, 1, picture.shape[axis] - 1) - _but_last(picture, axis)).abs().sum(1, keepdim=True)
        for axis in (3, 2)
    )
    return right, down


def fill(picture: Tensor, prices: Tensor) -> Tensor:
    """Let the colours of a picture run once.

    Args:
        picture: N x C x H x W, float, any H and W >= 1; [-1, 1] where `THRESHOLD` is to hold.
        prices: N x 2 x H x W, logarithms of what a boundary costs to the right and below, against its step squared; 0 is the
            step alone, and `REACH` bounds them smoothly.

    Returns:
        The same shape. Each value is a weighted mean of values of the picture, so its range never grows.
    """
    picture, prices = picture.contiguous(), prices.contiguous()  # a share is one map for all three of the picture
    dear = torch.exp(REACH * torch.tanh(prices / REACH))
    shares = {}
    for index, (axis, step) in enumerate(zip((3, 2), steps(picture), strict=True)):
        passes = torch.exp(-((step / THRESHOLD) ** 2) * _but_last(dear[:, index : index + 1], axis))
        shares[axis] = F.pad(passes, (0, 1) if axis == 3 else (0, 0, 0, 1))  # nothing runs over the border
    paths = [shares]
    for level in range(LEVELS - 1):
        # A path of 2s is two of s, end to end: costs add up, so what passes is multiplied.
        paths.append({axis: share * _shifted(share, axis, 1 << level) for axis, share in paths[-1].items()})
    for level in reversed(range(LEVELS)):  # far first: what one line carries too far, its neighbours mend
        for axis, share in paths[level].items():
            if picture.shape[axis] > 1 << level:
                picture = _exchange(picture, share, axis, 1 << level)
    return picture


def _exchange(picture: Tensor, after: Tensor, axis: int, distance: int) -> Tensor:
    """Mix each pixel with those `distance` before and after it; `after` is what passes to and from the latter, 0 to 1."""
    before = _shifted(after, axis, -distance)
    change = after * (_shifted(picture, axis, distance) - picture) + before * (_shifted(picture, axis, -distance) - picture)
    return picture + change / (1.0 + after + before)


def _shifted(x: Tensor, axis: int, distance: int) -> Tensor:
    """Each pixel's value from `distance` pixels further on, or before where it is negative; 0 from beyond the border."""
    if x.shape[axis] <= abs(distance):
        return torch.zeros_like(x)
    return F.pad(x, (-distance, distance) if axis == 3 else (0, 0, -distance, distance))


def _but_last(x: Tensor, axis: int) -> Tensor:
    return x.narrow(axis, 0, x.shape[axis] - 1)
