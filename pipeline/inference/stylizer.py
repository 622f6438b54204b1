"""The interface that every way of running a generator implements: PyTorch, OpenVINO, ONNX Runtime."""

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Protocol

from pipeline.core.errors import UserError
from pipeline.media.images import Picture

DEFAULT_MAX_MEGAPIXELS = 200.0
BATCH_MEGAPIXELS = 1.0  # larger batches are no faster
MAX_BATCH = 16


class Stylizer(Protocol):
    """Redraws pictures with a trained generator.

    Threads may share a stylizer. Their calls run one after another, since each already uses every core.
    """

    max_megapixels: float = DEFAULT_MAX_MEGAPIXELS
    """Larger pictures are refused."""
    metadata: Mapping[str, str] = {}
    """Facts that the model's file states about itself."""

    @property
    @abstractmethod
    def identity(self) -> str:
        """Digest of the network, its weights and its arithmetic: equal digests mean equal results."""

    @abstractmethod
    def stylize_batch(self, pictures: Sequence[Picture]) -> list[Picture]:
        """Redraw pictures (uint8 RGB HxWx3) that share one size, to the same size, in order; for no pictures return [].

        Raises:
            ValueError: a picture is of another type or shape, or sizes differ.
            UserError: a picture has more than `max_megapixels`, or memory does not suffice.
        """

    def __call__(self, picture: Picture) -> Picture:
        """Redraw one picture: uint8 RGB HxWx3, any size from 1x1, to the same size.

        Raises:
            ValueError, UserError: as for `stylize_batch`.
        """
        return self.stylize_batch([picture])[0]

    def network_megapixels(self, height: int, width: int) -> float:
        """Return the megapixels that go through the network for a picture of this size."""
        return height * width / 1e6

    def prepare(self, height: int, width: int) -> None:
        """Get ready for many pictures of this size. Optional; does nothing unless a stylizer overrides it."""
        return


def check_memory(height: int, width: int, bytes_per_pixel: float, free_bytes: float) -> None:
    """Refuse a picture that would exhaust memory: the system might end the program without a word.

    Args:
        bytes_per_pixel: peak memory of the network for each pixel of the picture.
        free_bytes: memory that is free.

    Raises:
        UserError: the picture needs more than is free.
    """
    needed = height * width * bytes_per_pixel
    if needed > free_bytes:
        fitting = math.floor(math.sqrt(free_bytes / needed) * max(height, width))
        raise UserError(
            f"{width}x{height} takes up to {needed / 1e9:.1f} GB of memory in the network, and {free_bytes / 1e9:.1f} GB are "
            f"free: draw at a working size of at most {fitting} pixels (--working-px, predict.working_px), or shrink the "
            "picture"
        )


def batch_size(height: int, width: int) -> int:
    """Return how many pictures of this size are worth redrawing together: 1 to `MAX_BATCH`."""
    return max(1, min(MAX_BATCH, int(BATCH_MEGAPIXELS * 1e6 // (height * width))))
