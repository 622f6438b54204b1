"""Pictures of strangers are decoded within limits of time and memory."""

from __future__ import annotations

import io
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.core.errors import UserError
from pipeline.media import bounded, images
from tests.conftest import scene
from tests.media.test_soundness import encoded, many_scans

pytestmark = pytest.mark.slow

NAME = Path("a.png")


def test_a_picture_comes_out_as_without_limits() -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.dstack([scene(1, 640, 480), scene(2, 640, 480)[..., :1]])).save(buffer, "PNG")
    free, limited = images.read_photo(NAME, 1, buffer.getvalue()), bounded.read_photo(NAME, 1, buffer.getvalue(), 30)
    np.testing.assert_array_equal(free.picture, limited.picture)
    assert free.alpha is not None and limited.alpha is not None
    np.testing.assert_array_equal(free.alpha, limited.alpha)


def test_errors_are_those_of_decoding() -> None:
    with pytest.raises(UserError, match=r"a.png is damaged"):
        bounded.read_photo(NAME, 1, encoded("PNG")[:-30], 30)
    with pytest.raises(UserError, match=r"over the limit of 0.001"):
        bounded.read_photo(NAME, 0.001, encoded("PNG"), 30)


def test_a_picture_that_takes_too_long_is_given_up() -> None:
    bomb = many_scans(2000, 400)  # few enough to be tried
    bounded.read_photo(NAME, 1, encoded("PNG"), 60)  # the processes' server is up
    start = time.monotonic()
    with pytest.raises(UserError, match=r"takes more than 0.5 s to decode"):
        bounded.read_photo(NAME, 10, bomb, 0.5)
    assert time.monotonic() - start < 10


def test_a_picture_that_takes_too_much_memory_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "_BYTES_PER_PIXEL", 0)
    monkeypatch.setattr(bounded, "_BASE_MB", 100)
    with pytest.raises(UserError, match=r"in 100 MB|is damaged"):
        bounded.read_photo(NAME, 200, encoded("PNG", 6_000), 60)
