"""The generalized Kuwahara filter, differentiable: fine texture goes, shading stays, edges become crisp.

Kuwahara et al. 1976; Papari, Petkov, Campisi: Artistic Edge and Corner Enhancing Smoothing, IEEE Transactions on Image
Processing 2007; with squares for sectors, as their means are cheap. The network says where it is applied.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from models.ops.xdog import luma

SIDE_PX = 5
"""Of the squares: about as strong as pipeline/filters/kuwahara.py with a radius of 2 to 3."""
HALO_PX = 2 * (SIDE_PX // 2)
"""How far from a pixel its result depends on the picture."""
SHARPNESS = 4
"""Exponent by which squares of low variance outweigh the others."""


def kuwahara_filter(picture: Tensor) -> Tensor:
    """Filter N x 3 x H x W RGB in [-1, 1], any H and W >= 1, to the same.

    Average the means of the nine 5 x 5 squares that have a pixel as their center, as a corner, or in the middle of a side,
    the ones of low variance weighing most.
    """
    step = SIDE_PX // 2
    # Small variances beside large squares: bfloat16's eight bits of mantissa would hold none.
    with torch.autocast(picture.device.type, enabled=False):
        gray = luma(picture)
        padded = F.pad(torch.cat([picture, gray * gray], 1), (HALO_PX,) * 4, mode="replicate")
        means = F.avg_pool2d(padded, SIDE_PX, 1)
        variance = means[:, 3:] - luma(means[:, :3]) ** 2
        # In levels of 255, as the published filter; a tenth of one keeps the root's gradient finite.
        weight = (1.0 + 127.5 * variance.clamp_min(1e-6).sqrt()) ** -SHARPNESS
        parts = torch.cat([weight * means[:, :3], weight], 1)
        parts = parts[..., : -2 * step, :] + parts[..., step:-step, :] + parts[..., 2 * step :, :]
        parts = parts[..., : -2 * step] + parts[..., step:-step] + parts[..., 2 * step :]
        return parts[:, :3] / parts[:, 3:]


def blend_kuwahara(picture: Tensor, opacity_logits: Tensor) -> Tensor:
    """Blend a picture with its filtered version.

    Args:
        picture: N x 3 x H x W RGB in [-1, 1].
        opacity_logits: N x 1 x H x W; the sigmoid is the share of the filtered picture.
    """
    return picture + torch.sigmoid(opacity_logits) * (kuwahara_filter(picture) - picture)
