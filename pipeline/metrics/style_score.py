"""Style score: KID of pictures to a film, on a scale where 0 is the photos and 1 is the film's distance to itself."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.distances import jackknife, kernel, kid

FEW_GROUPS = 5


def content_similarity(distance: float, distance_between_photos: float) -> float | None:
    """Turn a distance to the photo (LPIPS) into a similarity: 1 is the photo itself, 0 as far as another photo.

    Below 0 if farther; None where photos do not differ.
    """
    return 1 - distance / distance_between_photos if distance_between_photos > 1e-4 else None


def combined_score(style_score: float, content_similarity: float, failed: bool = False) -> float:
    """Harmonic mean of style score and content similarity: one number to choose a checkpoint by.

    Each counts up to 1 and no further. A style score below 0 is the score itself; a failure (identity, one color) is worth no
    more than 0.
    """
    near, like = min(style_score, 1.0), min(max(content_similarity, 0.0), 1.0)
    if near <= 0 or like == 0:
        return min(near, 0.0)
    return 0.0 if failed else 2 * near * like / (near + like)


@dataclass(frozen=True)
class Sample:
    """Features of pictures, N x D, and the photograph or shot that each comes from, within which they are not independent."""

    features: Tensor
    groups: Sequence[Hashable]

    def __post_init__(self) -> None:
        """Check that there is a group for each picture."""
        if len(self.groups) != len(self.features):
            raise ValueError(f"{len(self.features)} pictures, {len(self.groups)} groups")

    def folds(self) -> list[Tensor]:
        """Masks (bool, N) of the pictures that stay when one group is left out or, where there are few groups, one picture."""
        names = self.groups if len(set(self.groups)) >= FEW_GROUPS else range(len(self.features))
        return [torch.tensor([other != name for other in names]) for name in dict.fromkeys(names)]


@dataclass(frozen=True)
class StyleScore:
    """The distance of a set of pictures to the film (KID) and its style score, each with its standard error."""

    kid: float
    kid_error: float
    value: float | None  # None where photos are as close to the film as the film is to itself
    error: float


class Scale:
    """The scale of the style score, from photos (0) to a film (1)."""

    def __init__(self, photos: Sample, seen: Sample, unseen: Sample) -> None:
        """Measure both ends of the scale on photos and on film crops that were trained on (`seen`) and others (`unseen`).

        Raises:
            ValueError: there are fewer than two of one kind.
        """
        self._photos, self._seen, self._unseen = photos, seen, unseen
        self._unseen_kernel = kernel(unseen.features, unseen.features)
        self._photo_kernels = self._kernels(photos.features)
        self._seen_kernels = self._kernels(seen.features)
        self.photo = self._distance(self._photo_kernels)
        self.film = self._distance(self._seen_kernels)
        gap = self._errors(lambda p, v, f: self._distance(self._photo_kernels, p, v) - self._distance(self._seen_kernels, f, v))
        self.usable = self.photo - self.film > gap

    def score(self, features: Tensor) -> StyleScore:
        """Score pictures made from the photos, one from each, in their order; features are N x D.

        Raises:
            ValueError: there are not as many pictures as photos.
        """
        if len(features) != len(self._photos.features):
            raise ValueError(f"{len(features)} pictures of {len(self._photos.features)} photos")
        kernels = self._kernels(features)

        def distance(p: Tensor | None, v: Tensor | None, f: Tensor | None) -> float:
            return self._distance(kernels, p, v)

        def score(p: Tensor | None, v: Tensor | None, f: Tensor | None) -> float:
            photo, film = self._distance(self._photo_kernels, p, v), self._distance(self._seen_kernels, f, v)
            return (photo - self._distance(kernels, p, v)) / (photo - film)

        found, error = distance(None, None, None), self._errors(distance)
        if not self.usable:
            return StyleScore(found, error, None, 0.0)
        return StyleScore(found, error, score(None, None, None), self._errors(score))

    def lead(self, features: Tensor, others: Tensor) -> tuple[float, float]:
        """Style score of one set of pictures minus that of another made from the same photos, and its standard error.

        Features are N x D, in the order of the photos; meaningful only if the scale is `usable`.
        The choice of photos and shots, which both share, drops out, so the error is smaller than that of either score.
        """
        first, second = self._kernels(features), self._kernels(others)

        def difference(p: Tensor | None, v: Tensor | None, f: Tensor | None) -> float:
            photo, film = self._distance(self._photo_kernels, p, v), self._distance(self._seen_kernels, f, v)
            return (self._distance(second, p, v) - self._distance(first, p, v)) / (photo - film)

        return difference(None, None, None), self._errors(difference)

    def gains(self, features: Tensor) -> list[float]:
        """How far each picture moved from its own photo towards the film; 1 is the distance from the photos to the film.

        Measured by the witness function of Gretton et al. 2012, section 2.3, which separates film and photos best; 0 for
        all where it does not separate them. Features are N x D, one picture from each photo, in their order.
        """

        def witness(x: Tensor) -> Tensor:
            return kernel(x, self._unseen.features).mean(1) - kernel(x, self._photos.features).mean(1)

        of_photos, of_film = witness(self._photos.features), witness(self._seen.features).mean()
        gap = float(of_film - of_photos.mean())
        return [float(gain) / gap for gain in witness(features) - of_photos] if gap > 0 else [0.0] * len(features)

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
        """Jackknife standard error of a statistic of masks of photos, unseen and seen film crops; None keeps all."""
        return jackknife(
            [
                [statistic(keep, None, None) for keep in _usable_folds(self._photos)],
                [statistic(None, keep, None) for keep in _usable_folds(self._unseen)],
                [statistic(None, None, keep) for keep in _usable_folds(self._seen)],
            ]
        )


def _usable_folds(sample: Sample) -> list[Tensor]:
    folds = sample.folds()
    return folds if all(int(keep.sum()) >= 2 for keep in folds) else []
