"""What holds for every scene of the sample film."""

from __future__ import annotations

import numpy as np

from pipeline.sample_film.canvas import ShotRenderer
from pipeline.sample_film.storyboard import Scene


def check_scene(scene: Scene, name: str) -> None:
    """Assert that a scene moves with time, is the same when drawn again, differs by seed, and scales with the picture."""
    draw = scene(ShotRenderer(320, 136, 1, name, 4.0))
    first, later = draw(0.5), draw(2.0)
    assert first.shape == (136, 320, 3) and first.dtype == np.uint8 and first.std() > 10
    assert np.abs(first.astype(int) - later).mean() > 0.2, "something moves"
    assert np.array_equal(scene(ShotRenderer(320, 136, 1, name, 4.0))(0.5), first)
    large = scene(ShotRenderer(640, 272, 1, name, 4.0))(0.5)
    shrunk = large.reshape(136, 2, 320, 2, 3).mean((1, 3))
    assert np.abs(shrunk - first).mean() < 6, "the same drawing at twice the size"
