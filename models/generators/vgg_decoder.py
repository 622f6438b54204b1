"""A frozen VGG as encoder, and a decoder that learns to paint from its features (the VGG decoder of 2024).

Published: VGG16's features[:23] (to relu4_3, an eighth of the resolution), then four transposed convolutions of stride 2, which
make the picture twice too large. Corrected here: the last one keeps the resolution.

Pictures in and out: float NCHW RGB in [-1, 1], any H, W >= 1.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.layers import crop_like, pad_to_stride
from models.perceptual import Normalize, Vgg, frozen_vgg_convs, load_vgg_convs

ENCODER_STRIDE = 8


@dataclass(frozen=True)
class DecoderSize:
    """The hyperparameters of one encoder and decoder."""

    encoder: Vgg
    """The network that encodes, down to relu4_3."""
    channels: tuple[int, ...]
    """Into and out of the decoder's layers, in order; three of them double the resolution, the last paints."""


class VggDecoder(nn.Module):
    """The network that a `DecoderSize` describes.

    The encoder's weights are buffers: they do not learn, and are saved with the rest, so that a file is complete. They are 0
    until `load_encoder` or `load_state_dict` sets them.
    """

    def __init__(self, size: DecoderSize) -> None:
        super().__init__()
        self.size = size
        self.normalize = Normalize()
        self.encoder = frozen_vgg_convs(size.encoder, "conv4_3")
        self.register_buffer("divisor", torch.ones(()))
        layers: list[nn.Module] = []
        for index, (before, after) in enumerate(itertools.pairwise(size.channels)):
            if index < 3:
                layers += [nn.ConvTranspose2d(before, after, 3, stride=2, padding=1, output_padding=1), nn.ReLU(inplace=True)]
            else:
                layers.append(nn.Conv2d(before, after, 3, padding=1))
        self.decoder = nn.Sequential(*layers)
        for layer in layers:
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(layer.weight)
                nn.init.zeros_(cast(Tensor, layer.bias))
        nn.init.xavier_normal_(cast(nn.Conv2d, layers[-1]).weight)

    def load_encoder(self, state_dict: Mapping[str, Tensor], scale: Mapping[str, float]) -> None:
        """Set the encoder's weights, for ImageNet-normalized RGB and in torchvision's naming.

        Args:
            scale: layer -> mean |feature| on photographs; relu4_3 is divided by it, so that the decoder's input is near 1.

        Raises:
            ValueError: a weight is missing or of another shape.
        """
        load_vgg_convs(self.encoder, self.size.encoder, state_dict)
        cast(Tensor, self.divisor).fill_(scale["relu4_3"])

    def forward(self, photo: Tensor) -> Tensor:
        """N x 3 x H x W RGB in [-1, 1], any H and W >= 1, to the same shape, range and dtype."""
        x = self.normalize(pad_to_stride(photo, ENCODER_STRIDE))
        with torch.no_grad():
            for conv, layer in self.encoder.items():
                if conv.endswith("_1") and conv != "conv1_1":
                    x = F.max_pool2d(x, 2)
                x = F.relu(layer(x))
        x = crop_like(self.decoder(x / self.divisor), photo)
        # The published sigmoid ends in [0, 1]: 2 sigmoid(x) - 1.
        return torch.tanh(0.5 * x)
