"""Loss terms: pure functions that return a scalar mean, float32 even under autocast; the caller multiplies by weights.

Pictures are float N x 3 x H x W RGB in [-1, 1]; features are float N x C x H x W. Logits are a tensor of any shape or, from
a discriminator with several heads, one such tensor per head, of which losses take the mean.
"""

import functools
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Form = Literal["bce", "hinge", "lsgan"]
Distance = Literal["l1", "mse"]
FeatureDistance = Literal["l1", "mse", "cosine", "patch_nce"]
Logits = Tensor | Sequence[Tensor]

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


@functools.lru_cache(maxsize=16)
def _constant(values: tuple[Any, ...], device: torch.device) -> Tensor:
    """Numbers as a float32 tensor, copied to each device once: a CUDA graph cannot copy them again in each step."""
    with torch.inference_mode(mode=False):
        return torch.tensor(values, dtype=torch.float32, device=device)


def distance_mean(a: Tensor, b: Tensor, distance: Distance) -> Tensor:
    """Mean absolute ("l1") or mean squared ("mse") difference; ValueError if shapes differ or the distance is another."""
    if a.shape != b.shape:
        raise ValueError(f"shapes {tuple(a.shape)} and {tuple(b.shape)} differ")
    if distance == "l1":
        return F.l1_loss(a.float(), b.float())
    if distance == "mse":
        return F.mse_loss(a.float(), b.float())
    raise ValueError(f"unknown distance {distance!r}: expected l1 or mse")


def content(features_out: Tensor, features_photo: Tensor, distance: FeatureDistance = "l1") -> Tensor:
    """Difference of features |F(G(p)) - F(p)|: CartoonGAN eq. 4 as a mean; "mse" is Johnson et al. 2016, eq. 2.

    "cosine" is 1 minus the cosine similarity over channels, a mean over positions: it compares which features are present and
    not how strong they are, so contrast may change. "patch_nce" is `patch_nce`.
    """
    if distance == "patch_nce":
        return patch_nce(features_out, features_photo)
    if distance != "cosine":
        return distance_mean(features_out, features_photo, distance)
    return (1.0 - F.cosine_similarity(features_out.float(), features_photo.float(), dim=1)).mean()


def patch_nce(features_out: Tensor, features_photo: Tensor, temperature: float = 0.07) -> Tensor:
    """Distinguish each position of the output from the other positions of the same photo: CUT (Park et al. 2020), eq. 4.

    On features as they are, without the paper's learned projection, which frozen features do not need to be compared.
    """
    out, photo = (F.normalize(features.float().flatten(2), dim=1) for features in (features_out, features_photo.detach()))
    with torch.autocast(out.device.type, enabled=False):
        similarity = out.mT @ photo / temperature
    positions = torch.arange(similarity.shape[1], device=similarity.device).expand(len(similarity), -1)
    return F.cross_entropy(similarity.flatten(0, 1), positions.flatten())


def gram(features: Tensor) -> Tensor:
    """Gram matrix F F^T / (C H W) of features F as C x HW: Johnson et al. 2016, eq. 3. N x C x H x W to float32 N x C x C."""
    n, c, h, w = features.shape
    # Sums of thousands of products: bfloat16 would keep two digits, float16 would overflow.
    with torch.autocast(features.device.type, enabled=False):
        flat = features.float().reshape(n, c, h * w)
        # Dividing before the product keeps the sums small.
        return (flat / (c * h * w)) @ flat.mT


def gram_distance(out: Tensor, style: Tensor, distance: Distance = "l1") -> Tensor:
    """Mean difference of Gram matrices N x C x C; "mse" is Gatys, Ecker, Bethge 2016, eq. 4, up to scale.

    `style` has as many as `out`, or one for all of them.
    """
    return distance_mean(out, style.expand_as(out) if len(style) == 1 else style, distance)


def grayscale(image: Tensor) -> Tensor:
    """Convert RGB to gray RGB: the BT.601 luma in all three channels; same shape, range and dtype."""
    luma = _constant(_LUMA, image.device).to(image.dtype).view(1, 3, 1, 1)
    return (image * luma).sum(1, keepdim=True).expand_as(image)


