"""Losses against slow float64 references written from the equations."""

import colorsys
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.color import rgb2lab

from models import losses

Array = NDArray[np.float64]
shapes = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5), st.integers(1, 5))
seeds = st.integers(0, 2**32 - 1)


def tensor(shape: tuple[int, ...], seed: int, scale: float = 1.0) -> torch.Tensor:
    return torch.from_numpy(scale * np.random.default_rng(seed).uniform(-1, 1, shape)).float()


def array(t: torch.Tensor) -> Array:
    return np.asarray(t.double().numpy(), dtype=np.float64)


def slow_gram(features: Array) -> Array:
    n, c, h, w = features.shape
    out = np.zeros((n, c, c))
    for k in range(n):
        for i in range(c):
            for j in range(c):
                out[k, i, j] = sum(features[k, i, y, x] * features[k, j, y, x] for y in range(h) for x in range(w))
    out /= c * h * w
    return out


@given(shape=shapes, seed=seeds)
@settings(max_examples=30)
def test_content(shape: tuple[int, ...], seed: int) -> None:
    a, b = tensor(shape, seed, 5), tensor(shape, seed + 1, 5)
    assert float(losses.content(a, b)) == pytest.approx(np.abs(array(a) - array(b)).mean(), rel=1e-5)
    assert float(losses.content(a, b, "mse")) == pytest.approx(np.square(array(a) - array(b)).mean(), rel=1e-5)


@given(shape=shapes, seed=seeds)
@settings(max_examples=20)
def test_identity_and_superpixel(shape: tuple[int, ...], seed: int) -> None:
    a, b = tensor(shape, seed), tensor(shape, seed + 1)
    assert float(losses.identity(a, b)) == pytest.approx(np.abs(array(a) - array(b)).mean(), rel=1e-5)
    assert float(losses.identity(a, a)) == float(losses.superpixel(a, a)) == 0
    assert float(losses.superpixel(a, b)) == pytest.approx(np.abs(array(a) - array(b)).mean(), rel=1e-5)
    assert float(losses.superpixel(a, b, "mse")) == pytest.approx(np.square(array(a) - array(b)).mean(), rel=1e-5)


@given(shape=shapes, seed=seeds)
@settings(max_examples=30)
def test_gram_and_style(shape: tuple[int, ...], seed: int) -> None:
    n, c, h, w = shape
    a, b = tensor(shape, seed, 5), tensor((n, c, w + 1, h), seed + 1, 5)
    np.testing.assert_allclose(array(losses.gram(a)), slow_gram(array(a)), rtol=1e-4, atol=1e-6)
    one, other = losses.gram(a), losses.gram(b)
    difference = slow_gram(array(a)) - slow_gram(array(b))
    assert float(losses.gram_distance(one, other)) == pytest.approx(np.abs(difference).mean(), rel=1e-3, abs=1e-6)
    assert float(losses.gram_distance(one, other, "mse")) == pytest.approx(np.square(difference).mean(), rel=1e-3, abs=1e-6)
    single = slow_gram(array(a)) - slow_gram(array(b[:1]))
    assert float(losses.gram_distance(one, other[:1])) == pytest.approx(np.abs(single).mean(), rel=1e-3, abs=1e-6)


def test_gram_stays_in_float32_under_autocast() -> None:
    features = tensor((1, 8, 32, 32), 0, 300.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(losses.gram(features), losses.gram(features.float()))
        assert losses.gram(features.bfloat16()).dtype == torch.float32
        assert losses.content(features.bfloat16(), features.bfloat16()).dtype == torch.float32
        assert losses.color_yuv(features[:, :3], features[:, 3:6]).dtype == torch.float32
    np.testing.assert_allclose(array(losses.gram(features)), slow_gram(array(features)), rtol=1e-4, atol=1e-2)


def test_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(1, 3, 4, 4\) and \(1, 3, 4, 5\) differ"):
        losses.content(torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 5))
    with pytest.raises(ValueError, match="unknown distance"):
        losses.content(torch.zeros(1), torch.zeros(1), "l3")  # type: ignore[arg-type]


