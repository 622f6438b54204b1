"""Scenes of shore: animated, reproducible, the same drawing at any size."""

from __future__ import annotations

import pytest

from pipeline.sample_film import shore
from pipeline.sample_film.storyboard import Scene
from tests.support.scenes import check_scene


@pytest.mark.parametrize("scene", [shore.open_sea, shore.cat_on_wall, shore.sea_wall, shore.storm, shore.sunset])
def test_scenes_are_animated_and_reproducible(scene: Scene) -> None:
    check_scene(scene, scene.__name__)
