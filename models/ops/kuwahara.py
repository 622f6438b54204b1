"""The brush: what is finer than a stroke goes, shading stays, and borders come out crisp.

The generalised Kuwahara filter (Kuwahara et al. 1976; Papari, Petkov, Campisi: Artistic Edge and Corner Enhancing Smoothing,
IEEE Transactions on Image Processing 2007), with squares for sectors: their means are cheap. That a network sets where
the brush goes is ours.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from models.ops.xdog import luma

SIDE_PX = 5
"""Of the squares: strokes as broad as of pipeline/filters/kuwahara.py with a radius of 2 to 3."""
REACH_PX = 2 * (SIDE_PX // 2)
"""How far the brush looks around."""
CALM = 4
"""How much more a calm square counts."""


def painted(picture: Tensor) -> Tensor:
    """The picture as the brush alone has it: N x 3 x H x W RGB in [-1, 1], any H and W >= 1, to the same.

    Of the nine squares whose middle, corner or half a side a pixel is, each gives its mean, and the calmest count the most.
    """
    step = SIDE_PX // 2
    # Small variances beside large squares: eight bits of mantissa would see none.
    with torch.autocast(picture.device.type, enabled=False):
        grey = luma(picture)
        wide = F.pad(torch.cat([picture, grey * grey], 1), (REACH_PX,) * 4, mode="replicate")
        means = F.avg_pool2d(wide, SIDE_PX, 1)
        variance = means[:, 3:] - luma(means[:, :3]) ** 2
        # In levels of 255, as the published filter; a tenth of one keeps the root's slope finite.
        weight = (1.0 + 127.5 * variance.clamp_min(1e-6).sqrt()) ** -CALM
        parts = torch.cat([weight * means[:, :3], weight], 1)
        parts = parts[..., : -2 * step, :] + parts[..., step:-step, :] + parts[..., 2 * step :, :]
        parts = parts[..., : -2 * step] + parts[..., step:-step] + parts[..., 2 * step :]
        return parts[:, :3] / parts[:, 3:]


def brush(picture: Tensor, cover: Tensor) -> Tensor:
    """Lay strokes over a picture.

    Args:
        picture: N x 3 x H x W RGB in [-1, 1].
        cover: N x 1 x H x W; its sigmoid is the share of the brush: 0 as the picture, 1 the brush alone.
    """
    return picture + torch.sigmoid(cover) * (painted(picture) - picture)
