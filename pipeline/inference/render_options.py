"""What is made of a drawing before it is saved: blended with the photo, set beside it, given the photo's metadata."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.media import arrays, photo_metadata
from pipeline.media.images import Photo, Picture

Metadata = Literal["keep", "no-place", "drop"]

GAP_PX = 8  # between pictures side by side


@dataclass(frozen=True)
class RenderOptions:
    """How a drawing becomes the picture that is saved."""

    strength: float = 1.0
    """Opacity of the drawing over the photo, 0 to 1."""
    keep_color: bool = False
    """Combine the drawing's luma with the photo's chroma."""
    side_by_side: bool = False
    """Put the photo to the left of the result."""
    metadata: Metadata = "drop"
    """EXIF copied from the photo: all that suits a copy, all but the location, or none."""

    def render(self, photo: Photo, drawing: Picture) -> Picture:
        """Return the picture to save: uint8 RGB HxWx3, or RGBA if the photo has transparency; twice as wide if side by side."""
        if self.keep_color:
            drawing = arrays.keep_color(photo.picture, drawing)
        if self.strength != 1.0:
            drawing = arrays.blend(photo.picture, drawing, self.strength)
        result = side_by_side(photo.picture, drawing) if self.side_by_side else drawing
        if photo.alpha is None:
            return result
        alpha = photo.alpha[..., None]
        return np.dstack([result, side_by_side(alpha, alpha) if self.side_by_side else alpha])

    def exif(self, photo: Photo) -> bytes | None:
        """Return the encoded EXIF block to save with the picture; None if `metadata` is drop or nothing is left to keep."""
        return None if self.metadata == "drop" else photo_metadata.for_copy(photo.exif, self.metadata == "keep")


def side_by_side(left: Picture, right: Picture) -> Picture:
    """Join two uint8 arrays HxWxC of one height with a gap of `GAP_PX` between, dark if C is 3, else 255 (an alpha channel)."""
    gap = np.full((left.shape[0], GAP_PX, left.shape[2]), 24 if left.shape[2] == 3 else 255, np.uint8)
    return np.concatenate([left, gap, right], axis=1)