def total_variation(image: Tensor, distance: Distance = "l1") -> Tensor:
    """Mean difference of vertical neighbors plus that of horizontal neighbors; 0 for pictures of one pixel.

    "l1" is the anisotropic form of Rudin, Osher, Fatemi 1992: it flattens areas and keeps edges. "mse" is the squared
    form of Mahendran and Vedaldi 2015 (beta = 2) that AnimeGAN uses, which softens edges too.
    """
    down = (image[..., 1:, :], image[..., :-1, :])
    across = (image[..., :, 1:], image[..., :, :-1])
    terms = [distance_mean(a, b, distance) for a, b in (down, across) if a.numel()]
    return torch.stack(terms).sum() if terms else (image.float() * 0.0).sum()


def identity(image_out: Tensor, image: Tensor) -> Tensor:
    """Difference |G(a) - a| for a picture a of the target domain: identity loss of CycleGAN, Zhu et al. 2017, section 5.2."""
    return distance_mean(image_out, image, "l1")


def superpixel(features_out: Tensor, features_superpixels: Tensor, distance: FeatureDistance = "l1") -> Tensor:
    """Difference |F(G(p)) - F(S(G(p)))|, where S fills each superpixel with its mean color: it favors areas without texture.

    The structure loss of White-box Cartoonization, Wang and Yu 2020, section 3.2, with means for their adaptive coloring;
    no gradient flows through S(G(p)), as there.
    """
    return content(features_out, features_superpixels, distance)


def color_yuv(image: Tensor, photo: Tensor) -> Tensor:
    """L1 of Y plus Huber (delta 1) of U and of V, for RGB in [0, 1]: AnimeGAN, Chen, Liu, Chen 2020."""
    matrix = _constant(_YUV, image.device)
    with torch.autocast(image.device.type, enabled=False):
        # The conversion is linear: that of the difference is the difference of the conversions. Half, as [-1, 1] is
        # twice as wide as [0, 1].
        yuv: Tensor = torch.einsum("ij,njhw->inhw", matrix, 0.5 * (image.float() - photo.float()))
    y, u, v = yuv.unbind()
    zero = torch.zeros_like(u)
    return y.abs().mean() + F.huber_loss(u, zero) + F.huber_loss(v, zero)


def color_lab(image: Tensor, photo: Tensor) -> Tensor:
    """L1 of CIE L*a*b* (1976, white D65) in hundredths of its units, a perceptual distance, as in AnimeGANv3."""
    return distance_mean(lab(image) / 100.0, lab(photo) / 100.0, "l1")


def lab(image: Tensor) -> Tensor:
    """Convert sRGB in [-1, 1] to CIE L*a*b*, N x 3 x H x W: IEC 61966-2-1, then CIE 15, with its linear part near black."""
    with torch.autocast(image.device.type, enabled=False):
        encoded = (0.5 * (image.float() + 1.0)).clamp(0.0, 1.0)
        # Gradients flow through both branches of a `where`: neither may see values at which its derivative is infinite.
        linear = torch.where(encoded > 0.04045, ((encoded.clamp_min(0.04045) + 0.055) / 1.055).pow(2.4), encoded / 12.92)
        matrix = _constant(_XYZ, image.device)
        xyz = torch.einsum("ij,njhw->inhw", matrix, linear)
        knee = (6.0 / 29.0) ** 3
        x, y, z = torch.where(xyz > knee, xyz.clamp_min(knee).pow(1.0 / 3.0), xyz / (3.0 * (6.0 / 29.0) ** 2) + 4.0 / 29.0)
        return torch.stack([116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)], 1)


def yuv(image: Tensor) -> Tensor:
    """Convert RGB in [-1, 1] to BT.601 YUV, N x 3 x H x W: Y in [-0.5, 0.5], U and V as of RGB in [0, 1]."""
    with torch.autocast(image.device.type, enabled=False):
        converted: Tensor = torch.einsum("ij,njhw->nihw", _constant(_YUV, image.device), 0.5 * image.float())
    return converted


