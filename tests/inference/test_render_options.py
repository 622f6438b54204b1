"""How a drawing becomes the picture that is saved."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from pipeline.inference.render_options import GAP_PX, RenderOptions, side_by_side
from pipeline.media import arrays
from pipeline.media.images import Photo
from tests.conftest import scene

PICTURE, DRAWING = scene(1, 17, 12), 255 - scene(1, 17, 12)
PHOTO = Photo(PICTURE, None, None)


def test_by_default_the_drawing_is_saved() -> None:
    np.testing.assert_array_equal(RenderOptions().render(PHOTO, DRAWING), DRAWING)


def test_strength_blends_photo_and_drawing() -> None:
    np.testing.assert_array_equal(RenderOptions(strength=0).render(PHOTO, DRAWING), PICTURE)
    assert np.abs(RenderOptions(strength=0.5).render(PHOTO, DRAWING).astype(int) - 127.5).max() <= 1


def test_the_photo_s_colors_can_be_kept() -> None:
    result = RenderOptions(keep_color=True).render(PHOTO, DRAWING)
    np.testing.assert_array_equal(result, arrays.keep_color(PICTURE, DRAWING))


def test_photo_and_result_side_by_side() -> None:
    result = RenderOptions(side_by_side=True).render(PHOTO, DRAWING)
    assert result.shape == (12, 2 * 17 + GAP_PX, 3)
    np.testing.assert_array_equal(result[:, :17], PICTURE)
    np.testing.assert_array_equal(result[:, -17:], DRAWING)
    np.testing.assert_array_equal(result, side_by_side(PICTURE, DRAWING))


def test_transparency_is_the_photo_s() -> None:
    alpha = np.arange(12 * 17, dtype=np.uint8).reshape(12, 17)
    photo = Photo(PICTURE, alpha, None)
    np.testing.assert_array_equal(RenderOptions().render(photo, DRAWING)[..., 3], alpha)
    both = RenderOptions(side_by_side=True).render(photo, DRAWING)
    np.testing.assert_array_equal(both[:, :17, 3], alpha)
    np.testing.assert_array_equal(both[:, -17:, 3], alpha)
    assert both[:, 17:-17, 3].min() == 255


@pytest.mark.parametrize(
    ("metadata", "camera", "location"), [("keep", True, True), ("no-place", True, False), ("drop", False, False)]
)
def test_metadata(metadata: str, camera: bool, location: bool) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    exif.get_ifd(0x8825)[1] = "N"
    block = RenderOptions(metadata=metadata).exif(Photo(PICTURE, None, exif))  # type: ignore[arg-type]
    assert (block is not None) == camera
    if block is not None:
        copied = Image.Exif()
        copied.load(block)
        assert copied[0x010F] == "Camera" and (copied.get_ifd(0x8825).get(1) == "N") == location
