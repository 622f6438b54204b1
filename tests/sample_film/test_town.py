"""Scenes of town: animated, reproducible, the same drawing at any size."""

from __future__ import annotations

import pytest

from pipeline.sample_film import town
from pipeline.sample_film.storyboard import Scene
from tests.support.scenes import check_scene


@pytest.mark.parametrize("scene", [town.hillside_town, town.crossing, town.night_city, town.cherry])
def test_scenes_are_animated_and_reproducible(scene: Scene) -> None:
    check_scene(scene, scene.__name__)
