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
from pipeline.metrics.feature_extractor import LIKE_TAPS, FeatureExtractor, FilmFeatureExtractor
from pipeline.metrics.style_score import Sample, Scale, combined_score, content_similarity

T = TypeVar("T")

FEWEST = 3
_BATCH = 4


class ValidationProbe:
    """Photos, a film, and the scale between them; asked again and again how far a generator has come."""

    def __init__(self, material: EvaluationSet, weights: str, device: torch.device, project: Path = Path()) -> None:
        """Measure the photos and the film once.

        Args:
            weights: as params say under perceptual.weights.
            project: the folder that rows' files are told from.
        """
        self._ruler = FeatureExtractor(weights, LIKE_TAPS, device)
        self._photos = [crop_files.read_crop(row, project) for row in material.photos]
        film = (crop_files.read_crop(row, project) for row in material.unseen + material.seen)
        self._near = FilmFeatureExtractor(weights, sharpness.common_px(self._photos, film), device)

        def sample(rows: Sequence[Row]) -> Sample:
            pictures = ([crop_files.read_crop(row, project) for row in batch] for batch in _batches(rows))
            return Sample(torch.cat([self._place(batch) for batch in pictures]), [group_of(row) for row in rows])

        self._scale: Scale | None = None
        if min(len(material.photos), len(material.unseen), len(material.seen)) >= FEWEST:
            scale = Scale(sample(material.photos), sample(material.seen), sample(material.unseen))
            self._scale = scale if scale.usable else None
        self._apart = float(np.mean(list(self._between_photos()))) if len(self._photos) > 1 else 0.0

    @property
    def can_score(self) -> bool:
        """Whether there is a score: enough photos and crops, and a film that differs from the photos."""
        return self._scale is not None and content_similarity(0.0, self._apart) is not None

    def __call__(self, redraw: Callable[[Sequence[Picture]], Sequence[Picture]]) -> Numbers:
        """Style score, content similarity and their harmonic mean of a redrawing; those that are undefined are left out."""
        near: list[Tensor] = []
        unlike: list[float] = []
        for photos in _batches(self._photos):
            drawn = redraw(photos)
            near.append(self._place(drawn))
            unlike += lpips(self._ruler(photos), self._ruler(drawn)).tolist()
        found: Numbers = {}
        similarity = content_similarity(float(np.mean(unlike)), self._apart)
        if similarity is not None:
            found["content_similarity"] = similarity
        place = self._scale.place(torch.cat(near)).value if self._scale else None
        if place is not None:
            found["style_score"] = place
            if similarity is not None:
                found["score"] = combined_score(place, similarity)
        return found

    def _place(self, pictures: Sequence[Picture]) -> Tensor:
        return self._near(self._near.level(pictures))

    def _between_photos(self) -> Iterator[float]:
        """How unlike each photo is to the one before it."""
        last = self._ruler([self._photos[-1]])
        for photo in self._photos:
            this = self._ruler([photo])
            yield float(lpips(last, this))
            last = this


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + _BATCH] for start in range(0, len(items), _BATCH))
