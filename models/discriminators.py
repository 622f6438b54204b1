"""Patch discriminators and discriminators on frozen features: a table of named sizes that cite their paper.

Patch discriminators classify every patch of a picture on its own, as anime is recognized by its lines and flat areas and not by
its subject.
A discriminator takes N x 3 x H x W and returns logits, high for real: a tensor, or a list of one per head.
Pictures: float NCHW RGB in [-1, 1], H, W >= 8 (two pixels at 1/4, which instance norm and reflect padding need).
"""

from dataclasses import dataclass, replace
from typing import cast

from torch import Tensor, nn
from torch.nn.utils import parametrizations

from models.frozen_features import FrozenFeatureDiscriminator, FrozenFeatureSize
from models.layers import LEAKY_SLOPE, Norm, Padding, make_norm
from models.perceptual import VggFeatures


@dataclass(frozen=True)
class DiscriminatorSize:
    """The numbers of one discriminator of the CartoonGAN family."""

    width: int
    """Channels of the first convolution; the last but one has eight times as many."""
    norm: Norm
    padding: Padding


DISCRIMINATORS: dict[str, DiscriminatorSize | FrozenFeatureSize] = {
    # Chen, Lai, Liu: CartoonGAN, CVPR 2018. 1.13 M parameters, a logit for each patch of 37 x 37 pixels.
    "cartoongan": DiscriminatorSize(width=32, norm="batch", padding="zeros"),
    # The same with reflected edges (mnicnc404, 2020).
    "cartoongan-reflect": DiscriminatorSize(width=32, norm="batch", padding="reflect"),
    # Chen, Liu, Chen: AnimeGANv2, 2020: the same layers with layer norm; published with spectral norm (model.spectral_norm).
    "animegan-v2": DiscriminatorSize(width=32, norm="layer", padding="zeros"),
    # This project's, 0.28 M. Layer norm as in AnimeGANv2: instance norm would remove contrast, which separates anime from
    # photographs, and batch norm would give a batch of fakes away by its statistics. So would zeros around a crop: reflected.
    "genga-s": DiscriminatorSize(width=16, norm="layer", padding="reflect"),
    # After Sauer et al.: Projected GANs, NeurIPS 2021: heads on frozen VGG19, 0.18 M that are trained. It learns strokes from a
    # few thousand pictures (docs/log.md); use it with loss.adversarial_grayscale and spectral norm.
    "frozen-vgg19": FrozenFeatureSize(("relu1_2", "relu2_2", "relu3_2"), widths=(32, 48, 64), strides=(2, 2, 1)),
    # With a head that sees larger shapes.
    "frozen-vgg19-deep": FrozenFeatureSize(
        ("relu1_2", "relu2_2", "relu3_2", "relu4_2"), widths=(32, 48, 64, 64), strides=(2, 2, 1, 1)
    ),
    # For tests.
    "tiny": DiscriminatorSize(width=4, norm="layer", padding="reflect"),
    "frozen-tiny": FrozenFeatureSize(("relu1_1", "relu2_1"), widths=(4, 4), strides=(2, 1)),
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


def frozen_layers(name: str) -> tuple[str, ...]:
    """The VGG19 layers on which a row of `DISCRIMINATORS` has heads; () for patch discriminators and unknown names."""
    size = DISCRIMINATORS.get(name)
    return size.layers if isinstance(size, FrozenFeatureSize) else ()


def build_discriminator(
    name: str, *, norm: str | None = None, spectral: bool = False, extractor: VggFeatures | None = None
) -> nn.Module:
    """Build the discriminator of a row of `DISCRIMINATORS` with new initial weights.

    Args:
        norm: replaces the row's.
        spectral: add spectral normalization (Miyato et al. 2018) to every trained convolution.
        extractor: a VGG19 that gives the row's `frozen_layers`, where it has any.

    Raises:
        ValueError: unknown name or norm, a norm for a row that has none, or no extractor where one is needed.
    """
    if name not in DISCRIMINATORS:
        raise ValueError(f"unknown discriminator {name!r}: expected one of {', '.join(DISCRIMINATORS)}")
    size = DISCRIMINATORS[name]
    if isinstance(size, FrozenFeatureSize):
        if norm not in (None, "none"):
            raise ValueError(f"{name} has no norm, and none can be given to it: leave it null")
        if extractor is None:
            raise ValueError(f"{name} needs the VGG19 features {', '.join(size.layers)}")
        return FrozenFeatureDiscriminator(size, extractor, spectral=spectral)
    return Discriminator(size if norm is None else replace(size, norm=cast(Norm, norm)), spectral=spectral)
