"""The film's palette, as a network has it: one change of colours for every pixel of every picture.

A polynomial of degree 2 in R, G and B (Hong, Luo, Rhodes: A study of digital camera colorimetric characterization based on
polynomial modelling, Color Research and Application 2001). Convolutions find such a change slowly, and seldom the same one in
the sky as in the grass (docs/log.md, The palette); thirty numbers find it in a few hundred steps.
"""

import torch
from torch import Tensor, nn

TERMS = 9


class ColorTransform(nn.Module):
    """N x 3 x H x W RGB in [-1, 1] to the same, a little beyond where it brightens; no change at first."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3, TERMS))
        self.bias = nn.Parameter(torch.zeros(3))

    def forward(self, picture: Tensor) -> Tensor:
        """What is learnt is the difference, of the colours, their squares and their products."""
        terms = torch.cat([picture, picture * picture, picture * torch.roll(picture, 1, dims=1)], 1)
        # Eight bits of mantissa would posterise skies. Not a convolution, which exports to int8 would take for one.
        with torch.autocast(picture.device.type, enabled=False):
            change = torch.einsum("oc,nchw->nohw", self.weight, terms) + self.bias.view(1, 3, 1, 1)
        return picture + change
