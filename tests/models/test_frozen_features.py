"""The discriminator on frozen features: its parameters, its logits, and that only its heads are trained and saved."""

import pytest
import torch
from torch import nn

from models.discriminators import DISCRIMINATORS, build_discriminator, frozen_layers
from models.frozen_features import FrozenFeatureDiscriminator, FrozenFeatureSize
from models.perceptual import VGG19_LAYERS, VGG_INDEX, VGG_WIDTHS, VggFeatures
from tests.support.random_pictures import random_pictures as pictures


def extractor(name: str) -> VggFeatures:
    """A VGG19 with random weights down to what a row needs."""
    torch.manual_seed(0)
    weights, inputs = {}, 3
    for conv, index in VGG_INDEX["vgg19"].items():
        weights[f"features.{index}.weight"] = torch.randn(VGG_WIDTHS[conv], inputs, 3, 3) * (2 / (9 * inputs)) ** 0.5
        weights[f"features.{index}.bias"] = torch.zeros(VGG_WIDTHS[conv])
        inputs = VGG_WIDTHS[conv]
        if conv == "conv3_2":
            break
    return VggFeatures(weights, frozen_layers(name), dict.fromkeys(VGG19_LAYERS, 1.0))


def build(name: str, spectral: bool = False) -> FrozenFeatureDiscriminator:
    network = build_discriminator(name, spectral=spectral, extractor=extractor(name))
    assert isinstance(network, FrozenFeatureDiscriminator)
    return network


def test_its_parameters_are_those_of_the_heads() -> None:
    network = build("frozen-vgg19")
    # By hand, weights and biases of 1x1, 4x4 or 3x3, 3x3 and 1x1.
    by_hand = sum(
        inputs * width + width + (side**2 + 9) * width**2 + 2 * width + width + 1
        for inputs, width, side in ((64, 32, 4), (128, 48, 4), (256, 64, 3))
    )
    assert sum(parameter.numel() for parameter in network.parameters()) == by_hand == 182_083
    assert sum(value.numel() for value in network.state_dict().values()) == by_hand
    assert all(key.startswith("heads.") for key in build("frozen-vgg19", spectral=True).state_dict())


@pytest.mark.parametrize("name", ["frozen-vgg19", "frozen-tiny"])
@pytest.mark.parametrize("spectral", [False, True])
def test_each_head_has_logits_and_each_weight_a_gradient(name: str, spectral: bool) -> None:
    network = build(name, spectral)
    image = pictures(2, 3, 32, 48).requires_grad_()
    logits = network(image)
    expected = []
    for layer, stride in zip(network.size.layers, network.size.strides, strict=True):
        scale = stride * 2 ** (int(layer[4]) - 1)
        expected.append((2, 1, 32 // scale, 48 // scale))
    assert [tuple(head.shape) for head in logits] == expected
    torch.stack([head.square().mean() for head in logits]).sum().backward()  # type: ignore[no-untyped-call]
    weights = [parameter for parameter in network.parameters() if parameter.ndim == 4]
    assert len(weights) == 4 * len(network.size.layers)
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in weights)
    assert image.grad is not None and image.grad.abs().sum() > 0
    assert all(buffer.grad is None for buffer in network.extractor.buffers())


def test_every_input_of_a_strided_convolution_reaches_as_many_outputs() -> None:
    """With equal weights the gradient at an input counts its outputs: 3x3 by 2 would draw a grid of 4, 2 and 1."""
    strided = next(m for m in build("frozen-tiny").modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2))
    x = torch.zeros(1, 4, 16, 16, requires_grad=True)
    ones = torch.ones_like(strided.weight)
    nn.functional.conv2d(x, ones, None, strided.stride, strided.padding).sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    inner = x.grad[..., 2:-2, 2:-2]
    assert inner.min() == inner.max() > 0


def test_spectral_norm_bounds_every_convolution_of_the_heads() -> None:
    network = build("frozen-tiny", spectral=True)
    for _ in range(50):
        network(pictures(1, 3, 16, 16))
    convs = [module for module in network.heads.modules() if isinstance(module, nn.Conv2d)]
    assert len(convs) == 8
    for conv in convs:
        assert torch.linalg.matrix_norm(conv.weight.flatten(1), 2).item() == pytest.approx(1.0, abs=0.05)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="needs the VGG19 features relu1_1, relu2_1"):
        build_discriminator("frozen-tiny")
    with pytest.raises(ValueError, match="frozen-tiny has no norm"):
        build_discriminator("frozen-tiny", norm="batch", extractor=extractor("frozen-tiny"))
    with pytest.raises(ValueError, match="zip"):
        FrozenFeatureDiscriminator(FrozenFeatureSize(("relu1_1",), (4, 4), (1,)), extractor("frozen-tiny"))


def test_patch_discriminators_need_no_features() -> None:
    assert frozen_layers("cartoongan") == frozen_layers("unknown") == ()
    assert {name for name in DISCRIMINATORS if frozen_layers(name)} == {"frozen-vgg19", "frozen-vgg19-deep", "frozen-tiny"}
