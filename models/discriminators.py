"""Patch discriminators: one class, and a table of named sizes that cite their paper.

They classify every patch of a picture on its own, as anime is recognized by its lines and flat areas and not by its subject.
A discriminator takes N x 3 x H x W and returns logits, high for real: a tensor, or a list of one per head.
Pictures: float NCHW RGB in [-1, 1], H, W >= 8 (two pixels at 1/4, which instance norm and reflect padding need).
"""

from dataclasses import dataclass, replace
from typing import cast

from torch import Tensor, nn
from torch.nn.utils import parametrizations

from models.layers import LEAKY_SLOPE, Norm, Padding, make_norm


@dataclass(frozen=True)
class DiscriminatorSize:
    """The numbers of one discriminator of the CartoonGAN family."""

    width: int
    """Channels of the first convolution; the last but one has eight times as many."""
    norm: Norm
    padding: Padding


DISCRIMINATORS: dict[str, DiscriminatorSize] = {
    # Chen, Lai, Liu: CartoonGAN, CVPR 2018. 1.13 M parameters, a logit for each patch of 37 x 37 pixels.
    "cartoongan": DiscriminatorSize(width=32, norm="batch", padding="zeros"),
    # The same with reflected edges (mnicnc404, 2020).
    "cartoongan-reflect": DiscriminatorSize(width=32, norm="batch", padding="reflect"),
    # Chen, Liu, Chen: AnimeGANv2, 2020: the same layers with layer norm; published with spectral norm (model.spectral_norm).
    "animegan-v2": DiscriminatorSize(width=32, norm="layer", padding="zeros"),
    # This project's, 0.28 M. Layer norm as in AnimeGANv2: instance norm would remove contrast, which separates anime from
    # photographs, and batch norm would give a batch of fakes away by its statistics. So would zeros around a crop: reflected.
    "genga-s": DiscriminatorSize(width=16, norm="layer", padding="reflect"),
    # For tests.
    "tiny": DiscriminatorSize(width=4, norm="layer", padding="reflect"),
}


class Discriminator(nn.Module):
    """3x3 convolutions with LeakyReLU 0.2; no norm after the first, the strided and the last ones, as published."""

    def __init__(self, size: DiscriminatorSize, *, spectral: bool = False) -> None:
        super().__init__()
        self.size = size
        w = size.width
        self.layers = nn.Sequential(
            *self._stage(3, w),
            *self._stage(w, 2 * w, stride=2),
            *self._stage(2 * w, 4 * w, normed=True),
            *self._stage(4 * w, 4 * w, stride=2),
            *self._stage(4 * w, 8 * w, normed=True),
            *self._stage(8 * w, 8 * w, normed=True),
            self._conv(8 * w, 1),
        )
        self._initialise()
        if spectral:
            for module in self.layers:
                if isinstance(module, nn.Conv2d):
                    parametrizations.spectral_norm(module)

    def forward(self, image: Tensor) -> Tensor:
        """N x 3 x H x W RGB in [-1, 1] to N x 1 x ceil(H/4) x ceil(W/4) logits: high is anime. No sigmoid."""
        return cast(Tensor, self.layers(image))

    def _conv(self, inputs: int, outputs: int, stride: int = 1) -> nn.Module:
        return nn.Conv2d(inputs, outputs, 3, stride, padding=1, padding_mode=self.size.padding)

    def _stage(self, inputs: int, outputs: int, *, stride: int = 1, normed: bool = False) -> list[nn.Module]:
        norm = [make_norm(self.size.norm, outputs)] if normed else []
        # Instance norm gives a view, and the way back through what changes a view copies its whole base.
        in_place = not (normed and self.size.norm == "instance")
        return [self._conv(inputs, outputs, stride), *norm, nn.LeakyReLU(LEAKY_SLOPE, inplace=in_place)]

    def _initialise(self) -> None:
        """He et al. 2015, normal, for LeakyReLU 0.2; gain 1 for the logits."""
        convs = [module for module in self.layers if isinstance(module, nn.Conv2d)]
        for conv in convs:
            nn.init.kaiming_normal_(conv.weight, a=LEAKY_SLOPE if conv is not convs[-1] else 1.0)
            nn.init.zeros_(cast(Tensor, conv.bias))


def build_discriminator(name: str, *, norm: str | None = None, spectral: bool = False) -> nn.Module:
    """Build the discriminator of a row of `DISCRIMINATORS` with new initial weights.

    `norm` replaces the row's. `spectral` adds spectral normalisation (Miyato et al. 2018) to every convolution.
    """
    if name not in DISCRIMINATORS:
        raise ValueError(f"unknown discriminator {name!r}: expected one of {', '.join(DISCRIMINATORS)}")
    size = DISCRIMINATORS[name]
    return Discriminator(size if norm is None else replace(size, norm=cast(Norm, norm)), spectral=spectral)