@given(seed=seeds)
@settings(max_examples=20)
def test_grayscale_is_the_luma_of_yiq(seed: int) -> None:
    image = tensor((1, 3, 2, 2), seed)
    out = losses.grayscale(image)
    assert out.shape == image.shape
    for y in range(2):
        for x in range(2):
            r, g, b = ((v + 1) / 2 for v in image[0, :, y, x].tolist())
            # The standard library rounds 0.299, 0.587, 0.114 to two digits.
            assert out[0, :, y, x].tolist() == pytest.approx([2 * colorsys.rgb_to_yiq(r, g, b)[0] - 1] * 3, abs=0.01)


def test_grayscale_keeps_black_gray_and_white() -> None:
    image = torch.tensor([-1.0, 0.25, 1.0]).view(3, 1, 1, 1).expand(3, 3, 2, 2)
    assert torch.allclose(losses.grayscale(image), image, atol=1e-6)


@given(shape=shapes, seed=seeds)
@settings(max_examples=30)
def test_total_variation(shape: tuple[int, ...], seed: int) -> None:
    image = tensor(shape, seed)
    for distance, power in (("l1", 1), ("mse", 2)):
        expected = 0.0
        for difference in (np.diff(array(image), axis=2), np.diff(array(image), axis=3)):
            expected += (np.abs(difference) ** power).mean() if difference.size else 0.0
        out = losses.total_variation(image, distance)  # type: ignore[arg-type]
        assert float(out) == pytest.approx(expected, rel=1e-5, abs=1e-7)


@given(seed=seeds)
@settings(max_examples=20)
def test_color_yuv(seed: int) -> None:
    a, b = tensor((2, 3, 4, 5), seed), tensor((2, 3, 4, 5), seed + 1)

    def yuv(image: Array) -> tuple[Array, Array, Array]:
        r, g, b = ((image + 1) / 2).transpose(1, 0, 2, 3)
        y = 0.299 * r + 0.587 * g + 0.114 * b
        # The definition: U and V are scaled colour differences.
        return y, 0.436 * (b - y) / (1 - 0.114), 0.615 * (r - y) / (1 - 0.299)

    (ya, ua, va), (yb, ub, vb) = yuv(array(a)), yuv(array(b))

    def huber(d: Array) -> float:
        return float(np.where(np.abs(d) <= 1, 0.5 * d * d, np.abs(d) - 0.5).mean())

    expected = np.abs(ya - yb).mean() + huber(ua - ub) + huber(va - vb)
    assert float(losses.color_yuv(a, b)) == pytest.approx(expected, rel=1e-3)
    assert float(losses.color_yuv(a, a)) == 0


@given(seed=seeds)
@settings(max_examples=20)
def test_color_lab(seed: int) -> None:
    """scikit-image's conversion, which is written from the same standards and rounds white otherwise."""
    a, b = tensor((2, 3, 4, 5), seed), tensor((2, 3, 4, 5), seed + 1)
    one, other = (rgb2lab((array(image) + 1) / 2, channel_axis=1) for image in (a, b))
    np.testing.assert_allclose(array(losses.lab(a)), one, atol=0.05)
    assert float(losses.color_lab(a, b)) == pytest.approx(np.abs(one - other).mean() / 100, rel=5e-3)


