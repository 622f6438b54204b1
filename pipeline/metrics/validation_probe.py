"""Style score and content similarity during training: what stage evaluate measures at the end, on fewer pictures."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from models.distances import lpips
from pipeline.core.stage import Numbers
from pipeline.dataset.evaluation_set import EvaluationSet
from pipeline.media.images import Picture
from pipeline.metrics.reference import Reference, batches
from pipeline.metrics.style_score import combined_score, content_similarity


class ValidationProbe:
    """Scores a generator, whenever it is called, on photos and film crops that were measured once."""

    def __init__(self, crops: EvaluationSet, weights: str, device: torch.device, project: Path = Path()) -> None:
        """Measure the photos and the film crops; the arguments are those of `Reference`."""
        self._reference = Reference(crops, weights, device, project)

    @property
    def can_score(self) -> bool:
        """Whether there are enough photos and crops for a score, and a film that differs from the photos."""
        scale, distance = self._reference.scale, self._reference.photo_distance
        return scale is not None and scale.usable and content_similarity(0.0, distance) is not None

    def __call__(self, redraw: Callable[[Sequence[Picture]], Sequence[Picture]]) -> Numbers:
        """Measure `style_score`, `content_similarity` and `score` (see `combined_score`) of redrawn photos, if defined."""
        reference = self._reference
        features, distances = [], list[float]()
        for part in batches(reference.crops.photos):
            photos = reference.photos[part]
            drawn = redraw(photos)
            features.append(reference.style_features(drawn))
            distances += lpips(reference.content_features(photos), reference.content_features(drawn)).tolist()
        found: Numbers = {}
        similarity = content_similarity(float(np.mean(distances)), reference.photo_distance)
        if similarity is not None:
            found["content_similarity"] = similarity
        style_score = reference.scale.score(torch.cat(features)).value if reference.scale else None
        if style_score is not None:
            found["style_score"] = style_score
            if similarity is not None:
                found["score"] = combined_score(style_score, similarity)
        return found
