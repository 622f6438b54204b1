"""Scenes of countryside: animated, reproducible, the same drawing at any size."""

from __future__ import annotations

import pytest

from pipeline.sample_film import countryside
from pipeline.sample_film.storyboard import Scene
from tests.support.scenes import check_scene


@pytest.mark.parametrize("scene", [countryside.slope, countryside.forest, countryside.last_hill])
def test_scenes_are_animated_and_reproducible(scene: Scene) -> None:
    check_scene(scene, scene.__name__)
