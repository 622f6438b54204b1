"""Scenes of closeups: animated, reproducible, the same drawing at any size."""

from __future__ import annotations

import pytest

from pipeline.sample_film import closeups
from pipeline.sample_film.storyboard import Scene
from tests.support.scenes import check_scene


@pytest.mark.parametrize("scene", [closeups.her_face, closeups.his_face, closeups.wind_bell, closeups.rain_window])
def test_scenes_are_animated_and_reproducible(scene: Scene) -> None:
    check_scene(scene, scene.__name__)
