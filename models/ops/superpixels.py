"""Superpixels, regions of similar color, found on the device that pictures are on."""

import torch
from torch import Tensor

from models.losses import lab

COMPACTNESS = 10.0  # CIELAB units that a region's width weighs: as scikit-image's slic
STEPS = 5


def find(image: Tensor, side_px: int) -> tuple[Tensor, int]:
    """Assign each pixel to a region, by SLIC (Achanta et al. 2012, algorithm 1): k-means in color and position.

    A fixed number of steps, in which each pixel chooses among the nine centers around its cell of the grid (as Jampani et al.
    2018), so that all pixels are computed at once. Regions may stay unconnected.

    Args:
        image: N x 3 x H x W in [-1, 1].
        side_px: width of the cells of the grid that the centers of regions start from.

    Returns:
        The number of each pixel's region, from 0, int64 N x H x W, and how many regions a picture has.
    """
    n, _, height, width = image.shape
    rows, columns = (max(1, round(length / side_px)) for length in (height, width))
    y, x = torch.arange(height, device=image.device), torch.arange(width, device=image.device)
    row, column = y * rows // height, x * columns // width
    place = torch.stack(torch.meshgrid(y, x, indexing="ij")).float() * (COMPACTNESS / side_px)
    points = torch.cat([lab(image), place.expand(n, -1, -1, -1)], 1)  # N x 5 x H x W
    labels = (row[:, None] * columns + column).expand(n, -1, -1)
    centres = means(points, labels, rows * columns)
    for _ in range(STEPS):
        nearest = torch.full((n, height, width), torch.inf, device=image.device)
        for down in (-1, 0, 1):
            for across in (-1, 0, 1):
                there, beside = row + down, column + across
                inside = ((there >= 0) & (there < rows))[:, None] & ((beside >= 0) & (beside < columns))
                other = there.clamp(0, rows - 1)[:, None] * columns + beside.clamp(0, columns - 1)
                distance = (points - centres[:, :, other]).square().sum(1)
                closer = inside & (distance < nearest)
                nearest, labels = torch.where(closer, distance, nearest), torch.where(closer, other, labels)
        centres = means(points, labels, rows * columns, centres)
    return labels, rows * columns


def means(points: Tensor, labels: Tensor, count: int, otherwise: Tensor | None = None) -> Tensor:
    """Average points (N x C x H x W) by region, N x C x `count`; a region without points has the value of `otherwise`, or 0."""
    n, channels = points.shape[:2]
    index = labels.flatten(1)[:, None]
    sums = points.new_zeros(n, channels, count).scatter_add_(2, index.expand(-1, channels, -1), points.flatten(2))
    sizes = points.new_zeros(n, 1, count).scatter_add_(2, index, torch.ones_like(points[:, :1]).flatten(2))
    found = sums / sizes.clamp_min(1.0)
    return found if otherwise is None else torch.where(sizes > 0, found, otherwise)


@torch.no_grad()
def evened(image: Tensor, side_px: int) -> Tensor:
    """Fill each superpixel (see `find`) with its mean color: N x 3 x H x W in [-1, 1] to float32, without gradients."""
    with torch.autocast(image.device.type, enabled=False):
        image = image.float()
        labels, count = find(image, side_px)
        colours = means(image, labels, count)
        return colours.gather(2, labels.flatten(1)[:, None].expand(-1, 3, -1)).view_as(image)
