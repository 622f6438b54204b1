"""Loss terms: pure functions that return one scalar, a mean, in float32 even under autocast. The caller weighs them.

Pictures are float N x 3 x H x W RGB in [-1, 1]; features are float N x C x H x W; logits have any shape.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Form = Literal["bce", "hinge", "lsgan"]
Distance = Literal["l1", "mse"]

FORMS: tuple[Form, ...] = ("bce", "hinge", "lsgan")

# ITU-R BT.601, analogue YUV.
_LUMA = (0.299, 0.587, 0.114)
# Linear sRGB to X, Y and Z (IEC 61966-2-1), each divided by that of white (D65).
_XYZ = tuple(
    tuple(value / white for value in row)
    for row, white in zip(
        ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505)), (0.9505, 1.0, 1.089), strict=True
    )
)
_YUV = (_LUMA, (-0.14713, -0.28886, 0.436), (0.615, -0.51499, -0.10001))


def distance_mean(a: Tensor, b: Tensor, distance: Distance) -> Tensor:
    """Mean absolute ("l1") or mean squared ("mse") difference of two tensors of one shape."""
    if a.shape != b.shape:
        raise ValueError(f"shapes {tuple(a.shape)} and {tuple(b.shape)} differ")
    if distance == "l1":
        return F.l1_loss(a.float(), b.float())
    if distance == "mse":
        return F.mse_loss(a.float(), b.float())
    raise ValueError(f"unknown distance {distance!r}: expected l1 or mse")


def content(features_out: Tensor, features_photo: Tensor, distance: Distance = "l1") -> Tensor:
    """|F(G(p)) - F(p)|: CartoonGAN eq. 4 as a mean; "mse" is feature reconstruction, Johnson et al. 2016, eq. 2."""
    return distance_mean(features_out, features_photo, distance)


def gram(features: Tensor) -> Tensor:
    """F F^T / (C H W), F the features as C x HW: Johnson et al. 2016, eq. 3. N x C x H x W to float32 N x C x C."""
    n, c, h, w = features.shape
    # Thousands of products are summed: bfloat16 would keep two digits of them, float16 overflow.
    with torch.autocast(features.device.type, enabled=False):
        flat = features.float().reshape(n, c, h * w)
        # Divided before the product, which keeps the sums small.
        return (flat / (c * h * w)) @ flat.mT


def gram_style(features_out: Tensor, features_style: Tensor, distance: Distance = "l1") -> Tensor:
    """|Gram(F(G(p))) - Gram(F(style))|, as a mean over C x C; "mse" is Gatys, Ecker, Bethge 2016, eq. 4, but for scale.

    Heights and widths may differ. The style is a batch of the same length, or a single picture for all.
    """
    return gram_distance(gram(features_out), gram(features_style), distance)


def gram_distance(out: Tensor, style: Tensor, distance: Distance = "l1") -> Tensor:
    """The same of Gram matrices, N x C x C; those of the style are as many, or one for all."""
    return distance_mean(out, style.expand_as(out) if len(style) == 1 else style, distance)


def grey(image: Tensor) -> Tensor:
    """BT.601 luma, three times: RGB to grey RGB, same shape, range and dtype.

    A Gram of grey pictures learns texture without their colours (AnimeGAN, Chen, Liu, Chen 2020).
    """
    luma = image.new_tensor(_LUMA).view(1, 3, 1, 1)
    return (image * luma).sum(1, keepdim=True).expand_as(image)


def total_variation(image: Tensor, distance: Distance = "l1") -> Tensor:
    """Mean difference of neighbours down plus across (a side of one pixel counts as 0).

    "l1" is the anisotropic form of Rudin, Osher, Fatemi 1992: it flattens fills and keeps lines. "mse" is the squared
    form of Mahendran and Vedaldi 2015 (beta = 2) that AnimeGAN uses, which softens lines too.
    """
    down = (image[..., 1:, :], image[..., :-1, :])
    across = (image[..., :, 1:], image[..., :, :-1])
    terms = [distance_mean(a, b, distance) for a, b in (down, across) if a.numel()]
    return torch.stack(terms).sum() if terms else (image.float() * 0.0).sum()


def identity(image_out: Tensor, image: Tensor) -> Tensor:
    """|G(a) - a| of a picture that has the look already: the identity term of CycleGAN, Zhu et al. 2017, section 5.2."""
    return distance_mean(image_out, image, "l1")


def region(features_out: Tensor, features_even: Tensor, distance: Distance = "l1") -> Tensor:
    """|F(G(p)) - F(S(G(p)))|, S a picture's regions in one colour each (regions.evened): it asks for areas without texture.

    The structure loss of White-box Cartoonization, Wang and Yu 2020, section 3.2, with means for their adaptive colouring;
    S(G(p)) is held fixed, as there.
    """
    return distance_mean(features_out, features_even, distance)


def color_yuv(image: Tensor, photo: Tensor) -> Tensor:
    """L1 of Y plus Huber (delta 1) of U and of V, for RGB taken to [0, 1]: AnimeGAN, Chen, Liu, Chen 2020."""
    matrix = torch.tensor(_YUV, dtype=torch.float32, device=image.device)
    with torch.autocast(image.device.type, enabled=False):
        # The conversion is linear: that of the difference is the difference of the conversions. Half, as [-1, 1] is
        # twice as wide as [0, 1].
        yuv: Tensor = torch.einsum("ij,njhw->inhw", matrix, 0.5 * (image.float() - photo.float()))
    y, u, v = yuv.unbind()
    zero = torch.zeros_like(u)
    return y.abs().mean() + F.huber_loss(u, zero) + F.huber_loss(v, zero)


def color_lab(image: Tensor, photo: Tensor) -> Tensor:
    """L1 of CIE L*a*b* (1976, white D65), in hundredths of its units: a distance as the eye sees it, as AnimeGANv3 has it."""
    return distance_mean(lab(image) / 100.0, lab(photo) / 100.0, "l1")


def lab(image: Tensor) -> Tensor:
    """sRGB in [-1, 1] to CIE L*a*b*, N x 3 x H x W: IEC 61966-2-1, then CIE 15, with its straight lines near black."""
    with torch.autocast(image.device.type, enabled=False):
        encoded = (0.5 * (image.float() + 1.0)).clamp(0.0, 1.0)
        # Both branches of a `where` pass gradients on: neither may see values at which its slope is infinite.
        linear = torch.where(encoded > 0.04045, ((encoded.clamp_min(0.04045) + 0.055) / 1.055).pow(2.4), encoded / 12.92)
        matrix = torch.tensor(_XYZ, dtype=torch.float32, device=image.device)
        xyz = torch.einsum("ij,njhw->inhw", matrix, linear)
        knee = (6.0 / 29.0) ** 3
        x, y, z = torch.where(xyz > knee, xyz.clamp_min(knee).pow(1.0 / 3.0), xyz / (3.0 * (6.0 / 29.0) ** 2) + 4.0 / 29.0)
        return torch.stack([116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)], 1)


def _toward_anime(form: Form, logits: Tensor, smoothing: float = 0.0) -> Tensor:
    """The mean cost of logits that should say anime."""
    x = logits.float()
    match form:
        case "bce":
            # -(1 - s) log sigmoid(x) - s log(1 - sigmoid(x)), finite for any x.
            return F.softplus(-x).mean() + smoothing * x.mean()
        case "hinge":
            return F.relu(1.0 - x).mean()
        case "lsgan":
            return (x - (1.0 - smoothing)).square().mean()
        case _:
            raise ValueError(f"unknown adversarial form {form!r}: expected one of {', '.join(FORMS)}")


def _away_from_anime(form: Form, logits: Tensor) -> Tensor:
    """The mean cost of logits that should say anything but anime."""
    x = logits.float()
    match form:
        case "bce":
            return F.softplus(x).mean()
        case "hinge":
            return F.relu(1.0 + x).mean()
        case "lsgan":
            return x.square().mean()
        case _:
            raise ValueError(f"unknown adversarial form {form!r}: expected one of {', '.join(FORMS)}")


def discriminator_terms(
    form: Form,
    logits_anime: Tensor,
    logits_smooth: Tensor | None,
    logits_fake: Tensor,
    *,
    logits_grey: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> dict[str, Tensor]:
    """What the discriminator pays, to be summed: "anime", "smooth", "grey", "fake"; a term without logits is left out.

    The edge-promoting loss of CartoonGAN, eq. 3, negated: anime is real, its edge-smoothed twin and the fake are not.
    AnimeGAN (2020) adds anime without colour as a third wrong. "bce" is eq. 3 as written, on logits; "hinge" is Lim and
    Ye 2017, "lsgan" Mao et al. 2017 without their factor 1/2. `label_smoothing` s makes the target of anime 1 - s
    (one-sided: Salimans et al. 2016, section 3.4); hinge has no target to smooth.
    """
    if not 0.0 <= label_smoothing < 1.0 or (label_smoothing and form == "hinge"):
        raise ValueError(f"label_smoothing {label_smoothing} with {form!r}: expected 0 <= s < 1, and 0 for hinge")
    terms = {"anime": _toward_anime(form, logits_anime, label_smoothing)}
    for name, logits in (("smooth", logits_smooth), ("grey", logits_grey), ("fake", logits_fake)):
        if logits is not None:
            terms[name] = _away_from_anime(form, logits)
    return terms


def generator_adversarial(form: Form, logits_fake: Tensor) -> Tensor:
    """What the generator pays for fakes that do not look like anime.

    "bce" is the non-saturating form, -log D(G(p)) (Goodfellow et al. 2014, section 3): eq. 3 of CartoonGAN itself has
    no gradient when the discriminator is sure. "hinge" is -D(G(p)) (Lim and Ye 2017), "lsgan" (D(G(p)) - 1)^2.
    """
    if form == "hinge":
        # Not `_toward_anime`, which stops at a margin: the generator has none.
        return -logits_fake.float().mean()
    return _toward_anime(form, logits_fake)


def gradient_penalty(logits_anime: Tensor, anime: Tensor) -> Tensor:
    """R1: the mean over pictures of |dD(x)/dx|^2, D(x) the mean of its patches' logits (Mescheder et al. 2018, eq. 9).

    `anime` must have been given to the discriminator with gradient. The caller's weight is gamma / 2.
    """
    scores = logits_anime.float().mean(dim=tuple(range(1, logits_anime.ndim)))
    (gradient,) = torch.autograd.grad(scores.sum(), anime, create_graph=True)
    return gradient.float().square().flatten(1).sum(1).mean()