def test_lab_has_a_gradient_at_black_and_beyond() -> None:
    image = torch.tensor([-1.2, -1.0, -0.95, -0.9, 1.0]).view(1, 1, 1, 5).repeat(1, 3, 1, 1).requires_grad_()
    losses.color_lab(image, torch.zeros_like(image)).backward()  # type: ignore[no-untyped-call]
    assert image.grad is not None and image.grad.isfinite().all()
    assert (image.grad[..., 2:4].sum((0, 1)) < 0).all()


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def slow_terms(form: str, anime: Array, fake: Array, smoothing: float) -> tuple[float, float, float]:
    """(real, fake, generator) costs from their definitions."""
    if form == "bce":
        p = sigmoid(anime)
        real = -((1 - smoothing) * np.log(p) + smoothing * np.log(1 - p)).mean()
        return real, -np.log(1 - sigmoid(fake)).mean(), -np.log(sigmoid(fake)).mean()
    if form == "hinge":
        return np.maximum(0, 1 - anime).mean(), np.maximum(0, 1 + fake).mean(), -fake.mean()
    return ((anime - (1 - smoothing)) ** 2).mean(), (fake**2).mean(), ((fake - 1) ** 2).mean()


@given(form=st.sampled_from(losses.FORMS), seed=seeds, smoothing=st.sampled_from([0.0, 0.1]))
@settings(max_examples=60)
def test_adversarial_terms(form: losses.Form, seed: int, smoothing: float) -> None:
    smoothing = 0.0 if form == "hinge" else smoothing
    real, fake = tensor((2, 1, 3, 3), seed, 4), tensor((2, 1, 3, 3), seed + 1, 4)
    cost_of_real, cost_of_fake, generator = slow_terms(form, array(real), array(fake), smoothing)
    assert float(losses.discriminator_real(form, real, smoothing)) == pytest.approx(cost_of_real, rel=1e-4, abs=1e-6)
    assert float(losses.discriminator_fake(form, fake)) == pytest.approx(cost_of_fake, rel=1e-4, abs=1e-6)
    assert float(losses.generator_adversarial(form, fake)) == pytest.approx(generator, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("form", losses.FORMS)
def test_losses_of_several_heads_are_the_means_over_them(form: losses.Form) -> None:
    """Each head counts the same, however many logits it has."""
    both = [tensor((2, 1, 3, 3), 1, 4), tensor((2, 1, 6, 5), 2, 4)]
    for loss in (losses.discriminator_real, losses.discriminator_fake, losses.generator_adversarial):
        alone = [float(loss(form, head)) for head in both]
        assert float(loss(form, both)) == pytest.approx(sum(alone) / 2)
    real = tensor((2, 3, 4, 4), 3).requires_grad_()
    penalty = losses.gradient_penalty([2 * real.sum(1), real.sum(1)[:, :2, :2] * 3], [real])
    # dD/dx of D = (2 mean + 3 mean over a quarter) / 2: 1 / 16 everywhere, and 3 / 8 more in the quarter.
    assert float(penalty.detach()) == pytest.approx(3 * (12 * (1 / 16) ** 2 + 4 * (1 / 16 + 3 / 8) ** 2))


@pytest.mark.parametrize("logit", [-1e4, 1e4])
def test_bce_is_finite_for_sure_discriminators(logit: float) -> None:
    x = torch.full((1, 1, 2, 2), logit, requires_grad=True)
    total = losses.discriminator_real("bce", x) + losses.discriminator_fake("bce", x) + losses.generator_adversarial("bce", x)
    total.backward()  # type: ignore[no-untyped-call]
    assert math.isfinite(float(total.detach()))
    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("form", losses.FORMS)
def test_the_generator_is_pulled_even_when_the_discriminator_is_sure(form: losses.Form) -> None:
    x = torch.full((1, 1, 1, 1), -30.0, requires_grad=True)
    losses.generator_adversarial(form, x).backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    assert float(x.grad) <= -0.99


def test_unknown_forms_are_refused() -> None:
    for loss in (losses.discriminator_real, losses.discriminator_fake, losses.generator_adversarial):
        with pytest.raises(ValueError, match=r"unknown adversarial form 'wgan'.*bce, hinge, lsgan"):
            loss("wgan", torch.zeros(1))  # type: ignore[arg-type]


def test_cosine_content_compares_directions_and_not_lengths() -> None:
    features = tensor((2, 5, 3, 3), 0)
    assert float(losses.content(3 * features, features, "cosine")) == pytest.approx(0, abs=1e-6)
    assert float(losses.content(-features, features, "cosine")) == pytest.approx(2, abs=1e-6)
    one, other = torch.tensor([1.0, 0]).view(1, 2, 1, 1), torch.tensor([0, 1.0]).view(1, 2, 1, 1)
    assert float(losses.superpixel(one, other, "cosine")) == pytest.approx(1)


def test_yuv_of_gray_and_red() -> None:
    assert losses.yuv(torch.full((1, 3, 1, 1), 0.4)).flatten().tolist() == pytest.approx([0.2, 0, 0], abs=1e-5)
    red = torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1)
    assert losses.yuv(red).flatten().tolist() == pytest.approx([0.299 - 0.5, -0.14713, 0.615], abs=1e-4)


