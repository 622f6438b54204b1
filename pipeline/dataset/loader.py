"""Training batches as a function of how many images have been seen, so that a resumed run sees what it would have seen.

Flips and sub-crops are one indexing operation on the device that holds the crops. No random generator carries state.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from models.ops.augment import CHANCES
from pipeline.core import manifest
from pipeline.dataset.crop_sets import CropSet
from pipeline.dataset.views import CropOrder, CropViews, extract_views
from pipeline.networks import process_group


class Batch(NamedTuple):
    """Pictures of one training step, each float32 N x 3 x crop x crop in [-1, 1]."""

    photo: Tensor
    anime: Tensor | None
    edge_smoothed: Tensor | None
    """edge_smoothed[i] is the edge-smoothed copy of anime[i]."""
    target: Tensor
    """target[i] is what the generator's output for photo[i] is compared with."""
    augmentation_draws: Tensor | None = None
    """Uniform numbers in [0, 1), N x 3 x CHANCES, that augment anime, edge_smoothed and the generator's output."""
    style_index: Tensor | None = None
    """For each photo the index of its style picture, int64 N; None: the anime pictures give the style."""
    view: Tensor | None = None
    """Rows and columns of the part that VGG and the discriminator see, int64 2 x view; None: all."""

    def chunk(self, count: int) -> list[Batch]:
        """Divide the pictures into `count` parts (a divisor of N) of equal size; each part has the whole `view`."""
        whole = [[field] * count if field is None or field is self.view else list(field.chunk(count)) for field in self]
        return [Batch(*fields) for fields in zip(*whole, strict=True)]

    def seen(self, pictures: Tensor) -> Tensor:
        """Cut N x 3 x crop x crop to what VGG and the discriminator see, N x 3 x view x view; unchanged if view is None."""
        if self.view is None:
            return pictures
        rows, columns = self.view.unbind()
        return pictures.index_select(2, rows).index_select(3, columns)


@dataclass(frozen=True)
class BatchLoader:
    """Batches of photos with their targets, and of anime with edge-smoothed copies; each process gets its share of a batch."""

    photo: CropSet
    anime: CropSet | None
    edge_smoothed: CropSet | None
    seed: int
    batch: int
    """Pictures in a batch, of all processes together."""
    crop_px: int
    device: torch.device
    target: CropSet | None = None
    """One for each photo; None: the photos themselves."""
    augmented: bool = False
    """Whether the discriminator's inputs are augmented."""
    discriminator_steps: int = 1
    """Discriminator steps per generator step, each with anime of its own."""
    style_pictures: int = 0
    """Number of style pictures, one of which is drawn for each photo; 0: none."""
    resize: tuple[float, float] = (1.0, 1.0)
    """As in CropOrder."""
    view_margin_px: int = 0
    """How much smaller than a crop the part is that VGG and the discriminator see; where it lies is drawn for each batch."""

    def batch_at(self, images_seen: int) -> Batch:
        """Return this process's share of the batch that follows after `images_seen` photos of all processes."""
        views = self._views("photo", self.photo, images_seen)
        photo = extract_views(self.photo.pixels, views, self.device)
        target = photo if self.target is None else extract_views(self.target.pixels, views, self.device)
        batch = self._add_anime(photo, target, images_seen, self.discriminator_steps - 1)
        return batch._replace(style_index=self._draw_styles(images_seen), view=self._draw_view(images_seen))

    def discriminator_batches(self, images_seen: int) -> Iterator[Batch]:
        """Yield batches for the discriminator's `discriminator_steps - 1` extra steps; their photos have another order."""
        for step in range(self.discriminator_steps - 1):
            start = (self.discriminator_steps - 1) * images_seen + step * self.batch
            views = self._views("photo for the discriminator", self.photo, start)
            photo = extract_views(self.photo.pixels, views, self.device)
            yield self._add_anime(photo, photo, images_seen, step)._replace(view=self._draw_view(start))

    def _add_anime(self, photo: Tensor, target: Tensor, images_seen: int, step: int) -> Batch:
        if self.anime is None:
            return Batch(photo, None, None, target)
        start = self.discriminator_steps * images_seen + step * self.batch
        views = self._views("anime", self.anime, start)
        anime, edge_smoothed = (
            None if crops is None else extract_views(crops.pixels, views, self.device)
            for crops in (self.anime, self.edge_smoothed)
        )
        return Batch(photo, anime, edge_smoothed, target, self._draw_augmentations(start))

    def _numbers(self, start: int) -> range:
        """Return the numbers of this process's pictures in the batch that begins with picture number `start`."""
        share = process_group.current().share(self.batch)
        return range(start + share.start, start + share.stop)

    def _views(self, name: str, crops: CropSet, start: int) -> CropViews:
        order = CropOrder(self.seed, name, len(crops), crops.side_px, self.crop_px, self.resize)
        numbers = self._numbers(start)
        return order.views(numbers.start, len(numbers))

    def _draw_styles(self, start: int) -> Tensor | None:
        if not self.style_pictures:
            return None
        drawn = [int(manifest.rng(self.seed, "look", n).integers(self.style_pictures)) for n in self._numbers(start)]
        return torch.tensor(drawn, device=self.device)

    def _draw_view(self, start: int) -> Tensor | None:
        if not self.view_margin_px:
            return None
        first = manifest.rng(self.seed, "part seen", start).integers(self.view_margin_px + 1, size=(2, 1))
        return torch.from_numpy(first + np.arange(self.crop_px - self.view_margin_px)).to(self.device)

    def _draw_augmentations(self, start: int) -> Tensor | None:
        if not self.augmented:
            return None
        draws = [manifest.rng(self.seed, "augment", n).random((3, CHANCES), np.float32) for n in self._numbers(start)]
        return torch.from_numpy(np.stack(draws)).to(self.device)
