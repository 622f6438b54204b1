"""A learned color transform: one polynomial for every pixel of every picture, which brings the colors of the film.

Of degree 2 in R, G and B (Hong, Luo, Rhodes: A study of digital camera colorimetric characterization based on polynomial
modelling, Color Research and Application 2001). Convolutions learn such a change slowly, and seldom the same one in the sky as
in the grass (docs/log.md); thirty numbers learn it in a few hundred steps.
"""

import torch
from torch import Tensor, nn

TERMS = 9


class ColorTransform(nn.Module):
    """The transform of N x 3 x H x W RGB; the identity at initialization."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3, TERMS))
        self.bias = nn.Parameter(torch.zeros(3))

    def forward(self, picture: Tensor) -> Tensor:
        """N x 3 x H x W in [-1, 1] to the same shape; the result is not clamped."""
        terms = torch.cat([picture, picture * picture, picture * torch.roll(picture, 1, dims=1)], 1)
        # With bfloat16's eight bits of mantissa skies would show bands. No convolution, which int8 export would quantize.
        with torch.autocast(picture.device.type, enabled=False):
            change = torch.einsum("oc,nchw->nohw", self.weight, terms) + self.bias.view(1, 3, 1, 1)
        return picture + change