def area_color(image: Tensor, target: Tensor, line_px: int = 5) -> Tensor:
    """L1 of U plus L1 of V plus half that of Y between blurred pictures: areas keep the target's color, lines are free.

    Blurred by a Gaussian of 4 px, at a quarter of the resolution. A morphological closing of Y (Serra 1982) removes dark lines
    first; without it each line would have to be made up for by a bright halo beside it.

    Args:
        image: N x 3 x H x W, H and W multiples of 4 and at least 12.
        target: the same shape.
        line_px: odd; dark lines narrower than this are removed, 1: none.
    """

    def areas(picture: Tensor) -> Tensor:
        channels = yuv(picture)
        closed = torch.cat([_closing(channels[:, :1], line_px), channels[:, 1:]], 1)
        return _gaussian_blur(F.avg_pool2d(closed, 4), 0.93)  # with the means of 4 x 4 a standard deviation of 4 px

    luma, u, v = (areas(image) - areas(target)).abs().mean((0, 2, 3)).unbind()
    return u + v + 0.5 * luma


def chroma_variation(image: Tensor) -> Tensor:
    """Mean absolute difference of horizontal neighbors plus that of vertical neighbors, in U and V.

    A discriminator that sees grayscale leaves chroma free at scales below that of `area_color`, where it turns into speckles.
    """
    return total_variation(yuv(image)[:, 1:])


def flatness(photo: Tensor, threshold: float = 0.03) -> Tensor:
    """How flat a photo is at each pixel, N x 1 x H x W: 1 in clear skies and on even walls, near 0 by texture and edges.

    exp(-(s / threshold)^2), s the standard deviation of luma (0 to 1) under a Gaussian of 4 px. H and W exceed 12.
    """
    luma = yuv(photo)[:, :1]
    mean = _gaussian_blur(luma, 4.0)
    variance = _gaussian_blur(luma * luma, 4.0) - mean * mean
    return torch.exp(-variance.clamp_min(0.0) / threshold**2)


def flat_areas(image: Tensor, flat: Tensor) -> Tensor:
    """Total variation of luma (0 to 1) where the photo is flat: it keeps invented strokes out of skies and walls.

    Args:
        flat: weight of each pixel, N x 1 x H x W, as from `flatness`.
    """
    luma = yuv(image)[:, :1]
    right = flat[..., 1:] * (luma[..., 1:] - luma[..., :-1]).abs()
    down = flat[..., 1:, :] * (luma[..., 1:, :] - luma[..., :-1, :]).abs()
    return right.mean() + down.mean()


def gradient_where_textured(image: Tensor, flat: Tensor) -> Tensor:
    """Return `image` itself, and multiply its gradient by 1 - `flat` (N x 1 x H x W, as from `flatness`).

    Drawings have grain (paper, compression) even where they are flat, and a discriminator asks for it. The generator would find
    it in what flat areas of photos have, sensor noise and the 8 x 8 blocks of JPEG, and draw a grid.
    """
    return image + flat.to(image.dtype) * (image.detach() - image)


