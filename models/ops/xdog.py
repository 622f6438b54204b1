"""Ink lines: dark strokes on the dark side of borders, as a draughtsman sets them before the colours are filled in.

A difference of Gaussians, cut off softly: Winnemoeller, Olsen, Gooch: Real-Time Video Abstraction, SIGGRAPH 2006, section
3.3, and XDoG (Winnemoeller, Kyprianidis, Olsen 2012). They draw after flattening, when what is left of texture is little;
so do we, after the fills, and a second pen follows what the photo itself has. That a network sets how hard they press is ours.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

SIGMA_PX = 1.2
"""Of the narrower Gaussian: a stroke is about three times as wide."""
RATIO = 1.6
"""The wider Gaussian by the narrower: the nearest to a Laplacian (Marr and Hildreth 1980)."""
FAINT, FULL = 0.012, 0.032
"""Differences, of luma in 0-1, from which a stroke begins and at which it is whole."""
PENS = 2
"""Maps that drawing takes: how hard each pen is pressed."""
SPAN_PX = 9
"""Side of the square in which a stroke looks for its continuation."""
SPARSE, DENSE = 0.12, 0.22
"""Share of that square: a stroke that fills less is a speck and left out. A line of three pixels fills 0.33."""
REACH_PX = math.ceil(3 * RATIO * SIGMA_PX) + SPAN_PX // 2
"""How far a line looks around."""
LUMA = (0.299, 0.587, 0.114)


def strokes(picture: Tensor) -> Tensor:
    """Where strokes belong: N x 3 x H x W RGB in [-1, 1], any H and W >= 1, to N x 1 x H x W in [0, 1]."""
    difference = _difference_of_gaussians(0.5 * luma(picture))
    return ((difference - FAINT) / (FULL - FAINT)).clamp(0.0, 1.0)


def draw(picture: Tensor, photo: Tensor, pressure: Tensor) -> Tensor:
    """Darken strokes towards black, by two pens: one follows what is painted, one the finer lines of the photo.

    Args:
        picture: N x 3 x H x W RGB in [-1, 1], as painted.
        photo: the same before anything was painted.
        pressure: N x 2 x H x W, of either pen; its sigmoid is how dark strokes are: 0 as the picture, 1 black.
    """
    for pen, found in enumerate((lines(picture), lines(photo))):
        picture = picture - torch.sigmoid(pressure[:, pen : pen + 1]) * found * (picture + 1.0)
    return picture


def lines(picture: Tensor) -> Tensor:
    """`strokes` without specks, which grain and fur make."""
    found = strokes(picture)
    # Rows, then columns: what is beyond the border counts in neither, and 18 values are added up for 81.
    support = F.avg_pool2d(found, (SPAN_PX, 1), 1, (SPAN_PX // 2, 0), count_include_pad=False)
    support = F.avg_pool2d(support, (1, SPAN_PX), 1, (0, SPAN_PX // 2), count_include_pad=False)
    return found * ((support - SPARSE) / (DENSE - SPARSE)).clamp(0.0, 1.0)


def luma(picture: Tensor) -> Tensor:
    """N x 3 x H x W RGB to N x 1 x H x W of the same range."""
    red, green, blue = (picture[:, channel : channel + 1] for channel in range(3))
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue


def _difference_of_gaussians(plane: Tensor) -> Tensor:
    """The wider blur of N x 1 x H x W less the narrower, borders repeated: both along rows, their difference down columns."""
    reach = math.ceil(3 * RATIO * SIGMA_PX)
    wide, narrow = _gaussian(plane, RATIO * SIGMA_PX, reach), _gaussian(plane, SIGMA_PX, reach)
    plane = F.pad(plane, (reach, reach, reach, reach), mode="replicate")
    # A stroke begins at three levels of difference, of which bfloat16 would see one.
    with torch.autocast(plane.device.type, enabled=False):
        both = F.conv2d(plane, torch.stack([wide, narrow]).view(2, 1, 1, -1))
        return F.conv2d(both, torch.stack([wide, -narrow]).view(1, 2, -1, 1))


def _gaussian(like: Tensor, sigma_px: float, reach: int) -> Tensor:
    """2 reach + 1 weights that add up to 1; beyond three sigma they are 0."""
    steps = torch.arange(-reach, reach + 1, dtype=like.dtype, device=like.device)
    return torch.softmax((-(steps**2) / (2 * sigma_px**2)).masked_fill(steps.abs() > math.ceil(3 * sigma_px), -math.inf), 0)
