"""Style score and content similarity during training: what stage evaluate measures at the end, on fewer pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from models.distances import lpips
from pipeline.core.manifest import Row
from pipeline.core.stage import Numbers
from pipeline.dataset import crop_files
from pipeline.dataset.evaluation_set import EvaluationSet, group_of
from pipeline.media.images import Picture
from pipeline.metrics import sharpness
from pipeline.metrics.feature_extractor import CONTENT_LAYERS, FeatureExtractor, StyleFeatureExtractor
from pipeline.metrics.style_score import Sample, Scale, combined_score, content_similarity

T = TypeVar("T")

FEWEST = 3
_BATCH = 4


class ValidationProbe:
    """Scores a generator, whenever it is called, on photos and film crops that were measured once."""

    def __init__(self, material: EvaluationSet, weights: str, device: torch.device, project: Path = Path()) -> None:
        """Measure the photos and the film crops.

        Args:
            weights: the parameter perceptual.weights.
            project: the folder that the paths of rows are relative to.
        """
        self._content_features = FeatureExtractor(weights, CONTENT_LAYERS, device)
        self._photos = [crop_files.read_crop(row, project) for row in material.photos]
        film = (crop_files.read_crop(row, project) for row in material.unseen + material.seen)
        self._style_features = StyleFeatureExtractor(weights, sharpness.common_px(self._photos, film), device)

        def sample(rows: Sequence[Row]) -> Sample:
            pictures = ([crop_files.read_crop(row, project) for row in batch] for batch in _batches(rows))
            return Sample(torch.cat([self._features_of(batch) for batch in pictures]), [group_of(row) for row in rows])

        self._scale: Scale | None = None
        if min(len(material.photos), len(material.unseen), len(material.seen)) >= FEWEST:
            scale = Scale(sample(material.photos), sample(material.seen), sample(material.unseen))
            self._scale = scale if scale.usable else None
        self._photo_distance = float(np.mean(list(self._between_photos()))) if len(self._photos) > 1 else 0.0

    @property
    def can_score(self) -> bool:
        """Whether there are enough photos and crops for a score, and a film that differs from the photos."""
        return self._scale is not None and content_similarity(0.0, self._photo_distance) is not None

    def __call__(self, redraw: Callable[[Sequence[Picture]], Sequence[Picture]]) -> Numbers:
        """Style score, content similarity and their harmonic mean of a redrawing; those that are undefined are left out."""
        features: list[Tensor] = []
        distances: list[float] = []
        for photos in _batches(self._photos):
            drawn = redraw(photos)
            features.append(self._features_of(drawn))
            distances += lpips(self._content_features(photos), self._content_features(drawn)).tolist()
        found: Numbers = {}
        similarity = content_similarity(float(np.mean(distances)), self._photo_distance)
        if similarity is not None:
            found["content_similarity"] = similarity
        style_score = self._scale.score(torch.cat(features)).value if self._scale else None
        if style_score is not None:
            found["style_score"] = style_score
            if similarity is not None:
                found["score"] = combined_score(style_score, similarity)
        return found

    def _features_of(self, pictures: Sequence[Picture]) -> Tensor:
        return self._style_features(self._style_features.equalize_blur(pictures))

    def _between_photos(self) -> Iterator[float]:
        """Perceptual distance of each photo from the one before it."""
        last = self._content_features([self._photos[-1]])
        for photo in self._photos:
            this = self._content_features([photo])
            yield float(lpips(last, this))
            last = this


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + _BATCH] for start in range(0, len(items), _BATCH))