def test_area_color_of_a_shift_is_that_shift() -> None:
    photo = tensor((2, 3, 32, 32), 0, 0.5)
    warm = photo + torch.tensor([0.2, 0.2, 0.0]).view(1, 3, 1, 1)  # red and green up by 0.1 of [0, 1]
    y, u, v = 0.1 * 0.886, 0.1 * (0.14713 + 0.28886), 0.1 * (0.615 - 0.51499)
    assert float(losses.area_color(warm, photo)) == pytest.approx(u + v + 0.5 * y, rel=1e-3)


def test_area_color_leaves_texture_and_lines_free_and_asks_for_no_halo() -> None:
    photo = torch.zeros(1, 3, 64, 64)
    texture, area, drawn = photo.clone(), photo.clone(), photo.clone()
    texture[..., ::2, :], texture[..., 1::2, :] = 0.4, -0.4
    area[..., :32] = 0.4
    assert float(losses.area_color(texture, photo, 1)) < 1e-6
    assert float(losses.area_color(area, photo)) > 0.04
    drawn[..., 30:33] = -0.9
    halo = drawn.clone()
    halo[..., 26:30], halo[..., 33:37] = 0.3, 0.3
    assert float(losses.area_color(drawn, photo)) < 1e-6
    assert float(losses.area_color(halo, photo)) > 0.005
    assert float(losses.area_color(drawn, photo, 1)) > 0.005


def test_area_color_counts_dark_areas_wider_than_a_line_in_full() -> None:
    photo = torch.zeros(1, 3, 64, 64)
    square = photo.clone()
    square[..., 28:36, 28:36] = -0.9
    assert float(losses.area_color(square, photo, 5)) == pytest.approx(float(losses.area_color(square, photo, 1)), rel=1e-5)
    assert float(losses.area_color(square, photo, 9)) < 1e-6


def test_chroma_variation_is_that_of_a_ramp_and_none_for_black_lines() -> None:
    lines = torch.zeros(1, 3, 16, 16)
    lines[..., ::4] = -1.0
    assert float(losses.chroma_variation(lines)) < 1e-5
    ramp = torch.zeros(1, 3, 16, 16)
    ramp[:, 0] = 0.02 * torch.arange(16.0)
    assert float(losses.chroma_variation(ramp)) == pytest.approx(0.01 * (0.14713 + 0.615) / 2, rel=1e-4)


def sky_and_ground() -> torch.Tensor:
    photo = torch.zeros(1, 3, 64, 96)
    photo[..., 64:] = tensor((1, 3, 64, 32), 0)
    return photo


def test_flatness_is_1_in_skies_and_0_by_texture() -> None:
    flat = losses.flatness(sky_and_ground())
    assert flat.shape == (1, 1, 64, 96)
    assert flat[..., :50].min() > 0.99 and flat[..., 62:].max() < 0.01
    # Stripes of 0.03 of [0, 1] up and down have the threshold's standard deviation: 1 / e.
    stripes = torch.full((1, 3, 64, 64), 0.06)
    stripes[..., ::2] *= -1
    inner = losses.flatness(stripes, threshold=0.03)[..., 20:44, 20:44]
    assert float(inner.mean()) == pytest.approx(math.exp(-1), abs=0.01)


