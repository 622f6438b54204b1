"""The decoder of VGG features: the encoder's weights are loaded, saved, checked, and never learned."""

import pytest
import torch
from torch import nn

from models.generators.table import build_generator
from models.generators.vgg_decoder import VggDecoder
from models.perceptual import VGG_INDEX, VGG_LAYERS, VGG_WIDTHS, Vgg, VggFeatures
from tests.support.random_pictures import random_pictures as pictures


def vgg_state(network: Vgg) -> dict[str, torch.Tensor]:
    """As deep as relu4_3."""
    torch.manual_seed(0)
    state, inputs = {}, 3
    for conv, index in VGG_INDEX[network].items():
        state[f"features.{index}.weight"] = nn.init.kaiming_normal_(torch.empty(VGG_WIDTHS[conv], inputs, 3, 3))
        state[f"features.{index}.bias"] = torch.full((VGG_WIDTHS[conv],), 0.1)
        inputs = VGG_WIDTHS[conv]
        if conv == "conv4_3":
            break
    return state


@pytest.mark.parametrize("network", ["vgg16", "vgg19"])
def test_the_decoder_gets_the_features_of_the_vgg_and_learns_alone(network: Vgg) -> None:
    state, scale = vgg_state(network), dict.fromkeys(VGG_LAYERS[network], 2.0)
    generator = build_generator(f"{network}-decoder")
    assert isinstance(generator, VggDecoder)
    photo = pictures(1, 3, 32, 32)
    before = generator(photo)
    assert (before == before[0, 0, 0, 0]).all(), "without weights its features are 0"
    generator.load_encoder(state, scale)
    seen: list[torch.Tensor] = []
    generator.decoder.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    generator(photo).square().mean().backward()
    torch.testing.assert_close(seen[0], VggFeatures(state, ["relu4_3"], scale, network)(photo)["relu4_3"])
    assert seen[0].shape == (1, 512, 4, 4)
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in generator.parameters())
    assert [name for name, _ in generator.named_parameters() if "encoder" in name] == []
    again = build_generator(f"{network}-decoder")
    again.load_state_dict(generator.state_dict())
    assert torch.equal(again(photo), generator(photo)), "a file is complete"


def test_the_decoder_refuses_other_weights_and_norms() -> None:
    generator = build_generator("vgg16-decoder")
    assert isinstance(generator, VggDecoder)
    with pytest.raises(ValueError, match=r"VGG16 weights lack features\.17\.weight"):
        generator.load_encoder(vgg_state("vgg19"), dict.fromkeys(VGG_LAYERS["vgg19"], 1.0))
    with pytest.raises(ValueError, match="has no norm"):
        build_generator("vgg16-decoder", norm="batch")
