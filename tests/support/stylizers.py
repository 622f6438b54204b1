"""Stylizers without a network, for tests of what is around one."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.core.errors import UserError
from pipeline.inference.stylizer import Stylizer
from pipeline.media.images import Picture


def negative(picture: Picture) -> Picture:
    return 255 - picture


class Negative(Stylizer):
    """Returns negatives, and remembers the batches it was given."""

    def __init__(self, name: str = "negative") -> None:
        self._name = name
        self.batches: list[tuple[int, int, int]] = []
        """Number of pictures, height and width of each batch."""

    @property
    def identity(self) -> str:
        return self._name

    @property
    def count(self) -> int:
        """Number of pictures redrawn."""
        return sum(count for count, *_ in self.batches)

    def stylize_batch(self, pictures: Sequence[Picture]) -> list[Picture]:
        self.batches.append((len(pictures), *pictures[0].shape[:2]))
        return [negative(picture) for picture in pictures]


class Unchanged(Negative):
    """Returns the pictures as they are."""

    def stylize_batch(self, pictures: Sequence[Picture]) -> list[Picture]:
        return [negative(picture) for picture in super().stylize_batch(pictures)]


class Failing(Negative):
    """Fails instead of redrawing more than `limit` pictures."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def stylize_batch(self, pictures: Sequence[Picture]) -> list[Picture]:
        if self.count + len(pictures) > self._limit:
            raise UserError("out of memory")
        return super().stylize_batch(pictures)