def test_flat_areas_is_total_variation_where_it_is_flat() -> None:
    ramp = (0.02 * torch.arange(40.0)).expand(1, 3, 40, 40) - 0.4  # 0.01 of [0, 1] from pixel to pixel
    assert float(losses.flat_areas(ramp, torch.ones(1, 1, 40, 40))) == pytest.approx(0.01, rel=1e-4)
    photo = sky_and_ground()
    flat = losses.flatness(photo)
    sky, ground = photo.clone(), photo.clone()
    sky[..., 20:40, 20:22] -= 0.8
    ground[..., 20:40, 80:82] -= 0.8
    before = float(losses.flat_areas(photo, flat))
    assert float(losses.flat_areas(sky, flat)) > before + 0.002
    assert float(losses.flat_areas(ground, flat)) == pytest.approx(before, abs=1e-4)


def test_gradients_reach_textured_areas_only() -> None:
    photo = sky_and_ground()
    image = tensor((1, 3, 64, 96), 2).requires_grad_()
    same = losses.gradient_where_textured(image, losses.flatness(photo))
    torch.testing.assert_close(same, image)
    same.sum().backward()  # type: ignore[no-untyped-call]
    assert image.grad is not None
    assert image.grad[..., :50].abs().max() < 0.01 and image.grad[..., 60:].min() > 0.99


def test_terms_of_areas_are_float32_under_autocast() -> None:
    picture, other = tensor((1, 3, 32, 32), 0), tensor((1, 3, 32, 32), 1)
    with torch.autocast("cpu", torch.bfloat16):
        flat = losses.flatness(picture)
        found = [losses.area_color(picture, other), losses.chroma_variation(picture), losses.flat_areas(picture, flat)]
    assert all(term.dtype == torch.float32 for term in (flat, *found))


def test_relativistic_terms_by_hand() -> None:
    """softplus(lower - higher), the mean over positions and over heads."""
    higher, lower = torch.tensor([[2.0, 0.0]]), torch.tensor([[-1.0, 0.0]])
    expected = (math.log1p(math.exp(-3)) + math.log(2)) / 2
    assert float(losses.relativistic(higher, lower)) == pytest.approx(expected, rel=1e-5)
    swapped = (math.log1p(math.exp(3)) + math.log(2)) / 2
    assert float(losses.relativistic([higher, lower], [lower, higher])) == pytest.approx((expected + swapped) / 2, rel=1e-5)


def test_a_gradient_penalty_adds_up_over_what_the_discriminator_was_given() -> None:
    """Two linear maps: each input's own slope counts."""
    one, other = torch.rand(3, 2, 4, 4).requires_grad_(), torch.rand(3, 1, 2, 2).requires_grad_()
    logits = (2.0 * one).sum(1, keepdim=True).mean((2, 3)) + 3.0 * other.mean((2, 3))
    # The slope of each of 32 values is 2 / 16, of each of 4 it is 3 / 4.
    assert float(losses.gradient_penalty(logits, [one, other]).detach()) == pytest.approx(32 / 64 + 4 * 9 / 16, rel=1e-5)


def test_patch_nce_by_hand() -> None:
    """Four positions of orthogonal features: e^(1/t) for its own against three of e^0. Swapped positions cost more."""
    features = torch.eye(4).view(1, 4, 2, 2)
    expected = -math.log(math.e**2 / (math.e**2 + 3))
    assert float(losses.patch_nce(features, features, temperature=0.5)) == pytest.approx(expected, rel=1e-5)
    swapped = features.flatten(2)[:, :, [1, 2, 3, 0]].view_as(features)
    assert float(losses.patch_nce(swapped, features, temperature=0.5)) > expected + 1
    alike = torch.ones(1, 4, 2, 2)
    assert float(losses.content(alike, alike, "patch_nce")) == pytest.approx(math.log(4), rel=1e-5)
