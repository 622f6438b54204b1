"""A discriminator on frozen VGG features, of which only small heads are trained.

The features come from a network that already knows pictures, so a few thousand of them teach strokes, where a discriminator
trained from scratch needs hundreds of thousands (Sauer et al.: Projected GANs Converge Faster, NeurIPS 2021). Shallow layers
see strokes and not subjects. In grayscale (loss.adversarial_grayscale) color cannot be used to fool it either.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn
from torch.nn.utils import parametrizations

from models.layers import LEAKY_SLOPE
from models.perceptual import VGG_WIDTHS, VggFeatures


@dataclass(frozen=True)
class FrozenFeatureSize:
    """The numbers of one discriminator on frozen VGG19 features: layers, and the head on each."""

    layers: tuple[str, ...]
    """Names of VGG19 layers, each with a head."""
    widths: tuple[int, ...]
    """Channels of each head."""
    strides: tuple[int, ...]
    """Stride of each head's first spatial convolution, 1 or 2. Shallow layers are large: 2 there saves time."""


class FrozenFeatureDiscriminator(nn.Module):
    """A head on each layer of frozen features: convolutions 1x1, 3x3 (4x4 where strided), 3x3 and 1x1, LeakyReLU 0.2 between.

    Sauer et al. mix features across channels and scales by random projections; with shallow layers of one network heads alone
    are enough (docs/log.md). The frozen weights are buffers of `VggFeatures`: no optimizer steps them and no checkpoint holds
    them.
    """

    def __init__(self, size: FrozenFeatureSize, extractor: VggFeatures, *, spectral: bool = False) -> None:
        """Build the heads.

        Args:
            extractor: gives the features of `size.layers`; it does no I/O of its own and is not trained.
            spectral: spectral normalization (Miyato et al. 2018) of the heads' convolutions.
        """
        super().__init__()
        self.size = size
        self.extractor = extractor
        self.heads = nn.ModuleList(
            _head(VGG_WIDTHS[layer.replace("relu", "conv")], width, stride, spectral)
            for layer, width, stride in zip(size.layers, size.widths, size.strides, strict=True)
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """N x 3 x H x W RGB in [-1, 1] to the logits of each head, N x 1 x H/(s 2^b) x W/(s 2^b): high is anime. No sigmoid.

        b is the number of pools before the head's layer and s the head's stride.
        """
        return self.classify(self.extractor(image, self.size.layers))

    def classify(self, features: Mapping[str, Tensor]) -> list[Tensor]:
        """Map features that were extracted already, by layer, to the logits of each head."""
        return [cast(Tensor, head(features[layer])) for head, layer in zip(self.heads, self.size.layers, strict=True)]


def _head(inputs: int, width: int, stride: int, spectral: bool) -> nn.Sequential:
    # The stride divides the kernel's side: otherwise some inputs reach more outputs than others, and gradients draw a grid.
    spatial = nn.Conv2d(width, width, 3 if stride == 1 else 2 * stride, stride, padding=1)
    convs = [nn.Conv2d(inputs, width, 1), spatial, nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, 1, 1)]
    for conv in convs:
        # He et al. 2015 for LeakyReLU; gain 1 for the logits.
        nn.init.kaiming_normal_(conv.weight, a=LEAKY_SLOPE if conv is not convs[-1] else 1.0)
        nn.init.zeros_(cast(Tensor, conv.bias))
        if spectral:
            parametrizations.spectral_norm(conv)
    activated = [layer for conv in convs[:-1] for layer in (conv, nn.LeakyReLU(LEAKY_SLOPE, inplace=True))]
    return nn.Sequential(*activated, convs[-1])
