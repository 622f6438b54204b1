"""Padding to the stride, and the clamp that lets gradients through."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.layers import CLAMP_LEAK, LayerNorm, leaky_clamp, make_norm, pad_to_stride
from tests.support.random_pictures import random_pictures as pictures


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


def test_leaky_clamp_is_exact_and_lets_pixels_back() -> None:
    x = torch.tensor([-1.7, -1.0, -0.3, 0.0, 0.9, 1.0, 2.5], requires_grad=True)
    out = leaky_clamp(x)
    assert torch.equal(out, x.clamp(-1, 1))
    out.sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    assert torch.allclose(x.grad, torch.tensor([CLAMP_LEAK, 1, 1, 1, 1, 1, CLAMP_LEAK]))


def test_layer_norm_as_a_gpu_computes_it_is_the_group_norm_of_one_group() -> None:
    norm = make_norm("layer", 5)
    assert isinstance(norm, LayerNorm)
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2)
        norm.bias.uniform_(-1, 1)
    x = pictures(3, 5, 7, 9) * 4 + 3
    assert torch.allclose(norm.by_reductions(x), norm(x), atol=1e-5)
    assert torch.allclose(norm.by_reductions(x.bfloat16()), norm(x.bfloat16().float()), atol=1e-5)
