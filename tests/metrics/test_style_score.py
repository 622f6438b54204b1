"""The scale of the style score: its ends, its standard errors, and cases without a scale."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from models.distances import kernel, kid
from pipeline.metrics import style_score
from pipeline.metrics.style_score import Sample, Scale


def cloud(seed: int, mean: float, groups: int = 12, each: int = 3, spread: float = 0.3) -> Sample:
    """Groups of pictures; those of one group are alike."""
    rng = torch.Generator().manual_seed(seed)
    centers = mean + spread * torch.randn(groups, 1, 6, generator=rng)
    features = (centers + 0.1 * torch.randn(groups, each, 6, generator=rng)).reshape(-1, 6)
    return Sample(features, [group for group in range(groups) for _ in range(each)])


def distance(features: Tensor, film: Sample) -> float:
    return kid(*(kernel(a, b) for a, b in ((features, features), (film.features, film.features), (features, film.features))))


PHOTOS, SEEN, UNSEEN = cloud(0, 0.0), cloud(1, 1.0), cloud(2, 1.0)


def way(share: float) -> Tensor:
    return PHOTOS.features + share


def test_photos_are_nought_and_pictures_like_the_films_one() -> None:
    scale = Scale(PHOTOS, SEEN, UNSEEN)
    assert scale.usable and scale.photo > scale.film
    zero = scale.score(PHOTOS.features)
    assert zero.value == 0 and zero.error == 0 and zero.kid == scale.photo
    values = [scale.score(way(share)).value or math.nan for share in (0.25, 0.5, 0.75, 1.0)]
    assert values == sorted(values) and 0.8 < values[-1] < 1.2
    assert (scale.score(way(-0.5)).value or 0) < 0
    assert scale.score(cloud(3, 1.0).features).value == pytest.approx(1, abs=0.15)


def test_gains_rank_pictures_and_have_the_scales_ends() -> None:
    scale = Scale(PHOTOS, SEEN, UNSEEN)
    assert scale.gains(PHOTOS.features) == [0.0] * 36
    assert sum(scale.gains(way(1.0))) / 36 == pytest.approx(1, abs=0.25)
    moved = PHOTOS.features.clone()
    moved[5] += 0.8
    moved[7] -= 0.8
    gains = scale.gains(moved)
    assert max(range(36), key=gains.__getitem__) == 5 and min(range(36), key=gains.__getitem__) == 7


def test_errors_follow_groups_and_not_pictures() -> None:
    grouped = Scale(PHOTOS, SEEN, UNSEEN).score(way(0.5))
    loose = [Sample(one.features, range(len(one.features))) for one in (PHOTOS, SEEN, UNSEEN)]
    single = Scale(*loose).score(way(0.5))
    assert grouped.value == single.value and grouped.error > 1.3 * single.error > 0
    # The standard error predicts the spread over newly drawn samples.
    found = []
    for seed in range(10, 50):
        photos, seen, unseen = cloud(seed, 0.0), cloud(seed + 100, 1.0), cloud(seed + 200, 1.0)
        near = [distance(one, unseen) for one in (photos.features, photos.features + 0.5, seen.features)]
        found.append((near[0] - near[1]) / (near[0] - near[2]))
    spread = torch.tensor(found).std().item()
    assert 0.4 * spread < grouped.error < 2.5 * spread


def test_a_lead_has_a_smaller_error_than_the_scores_it_compares() -> None:
    scale = Scale(PHOTOS, SEEN, UNSEEN)
    better, worse = scale.score(way(0.6)), scale.score(way(0.4))
    lead, error = scale.lead(way(0.6), way(0.4))
    assert lead == pytest.approx((better.value or 0) - (worse.value or 0))
    assert 0 < error < min(better.error, worse.error)
    assert scale.lead(way(0.4), way(0.4)) == (0, 0)


def test_few_groups_fall_back_on_pictures() -> None:
    one_shot = Sample(UNSEEN.features, ["the one"] * 36)
    assert len(one_shot.folds()) == 36 and len(UNSEEN.folds()) == 12
    assert Scale(PHOTOS, SEEN, one_shot).score(way(0.5)).error > 0


def test_no_scale_where_photos_are_the_film_already() -> None:
    scale = Scale(cloud(5, 1.0), SEEN, UNSEEN)
    assert not scale.usable
    score = scale.score(cloud(6, 1.0).features)
    assert score.value is None and math.isfinite(score.kid)


def test_lists_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="36 pictures, 2 groups"):
        Sample(PHOTOS.features, [0, 1])
    with pytest.raises(ValueError, match="3 pictures of 36 photos"):
        Scale(PHOTOS, SEEN, UNSEEN).score(PHOTOS.features[:3])


def test_the_combined_score_is_a_harmonic_mean_that_no_single_part_can_raise() -> None:
    combined = style_score.combined_score
    assert combined(0.0, 1.0) == combined(1.0, 0.0) == 0 and combined(1.0, 1.0) == 1
    assert combined(0.5, 0.5) == 0.5 and combined(0.2, 0.8) == pytest.approx(0.32)
    assert combined(1.4, 0.5) == combined(1.0, 0.5) and combined(0.5, -0.2) == 0
    assert combined(-0.3, 0.9) == -0.3 and combined(0.9, 0.9, failed=True) == 0 and combined(-0.1, 1, True) == -0.1


def test_content_similarity_is_1_for_the_photo_and_0_for_another() -> None:
    assert style_score.content_similarity(0.0, 0.4) == 1 and style_score.content_similarity(0.4, 0.4) == 0
    assert style_score.content_similarity(0.1, 0.4) == 0.75 and style_score.content_similarity(0.0, 0.0) is None
