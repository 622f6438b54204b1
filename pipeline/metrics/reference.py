"""What redrawn photos are compared with: the photos themselves and crops of the film, measured once."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.distances import lpips
from pipeline.core.manifest import Row
from pipeline.dataset import crop_files
from pipeline.dataset.evaluation_set import EvaluationSet, group_of
from pipeline.media.images import Picture
from pipeline.metrics import sharpness
from pipeline.metrics.feature_extractor import FeatureExtractor
from pipeline.metrics.style_score import Sample, Scale

MIN_PICTURES = 3
"""Photos, and film crops of either kind, without which there is no style score."""
_BATCH_PIXELS = 4 * 256 * 256


class Reference:
    """The photos, the film crops, and the scale of the style score between them.

    Style is compared at equal blur: pictures that are sharper than the softer of photos and film are blurred first.
    """

    def __init__(self, crops: EvaluationSet, weights: str, device: torch.device, project: Path = Path()) -> None:
        """Read and measure the crops.

        Args:
            weights: the parameter perceptual.weights.
            project: the folder that the paths of rows are relative to.
        """
        self.crops, self._project = crops, project
        self._extractor = FeatureExtractor(weights, device)
        self.photos = [crop_files.read_crop(row, project) for row in crops.photos]
        film = (crop_files.read_crop(row, project) for row in (*crops.unseen, *crops.seen))
        self._blur_px = sharpness.common_px(self.photos, film)
        self.unseen, self.seen = self._sample(crops.unseen), self._sample(crops.seen)
        """Style features of film crops that were not trained on, and of those that were."""
        self.scale: Scale | None = None
        """The scale of the style score; None where there are too few pictures."""
        if min(len(crops.photos), len(crops.unseen), len(crops.seen)) >= MIN_PICTURES:
            self.scale = Scale(self._sample(crops.photos), self.seen, self.unseen)
        self.photo_distance = float(np.mean(list(self._between_photos())))
        """Mean perceptual distance between two photos; 0 if there is one only."""

    def content_features(self, pictures: Sequence[Picture]) -> dict[str, Tensor]:
        """Return the features that `lpips` compares, layer -> N x C x h x w, of pictures of one size."""
        return self._extractor.content(pictures)

    def style_features(self, pictures: Sequence[Picture]) -> Tensor:
        """Return the features of the style score, N x C, of pictures of one size."""
        return self._extractor.style([sharpness.soften(picture, self._blur_px) for picture in pictures])

    def _sample(self, rows: Sequence[Row]) -> Sample:
        pictures = ([crop_files.read_crop(row, self._project) for row in rows[part]] for part in batches(rows))
        return Sample(torch.cat([self.style_features(some) for some in pictures]), [group_of(row) for row in rows])

    def _between_photos(self) -> Iterator[float]:
        """Perceptual distance of each photo from the one before it; of the first one from the last."""
        before = self.content_features(self.photos[-1:])
        for part in batches(self.crops.photos):
            found = self.content_features(self.photos[part])
            shifted = {layer: torch.cat([before[layer], values[:-1]]) for layer, values in found.items()}
            yield from lpips(found, shifted).tolist()
            before = {layer: values[-1:] for layer, values in found.items()}


def batches(rows: Sequence[Row]) -> list[slice]:
    """Divide rows of pictures of one size (at least one) into slices that a network takes at once: 4 of 256x256 each."""
    size = max(1, _BATCH_PIXELS // max(rows[0].width_px * rows[0].height_px, 1))
    return [slice(start, start + size) for start in range(0, len(rows), size)]
