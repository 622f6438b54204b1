"""How near pictures are to a film, on a scale whose ends are measured too: 0 is the photos, 1 is the film to itself."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.distances import jackknife, kernel, kid

FEW_GROUPS = 5


def content_similarity(distance: float, other: float) -> float | None:
    """The way from another photo (0) to the photo itself (1), by LPIPS; None where photos do not differ."""
    return 1 - distance / other if other > 1e-4 else None


def combined_score(style_score: float, content_similarity: float, failed: bool = False) -> float:
    """Harmonic mean of style score and content similarity: one number to choose a checkpoint by.

    Each counts up to 1 and no further. A style score below 0 is the score itself; a failure (identity, one colour) is worth no
    more than 0.
    """
    near, like = min(style_score, 1.0), min(max(content_similarity, 0.0), 1.0)
    if near <= 0 or like == 0:
        return min(near, 0.0)
    return 0.0 if failed else 2 * near * like / (near + like)


@dataclass(frozen=True)
class Sample:
    """Features of some pictures, N x D, and of which photograph or shot each is: those of one are not independent."""

    features: Tensor
    groups: Sequence[Hashable]

    def __post_init__(self) -> None:
        """Refuse lists of different lengths."""
        if len(self.groups) != len(self.features):
            raise ValueError(f"{len(self.features)} pictures, {len(self.groups)} groups")

    def folds(self) -> list[Tensor]:
        """Which pictures stay when a group is left out; where there are few groups, when a picture is."""
        names = self.groups if len(set(self.groups)) >= FEW_GROUPS else range(len(self.features))
        return [torch.tensor([other != name for other in names]) for name in dict.fromkeys(names)]


@dataclass(frozen=True)
class StyleScore:
    """A set's distance to the film and its place on the scale, each with its standard error."""

    kid: float
    kid_error: float
    value: float | None  # None where photos are as near to the film as the film is to itself
    error: float


class Scale:
    """The scale from photos to a film."""

    def __init__(self, photos: Sample, seen: Sample, unseen: Sample) -> None:
        """Take the photos, film crops that were trained on, and film crops that were not; two of each at least."""
        self._photos, self._seen, self._unseen = photos, seen, unseen
        self._unseen_kernel = kernel(unseen.features, unseen.features)
        self._photo_kernels = self._kernels(photos.features)
        self._seen_kernels = self._kernels(seen.features)
        self.photo = self._distance(self._photo_kernels)
        self.film = self._distance(self._seen_kernels)
        gap = self._errors(lambda p, v, f: self._distance(self._photo_kernels, p, v) - self._distance(self._seen_kernels, f, v))
        self.usable = self.photo - self.film > gap

    def place(self, features: Tensor) -> StyleScore:
        """Where pictures lie that were drawn from the photos, one from each, in their order."""
        if len(features) != len(self._photos.features):
            raise ValueError(f"{len(features)} pictures of {len(self._photos.features)} photos")
        kernels = self._kernels(features)

        def distance(p: Tensor | None, v: Tensor | None, f: Tensor | None) -> float:
            return self._distance(kernels, p, v)

        def value(p: Tensor | None, v: Tensor | None, f: Tensor | None) -> float:
            photo, film = self._distance(self._photo_kernels, p, v), self._distance(self._seen_kernels, f, v)
            return (photo - self._distance(kernels, p, v)) / (photo - film)

        found, error = distance(None, None, None), self._errors(distance)
        if not self.usable:
            return StyleScore(found, error, None, 0.0)
        return StyleScore(found, error, value(None, None, None), self._errors(value))

    def lead(self, ours: Tensor, theirs: Tensor) -> tuple[float, float]:
        """How much nearer one set comes than another from the same photos, and the standard error of that.

        What both share, the choice of photos and shots, drops out: the error is smaller than either's own.
        """
        first, second = self._kernels(ours), self._kernels(theirs)

        def value(p: Tensor | None, v: Tensor | None, f: Tensor | None) -> float:
            photo, film = self._distance(self._photo_kernels, p, v), self._distance(self._seen_kernels, f, v)
            return (self._distance(second, p, v) - self._distance(first, p, v)) / (photo - film)

        return value(None, None, None), self._errors(value)

    def gains(self, features: Tensor) -> list[float]:
        """How far each picture went from its own photo towards the film; 1 is as far as the film lies from the photos.

        By the function that tells the film from the photos best (the witness of Gretton et al. 2012, section 2.3).
        """

        def witness(x: Tensor) -> Tensor:
            return kernel(x, self._unseen.features).mean(1) - kernel(x, self._photos.features).mean(1)

        before, there = witness(self._photos.features), witness(self._seen.features).mean()
        way = float(there - before.mean())
        return [float(gain) / way for gain in witness(features) - before] if way > 0 else [0.0] * len(features)

    def _kernels(self, features: Tensor) -> tuple[Tensor, Tensor]:
        return kernel(features, features), kernel(features, self._unseen.features)

    def _distance(self, kernels: tuple[Tensor, Tensor], keep: Tensor | None = None, keep_unseen: Tensor | None = None) -> float:
        (within, between), unseen = kernels, self._unseen_kernel
        if keep is not None:
            within, between = within[keep][:, keep], between[keep]
        if keep_unseen is not None:
            unseen, between = unseen[keep_unseen][:, keep_unseen], between[:, keep_unseen]
        return kid(within, unseen, between)

    def _errors(self, statistic: Callable[[Tensor | None, Tensor | None, Tensor | None], float]) -> float:
        """The standard error of a statistic of photos, unseen and seen film: photographs and shots are left out by turns."""
        return jackknife(
            [
                [statistic(keep, None, None) for keep in _pairs_left(self._photos)],
                [statistic(None, keep, None) for keep in _pairs_left(self._unseen)],
                [statistic(None, None, keep) for keep in _pairs_left(self._seen)],
            ]
        )


def _pairs_left(sample: Sample) -> list[Tensor]:
    folds = sample.folds()
    return folds if all(int(keep.sum()) >= 2 for keep in folds) else []
