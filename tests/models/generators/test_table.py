"""Generators: published counts, any size, gradients everywhere, no checkerboard."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from models.generators.animegan import AnimeGan, AnimeGanSize
from models.generators.shuffle_unit import ShuffleUnit, deal
from models.generators.table import FINE_PEN, GENERATORS, TINY, Generator, GeneratorSize, build_generator
from models.generators.vgg_decoder import VggDecoder
from models.layers import CLAMP_LEAK, leaky_clamp, make_norm, pad_to_stride
from models.ops.domain_transform import fill
from models.ops.kuwahara import brush
from models.ops.xdog import draw
from models.perceptual import VGG_INDEX, VGG_TAPS, VGG_WIDTHS, Vgg, VggFeatures
from pipeline.networks import weights

RESIDUAL = {name: size for name, size in GENERATORS.items() if isinstance(size, GeneratorSize) and size.residual}


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def pictures(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize(
    ("name", "millions", "digits"),
    [
        ("cartoongan", 11.13, 2),
        ("cartoongan-bilinear", 11.13, 2),
        ("japanimation", 11.13, 2),
        ("transformernet", 1.679, 3),
        ("animegan-v2", 2.144, 3),
        ("genga-xs", 0.11, 2),
        ("genga-s", 0.42, 2),
        ("genga-m", 2.55, 2),
    ],
)
def test_parameter_count_is_the_published_one(name: str, millions: float, digits: int) -> None:
    assert round(parameters(build_generator(name)) / 1e6, digits) == millions


def test_cartoongan_convolutions_are_those_of_the_paper() -> None:
    convs = [m for m in build_generator("cartoongan").modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    # (maps out, kernel, stride), in the paper's order; the module holds stem, halvings, blocks, doublings, head.
    pairs = [(128, 3, 2), (128, 3, 1), (256, 3, 2), (256, 3, 1)]
    doublings = [(128, 3, 2), (128, 3, 1), (64, 3, 2), (64, 3, 1)]
    expected = [(64, 7, 1), *pairs, *[(256, 3, 1)] * 16, *doublings, (3, 7, 1)]
    assert [(conv.out_channels, conv.kernel_size[0], conv.stride[0]) for conv in convs] == expected
    assert [type(conv) for conv in convs].count(nn.ConvTranspose2d) == 2


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (8, 9)])
def test_every_row_returns_the_size_and_range_it_got(name: str, size: tuple[int, int]) -> None:
    photo = pictures(2, 3, *size)
    out = build_generator(name)(photo)
    assert out.shape == photo.shape
    assert out.dtype == photo.dtype
    assert out.abs().max() <= 1


@given(height=st.integers(1, 40), width=st.integers(1, 40))
@settings(max_examples=40)
def test_any_size_comes_back(height: int, width: int) -> None:
    photo = pictures(1, 3, height, width)
    with torch.no_grad():
        assert build_generator("tiny")(photo).shape == photo.shape


@pytest.mark.parametrize("name", ["genga-s", "animegan-v2", "mnicnc404-light", "vgg19-decoder"])
@torch.no_grad()
def test_large_odd_size_comes_back_in_channels_last(name: str) -> None:
    """One row of each class, and of each kind of block."""
    photo = pictures(1, 3, 255, 257).to(memory_format=torch.channels_last)
    network = build_generator(name).to(memory_format=torch.channels_last)
    assert network(photo).shape == photo.shape


@given(height=st.integers(1, 20), width=st.integers(1, 20), stride=st.sampled_from([4, 8]))
@settings(max_examples=80)
def test_padding_keeps_the_picture_and_reflects_where_it_can(height: int, width: int, stride: int) -> None:
    photo = pictures(1, 3, height, width)
    padded = pad_to_stride(photo, stride)
    assert all(
        side >= 8 and side % stride == 0 and side - given < 8
        for side, given in zip(padded.shape[-2:], (height, width), strict=True)
    )
    assert torch.equal(padded[..., :height, :width], photo)
    for axis, given_side in ((2, height), (3, width)):
        extra = padded.shape[axis] - given_side
        first = given_side - 2 if extra < given_side else given_side - 1
        if extra:
            assert torch.equal(padded.select(axis, given_side), padded.select(axis, first))


@pytest.mark.parametrize("name", RESIDUAL)
def test_residual_rows_start_as_the_photo_brushed_filled_and_inked(name: str) -> None:
    photo, size = pictures(1, 3, 20, 20), RESIDUAL[name]
    brushed = brush(photo, torch.zeros(1, 1, 20, 20)) if size.brush else photo
    filled = brushed
    for _ in range(size.fills):
        filled = fill(filled, torch.zeros(1, 2, 20, 20))
    pens = torch.cat([torch.zeros(1, 1, 20, 20), torch.full((1, 1, 20, 20), FINE_PEN)], 1)
    drawn = draw(filled, photo, pens) if size.ink else filled
    assert torch.equal(build_generator(name)(photo), drawn)
    assert torch.equal(Generator(replace(size, ink=False))(photo), filled)
    assert torch.equal(Generator(replace(size, fills=0, ink=False))(photo), brushed)
    assert torch.equal(Generator(replace(size, brush=False, fills=0, ink=False))(photo), photo)


@pytest.mark.parametrize("norm", ["batch", "instance", "layer", "none"])
@pytest.mark.parametrize("residual", [True, False])
def test_gradients_reach_every_parameter_after_one_step(norm: str, residual: bool) -> None:
    torch.manual_seed(0)
    network = Generator(replace(TINY, norm=norm, residual=residual, blocks=2))  # type: ignore[arg-type]
    photo, target = pictures(2, 3, 16, 16), pictures(2, 3, 16, 16, seed=1)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    # A residual generator's last layer is zero: it moves first, and only then lets anything through to the others.
    (network(photo) - target).abs().mean().backward()
    optimiser.step()
    optimiser.zero_grad()
    (network(photo) - target).abs().mean().backward()
    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # A bias in front of a norm that takes the mean of its channel away is idle; rounding may or may not leave a crumb.
    idle = {"batch", "instance"}
    assert [name for name in still if not (norm in idle and name.endswith("bias"))] == []


@pytest.mark.parametrize("name", ["cartoongan", "japanimation", "transformernet", "mnicnc404-light", "animegan-v2"])
def test_gradients_reach_every_weight_of_published_rows(name: str) -> None:
    torch.manual_seed(0)
    network = build_generator(name)
    network(pictures(1, 3, 16, 16)).square().mean().backward()
    weights = [p for p in network.parameters() if p.ndim == 4]
    assert len(weights) > 10
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in weights)


@pytest.mark.parametrize("norm", ["instance", "none"])
@pytest.mark.parametrize("name", ["genga-s", "genga-m", "tiny"])
def test_a_flat_colour_stays_flat(name: str, norm: str) -> None:
    """No checkerboard and no frame: equal neighbourhoods give equal pixels, whatever the weights."""
    torch.manual_seed(0)
    network = build_generator(name, norm=norm)
    for parameter in network.parameters():
        # Biases and the last layer too, which start at zero.
        nn.init.normal_(parameter, std=0.05)
    photo = torch.tensor([0.2, -0.3, 0.1]).view(1, 3, 1, 1).expand(1, 3, 32, 32)
    with torch.no_grad():
        out = network(photo)
    assert (out - photo).abs().max() > 1e-3
    # A hundredth of an 8-bit level: instance norm divides rounding by the root of its epsilon.
    assert (out.amax((2, 3)) - out.amin((2, 3))).max() < 8e-5


def test_transposed_convolutions_do_checkerboard() -> None:
    """The property above is not empty: the published upsampling fails it."""
    torch.manual_seed(0)
    network = Generator(replace(TINY, upsample="transposed", norm="none"))
    nn.init.normal_(network.head.weight, std=0.05)  # type: ignore[arg-type]
    with torch.no_grad():
        out = network(torch.full((1, 3, 32, 32), 0.2))
    assert (out.amax((2, 3)) - out.amin((2, 3))).max() > 1e-3


def test_without_norm_a_pixel_depends_on_its_neighbourhood_alone() -> None:
    torch.manual_seed(0)
    network = build_generator("tiny", norm="none")
    nn.init.normal_(network.head.weight, std=0.05)  # type: ignore[union-attr, arg-type]
    photo = pictures(1, 3, 16, 128)
    changed = photo.clone()
    changed[..., 96:] = 1.0
    with torch.no_grad():
        before, after = network(photo), network(changed)
    assert torch.equal(before[..., :48], after[..., :48])
    assert not torch.equal(before[..., 96:], after[..., 96:])


def test_the_picture_does_not_pass_through_bfloat16() -> None:
    photo = pictures(1, 3, 16, 16)
    network = build_generator("tiny")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = network(photo)
    assert torch.equal(half, network(photo))


@pytest.mark.parametrize("norm", ["layer", "instance", "batch"])
def test_gradients_reach_every_parameter_of_a_small_animegan(norm: str) -> None:
    torch.manual_seed(0)
    network = AnimeGan(AnimeGanSize(width=4, blocks=2, expansion=2, norm=norm))  # type: ignore[arg-type]
    network(pictures(2, 3, 16, 16)).square().mean().backward()
    idle = {"batch", "instance"}  # see above: biases of single maps in front of these
    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert [name for name in still if not (norm in idle and name.endswith("3.0.bias"))] == []
    anew = AnimeGan(network.size)
    anew.load_state_dict(network.state_dict())
    anew.save_memory = True
    anew(pictures(2, 3, 16, 16)).square().mean().backward()
    for (name, one), other in zip(network.named_parameters(), anew.parameters(), strict=True):
        assert one.grad is not None and other.grad is not None
        torch.testing.assert_close(one.grad, other.grad, msg=name)


def test_animegan_keeps_a_flat_colour_flat() -> None:
    torch.manual_seed(0)
    network = AnimeGan(AnimeGanSize(width=4, blocks=2, expansion=2, norm="layer"))
    with torch.no_grad():
        out = network(torch.full((1, 3, 32, 32), 0.2))
    assert (out.amax((2, 3)) - out.amin((2, 3))).max() < 8e-5


def test_a_shuffle_unit_leaves_half_alone_and_deals() -> None:
    x = pictures(2, 6, 5, 7)
    assert torch.equal(deal(x)[:, 0::2], x[:, :3]) and torch.equal(deal(x)[:, 1::2], x[:, 3:])
    unit = ShuffleUnit(6, lambda maps: make_norm("instance", maps))
    out = unit(x)
    assert torch.equal(out[:, 0::2], x[:, :3]), "what stays"
    assert not torch.equal(out[:, 1::2], x[:, 3:]) and (out[:, 1::2] >= 0).all()


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
def test_the_decoder_sees_what_the_vgg_sees_and_learns_alone(network: Vgg) -> None:
    state, scale = vgg_state(network), dict.fromkeys(VGG_TAPS[network], 2.0)
    generator = build_generator(f"{network}-decoder")
    assert isinstance(generator, VggDecoder)
    photo = pictures(1, 3, 32, 32)
    before = generator(photo)
    assert (before == before[0, 0, 0, 0]).all(), "without weights it sees nothing"
    generator.adopt(state, scale)
    seen: list[torch.Tensor] = []
    generator.decoder.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    generator(photo).square().mean().backward()
    torch.testing.assert_close(seen[0], VggFeatures(state, ["relu4_3"], scale, network)(photo)["relu4_3"])
    assert seen[0].shape == (1, 512, 4, 4)
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in generator.parameters())
    assert [name for name, _ in generator.named_parameters() if "encoder" in name] == []
    again = build_generator(f"{network}-decoder")
    again.load_state_dict(generator.state_dict())
    assert torch.equal(again(photo), generator(photo)), "a file is whole"


def test_the_decoder_refuses_other_weights_and_norms() -> None:
    generator = build_generator("vgg16-decoder")
    assert isinstance(generator, VggDecoder)
    with pytest.raises(ValueError, match=r"VGG16 weights lack features\.17\.weight"):
        generator.adopt(vgg_state("vgg19"), dict.fromkeys(VGG_TAPS["vgg19"], 1.0))
    with pytest.raises(ValueError, match="has no norm"):
        build_generator("vgg16-decoder", norm="batch")


def test_leaky_clamp_is_exact_and_lets_pixels_back() -> None:
    x = torch.tensor([-1.7, -1.0, -0.3, 0.0, 0.9, 1.0, 2.5], requires_grad=True)
    out = leaky_clamp(x)
    assert torch.equal(out, x.clamp(-1, 1))
    out.sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    assert torch.allclose(x.grad, torch.tensor([CLAMP_LEAK, 1, 1, 1, 1, 1, CLAMP_LEAK]))


def test_a_named_norm_replaces_the_row_s() -> None:
    network = build_generator("tiny", norm="batch")
    assert sum(isinstance(m, nn.BatchNorm2d) for m in network.modules()) == 7
    assert not any(isinstance(m, nn.BatchNorm2d) for m in build_generator("tiny").modules())


def test_unknown_names_list_the_known() -> None:
    with pytest.raises(ValueError, match=r"unknown generator 'nope'.*cartoongan.*genga-s"):
        build_generator("nope")
    with pytest.raises(ValueError, match=r"unknown norm 'nope'.*batch.*none"):
        build_generator("tiny", norm="nope")
    with pytest.raises(ValueError, match="unknown norm"):
        make_norm("spectral", 4)  # type: ignore[arg-type]


def test_fills_may_be_others_than_the_rows_and_a_file_tells_them(tmp_path: Path) -> None:
    network = build_generator("tiny", fills=0)
    assert isinstance(network, Generator) and network.size.fills == 0
    weights.save_generator(tmp_path / "g.safetensors", network, weights.generator_metadata("tiny", None, 0))
    again, _ = weights.load_generator(tmp_path / "g.safetensors")
    assert torch.equal(again(pictures(1, 3, 16, 16)), network.eval()(pictures(1, 3, 16, 16)))
    with pytest.raises(ValueError, match="cartoongan paints anew and has no fills"):
        build_generator("cartoongan", fills=2)