def _closing(x: Tensor, side: int) -> Tensor:
    """Gray-scale morphological closing by a square of odd `side`."""
    if side == 1:
        return x
    dilated = F.max_pool2d(x, side, 1, side // 2)
    return -F.max_pool2d(-dilated, side, 1, side // 2)


def _gaussian_blur(x: Tensor, sigma: float) -> Tensor:
    """Blur N x C x H x W by a Gaussian cut off at three sigma, borders reflected; H and W exceed that reach."""
    reach = int(3 * sigma)
    steps = torch.arange(-reach, reach + 1, dtype=x.dtype, device=x.device)
    kernel = torch.softmax(-(steps**2) / (2 * sigma**2), 0)
    channels = x.shape[1]
    x = F.pad(x, (reach,) * 4, mode="reflect")
    with torch.autocast(x.device.type, enabled=False):
        x = F.conv2d(x, kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)
        return F.conv2d(x, kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)


def discriminator_real(form: Form, logits: Logits, label_smoothing: float = 0.0) -> Tensor:
    """Discriminator loss for real pictures, whose logits should be high.

    "bce" is CartoonGAN eq. 3, on logits; "hinge" is Lim and Ye 2017, "lsgan" Mao et al. 2017 without their factor 1/2.

    Args:
        label_smoothing: s in [0, 1) makes the label 1 - s (one-sided: Salimans et al. 2016, section 3.4); hinge has no label
            and ignores it.
    """
    return torch.stack([_cost_of_real(form, head.float(), label_smoothing) for head in heads(logits)]).mean()


def discriminator_fake(form: Form, logits: Logits) -> Tensor:
    """Discriminator loss for pictures that are not real, whose logits should be low; forms as in `discriminator_real`.

    Besides generated pictures these are real ones with smoothed edges (CartoonGAN eq. 3) or in grayscale (AnimeGAN 2020).
    """
    return torch.stack([_cost_of_fake(form, head.float()) for head in heads(logits)]).mean()


def generator_adversarial(form: Form, logits_fake: Logits) -> Tensor:
    """Adversarial loss of the generator: low when the discriminator takes its output for real.

    "bce" is the non-saturating form, -log D(G(p)) (Goodfellow et al. 2014, section 3): eq. 3 of CartoonGAN itself has
    no gradient when the discriminator is sure. "hinge" is -D(G(p)) (Lim and Ye 2017), "lsgan" (D(G(p)) - 1)^2.
    """
    if form == "hinge":  # without the margin at which the discriminator's own loss stops
        return torch.stack([-head.float().mean() for head in heads(logits_fake)]).mean()
    return discriminator_real(form, logits_fake)


def relativistic(logits_higher: Logits, logits_lower: Logits) -> Tensor:
    """softplus(lower - higher): relativistic pairing GAN (Jolicoeur-Martineau 2018; R3GAN, Huang et al. 2024, eq. 2).

    The discriminator wants the logits of real pictures higher than those of generated ones, the generator the reverse.
    """
    pairs = zip(heads(logits_higher), heads(logits_lower), strict=True)
    return torch.stack([F.softplus(lower.float() - higher.float()).mean() for higher, lower in pairs]).mean()


def gradient_penalty(logits: Logits, inputs: Sequence[Tensor]) -> Tensor:
    """The mean over pictures of |dD(x)/dx|^2, D(x) the mean of x's logits (Mescheder et al. 2018, eq. 9).

    Of real pictures it is R1, of generated ones R2. Multiply by gamma / 2.

    Args:
        logits: N x ..., computed from `inputs`.
        inputs: what the discriminator was given, N x ...: pictures, or frozen features; they required gradients then.
    """
    scores = torch.stack([head.float().mean(dim=tuple(range(1, head.ndim))) for head in heads(logits)]).mean(0)
    gradients = torch.autograd.grad(scores.sum(), list(inputs), create_graph=True)
    return torch.stack([gradient.float().square().flatten(1).sum(1).mean() for gradient in gradients]).sum()


def heads(logits: Logits) -> Sequence[Tensor]:
    """The logits of each head of a discriminator; a single tensor is one head."""
    return [logits] if isinstance(logits, Tensor) else logits


def _cost_of_real(form: Form, logits: Tensor, smoothing: float) -> Tensor:
    match form:
        case "bce":
            # -(1 - s) log sigmoid(x) - s log(1 - sigmoid(x)), finite for any x.
            return F.softplus(-logits).mean() + smoothing * logits.mean()
        case "hinge":
            return F.relu(1.0 - logits).mean()
        case "lsgan":
            return (logits - (1.0 - smoothing)).square().mean()
        case _:
            raise ValueError(f"unknown adversarial form {form!r}: expected one of {', '.join(FORMS)}")


def _cost_of_fake(form: Form, logits: Tensor) -> Tensor:
    match form:
        case "bce":
            return F.softplus(logits).mean()
        case "hinge":
            return F.relu(1.0 + logits).mean()
        case "lsgan":
            return logits.square().mean()
        case _:
            raise ValueError(f"unknown adversarial form {form!r}: expected one of {', '.join(FORMS)}")
