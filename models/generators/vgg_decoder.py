"""A frozen VGG as encoder, and a decoder that learns to paint from what it sees (the VGG decoder of 2024).

Published: VGG16's features[:23] (to relu4_3, an eighth of the resolution), then four transposed convolutions of stride 2, which
make the picture twice too large. Mended here: the last one keeps the resolution.

Pictures in and out: float NCHW RGB in [-1, 1], any H, W >= 1.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.layers import pad_to_stride
from models.perceptual import VGG_INDEX, VGG_WIDTHS, Normalise, Vgg

ENCODER_STRIDE = 8


@dataclass(frozen=True)
class DecoderSize:
    """The numbers of one encoder and decoder."""

    encoder: Vgg
    """The network that encodes, as deep as relu4_3."""
    maps: tuple[int, ...]
    """Of the decoder's layers, one after another; three of them double the resolution, the last paints."""


class VggDecoder(nn.Module):
    """The network. The encoder is no parameter: it does not learn, and is saved with the rest, so that a file is whole.

    It encodes nothing until `adopt` or `load_state_dict` has given it weights.
    """

    stride = ENCODER_STRIDE
    """What sides of a padded photo are multiples of."""

    def __init__(self, size: DecoderSize) -> None:
        super().__init__()
        self.size = size
        self.normalise = Normalise()
        self.encoder = nn.ModuleDict()
        inputs = 3
        for conv in VGG_INDEX[size.encoder]:
            outputs = VGG_WIDTHS[conv]
            self.encoder[conv] = _Frozen(inputs, outputs)
            inputs = outputs
            if conv == "conv4_3":
                break
        self.register_buffer("divisor", torch.ones(()))
        layers: list[nn.Module] = []
        for index, (before, after) in enumerate(itertools.pairwise(size.maps)):
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

    def adopt(self, state_dict: Mapping[str, Tensor], scale: Mapping[str, float]) -> None:
        """Take the encoder's weights, of torchvision's naming, for ImageNet-normalised RGB.

        Args:
            scale: mean |feature| of photographs; relu4_3 is divided by it, so that the decoder starts from values near 1.
        """
        for conv, layer in self.encoder.items():
            index = VGG_INDEX[self.size.encoder][conv]
            for name, buffer in layer.named_buffers():
                given = state_dict.get(f"features.{index}.{name}")
                if given is None or given.shape != buffer.shape:
                    raise ValueError(f"{self.size.encoder.upper()} weights lack features.{index}.{name} of its shape")
                buffer.copy_(given)
        cast(Tensor, self.divisor).fill_(scale["relu4_3"])

    def forward(self, photo: Tensor) -> Tensor:
        """N x 3 x H x W RGB in [-1, 1], any H and W >= 1, to the same shape, range and dtype."""
        height, width = photo.shape[-2:]
        return self.paint(pad_to_stride(photo, self.stride))[..., :height, :width]

    def paint(self, photo: Tensor) -> Tensor:
        """As `forward`, of a photo whose sides are multiples of `stride`."""
        x = self.normalise(photo)
        with torch.no_grad():
            for conv, layer in self.encoder.items():
                if conv.endswith("_1") and conv != "conv1_1":
                    x = F.max_pool2d(x, 2)
                x = F.relu(layer(x))
        x = self.decoder(x / cast(Tensor, self.divisor)).to(photo.dtype)
        # The published sigmoid ends in [0, 1]: 2 sigmoid(x) - 1.
        return torch.tanh(0.5 * x)


class _Frozen(nn.Module):
    """A 3x3 convolution whose weights are buffers."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(outputs, inputs, 3, 3))
        self.register_buffer("bias", torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """N x `inputs` x H x W to N x `outputs` x H x W."""
        return F.conv2d(x, cast(Tensor, self.weight), cast(Tensor, self.bias), padding=1)
