"""XDoG lines, differentiable: dark lines on the dark side of edges, as outlines are drawn.

A difference of Gaussians with a soft threshold: Winnemoeller, Olsen, Gooch: Real-Time Video Abstraction, SIGGRAPH 2006,
section 3.3, and XDoG (Winnemoeller, Kyprianidis, Olsen 2012). As there, lines are drawn after flattening, when little is left
of texture; a second set follows the finer edges of the photo itself. The network sets the strength of both.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

SIGMA_PX = 1.2
"""Of the narrower Gaussian: a line is about three times as wide."""
SIGMA_RATIO = 1.6
"""Of the wider Gaussian to the narrower: the nearest to a Laplacian (Marr and Hildreth 1980)."""
LOW_THRESHOLD, HIGH_THRESHOLD = 0.012, 0.032
"""Differences, of luma in 0-1, at which a line begins and at which it is at full strength."""
LINE_CHANNELS = 2
"""Channels that drawing takes: the strength of lines of the filtered picture, and of lines of the photo."""
SUPPORT_PX = 9
"""Side of the square in which a line must continue."""
LOW_SUPPORT, HIGH_SUPPORT = 0.12, 0.22
"""Share of that square: a line that fills less is a speck and left out. A line three pixels wide fills 0.33."""
LUMA = (0.299, 0.587, 0.114)


def line_response(picture: Tensor) -> Tensor:
    """Find where dark lines belong: N x 3 x H x W RGB in [-1, 1], any H and W >= 1, to N x 1 x H x W in [0, 1]."""
    difference = _difference_of_gaussians(0.5 * luma(picture))
    return ((difference - LOW_THRESHOLD) / (HIGH_THRESHOLD - LOW_THRESHOLD)).clamp(0.0, 1.0)


def line_mask(picture: Tensor) -> Tensor:
    """Find lines as `line_response` does, without the specks that grain and fur give."""
    response = line_response(picture)
    # Rows, then columns: what is beyond the border counts in neither, and 18 values are summed in place of 81.
    support = F.avg_pool2d(response, (SUPPORT_PX, 1), 1, (SUPPORT_PX // 2, 0), count_include_pad=False)
    support = F.avg_pool2d(support, (1, SUPPORT_PX), 1, (0, SUPPORT_PX // 2), count_include_pad=False)
    return response * ((support - LOW_SUPPORT) / (HIGH_SUPPORT - LOW_SUPPORT)).clamp(0.0, 1.0)


def draw_lines(picture: Tensor, photo: Tensor, strength_logits: Tensor) -> Tensor:
    """Darken a picture along its own lines, then along the finer lines of the photo.

    Args:
        picture: N x 3 x H x W RGB in [-1, 1], filtered.
        photo: the same before it was filtered.
        strength_logits: N x 2 x H x W, of lines of the picture and of the photo; the sigmoid is how dark a line is: at 0 as
            the picture, at 1 black.
    """
    for channel, mask in enumerate((line_mask(picture), line_mask(photo))):
        picture = picture - torch.sigmoid(strength_logits[:, channel : channel + 1]) * mask * (picture + 1.0)
    return picture


def luma(picture: Tensor) -> Tensor:
    """Weigh N x 3 x H x W RGB by BT.601 to N x 1 x H x W of the same range."""
    red, green, blue = (picture[:, channel : channel + 1] for channel in range(3))
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue


def _difference_of_gaussians(gray: Tensor) -> Tensor:
    """Subtract the narrower blur of N x 1 x H x W from the wider, borders repeated: along rows, then along columns."""
    reach = math.ceil(3 * SIGMA_RATIO * SIGMA_PX)
    wide, narrow = _gaussian(gray, SIGMA_RATIO * SIGMA_PX, reach), _gaussian(gray, SIGMA_PX, reach)
    gray = F.pad(gray, (reach, reach, reach, reach), mode="replicate")
    # A line begins at a difference of three levels, of which bfloat16 would hold one.
    with torch.autocast(gray.device.type, enabled=False):
        both = F.conv2d(gray, torch.stack([wide, narrow]).view(2, 1, 1, -1))
        return F.conv2d(both, torch.stack([wide, -narrow]).view(1, 2, -1, 1))


def _gaussian(like: Tensor, sigma_px: float, reach: int) -> Tensor:
    """2 reach + 1 weights that sum to 1, of `like`'s dtype and device; beyond three sigma they are 0."""
    steps = torch.arange(-reach, reach + 1, dtype=like.dtype, device=like.device)
    return torch.softmax((-(steps**2) / (2 * sigma_px**2)).masked_fill(steps.abs() > math.ceil(3 * sigma_px), -math.inf), 0)
