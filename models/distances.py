"""Distances between sets of pictures (KID, FID) and between two pictures (LPIPS), from their features, in float64."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def pooled(features: Tensor) -> Tensor:
    """Average features over positions and scale the mean to length sqrt(C): N x C x H x W to N x C.

    The direction tells what kind of structure there is; the length, how much of it and with how much contrast, which
    follows the subject. A sixteenth of each side is left out, where zeros that stand for what is outside reach in.
    """
    height, width = features.shape[2:]
    y, x = height // 16, width // 16
    means = features[:, :, y : height - y, x : width - x].double().mean((2, 3))
    lengths = means.norm(dim=1, keepdim=True).clamp_min(1e-12)
    found: Tensor = math.sqrt(means.shape[1]) * means / lengths
    return found


def kernel(a: Tensor, b: Tensor) -> Tensor:
    """(x . y / D + 1)^3 for each x of N x D and y of M x D, N x M: Binkowski, Sutherland, Arbel, Gretton 2018, section 4."""
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"expected N x D twice with one D, got {tuple(a.shape)} and {tuple(b.shape)}")
    products: Tensor = a.double() @ b.double().T
    return torch.pow(products / a.shape[1] + 1, 3)


def kid(aa: Tensor, bb: Tensor, ab: Tensor) -> float:
    """Unbiased squared maximum mean discrepancy (Gretton et al. 2012, eq. 3) of two sets, from the kernels within and between.

    0 in the mean for two sets of one kind, so it may fall below.
    The arguments are `kernel` matrices, N x N, M x M and N x M; ValueError if N or M is below 2.
    """
    return _within(aa) + _within(bb) - 2 * float(ab.double().mean())


def _within(kernels: Tensor) -> float:
    """Average a kernel matrix over pairs of different pictures."""
    n = len(kernels)
    if n < 2:
        raise ValueError(f"a set of {n} has no pairs: at least 2 pictures are needed")
    return float((kernels.double().sum() - kernels.double().diagonal().sum()) / (n * (n - 1)))


def fid(x: Tensor, y: Tensor) -> float:
    """Squared Frechet distance of the normal distributions of two sets, N x D and M x D: Heusel et al. 2017, eq. 6.

    Biased upwards, the more the fewer pictures: compare at equal numbers only, and with more pictures than features.
    ValueError if N or M is below 2.
    """
    x, y = x.double(), y.double()
    if min(len(x), len(y)) < 2:
        raise ValueError("at least 2 samples are needed")
    mean = x.mean(0) - y.mean(0)
    cov_x, cov_y = (torch.cov(part.T).reshape(part.shape[1], part.shape[1]) for part in (x, y))
    # tr (Cx Cy)^(1/2) is the sum of roots of eigenvalues of Cx^(1/2) Cy Cx^(1/2), which is symmetric.
    values, vectors = torch.linalg.eigh(cov_x)
    root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    shared = torch.linalg.eigvalsh(root @ cov_y @ root).clamp_min(0).sqrt().sum()
    return float(mean @ mean + cov_x.trace() + cov_y.trace() - 2 * shared)


def jackknife(values: Sequence[Sequence[float]]) -> float:
    """Standard error of a statistic, from its values with one group left out at a time, for one list of groups or several.

    Efron and Stein 1981. Lists are of independent samples (photographs, shots), whose variances add up; a list of fewer than
    two groups tells nothing and is passed over; 0 if all are.
    """
    variance = 0.0
    for left_out in values:
        n = len(left_out)
        if n > 1:
            mean = math.fsum(left_out) / n
            variance += (n - 1) / n * math.fsum((value - mean) ** 2 for value in left_out)
    return math.sqrt(variance)


def lpips(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> Tensor:
    """Perceptual distance of each pair of pictures, N: Zhang et al. 2018, eq. 1, without learned weights, averaged over layers.

    Each place's features (N x C x H x W, none below 0) are brought to length 1; half the squared distance is 1 minus the
    cosine, so that 0 is the same and 1 nothing in common.
    """
    layers = []
    for tap, x in a.items():
        y = b[tap]
        lengths = x.square().sum(1) * y.square().sum(1)
        # Two places that answer nothing are alike; one that does not is as unlike as can be.
        alike = torch.where(lengths > 0, (x * y).sum(1) / lengths.sqrt().clamp_min(1e-20), (x == y).all(1).float())
        layers.append((1 - alike).clamp_min(0).mean((1, 2)))
    return torch.stack(layers).mean(0)
