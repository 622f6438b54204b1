"""Pseudo-targets: lines run on the dark side of borders, specks get none, and lines bring back small shapes."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from pipeline.filters.color_transfer import ColorTransform, apply_transform
from pipeline.filters.kuwahara import kuwahara
from pipeline.filters.l0 import l0_smooth
from pipeline.filters.profile import FilterName, StyleProfile
from pipeline.filters.pseudo_target import PseudoTargetFilter, dog_lines
from pipeline.media.images import Picture
from pipeline.params.schema import Params
from tests.conftest import scene


@pytest.mark.parametrize(("left", "right"), [(60, 200), (200, 60)])
def test_a_line_lies_on_the_dark_side_of_a_border_and_nowhere_else(left: int, right: int) -> None:
    picture = np.full((48, 48, 3), left, np.uint8)
    picture[:, 24:] = right
    result = PseudoTargetFilter("none", 0, 0, 0.75)(picture).astype(int)
    changed = np.flatnonzero((result != picture).any(axis=(0, 2)))
    dark = range(20, 24) if left < right else range(24, 28)
    assert 2 <= len(changed) <= 4 and set(changed) <= set(dark)
    assert result.min() <= 0.3 * 60
    assert np.array_equal(PseudoTargetFilter("none", 0, 0, 0)(picture), picture)


def test_specks_get_no_line() -> None:
    picture = np.full((40, 40, 3), 180, np.uint8)
    picture[10:12, 10:12] = 40
    assert not dog_lines(picture).any()
    picture[20:23] = 40
    assert dog_lines(picture)[21].min() == 1


def test_abstraction_removes_small_shapes_and_lines_bring_them_back() -> None:
    face = np.full((64, 64, 3), 200, np.uint8)
    face[40:42, 14:50] = 90  # a mouth, thinner than the Kuwahara radius
    bare = PseudoTargetFilter("abstraction", 0.01, 3, 0.0)(face).astype(int)
    assert bare[41, 20:44].min() > 180
    lined = PseudoTargetFilter("abstraction", 0.01, 3, 0.75)(face).astype(int)
    assert lined[41, 20:44].max() < 100
    assert np.abs(lined - bare)[:30].max() <= 2
    flat = PseudoTargetFilter("l0", 0.01, 3, 0.0)(face).astype(int)
    assert flat[41, 20:44].max() < 110, "L0 alone keeps every shape"


def by_hand(filter: FilterName, photo: Picture) -> Picture:
    if filter == "kuwahara":
        return kuwahara(photo, 2)
    return l0_smooth(photo if filter == "l0" else kuwahara(photo, 2), 0.02)


@pytest.mark.parametrize("filter", ["l0", "abstraction", "kuwahara"])
def test_a_profile_and_params_give_filter_then_colors_then_lines(filter: FilterName, committed: Params) -> None:
    transform = ColorTransform(gamma=0.8, tint=(0.0, 4.0))
    section = committed.pseudo_targets.model_copy(update={"strength": 0.02, "radius_px": 2})
    profile = StyleProfile(filter=filter, line_strength=0.0, color_transform=transform)
    photo = scene(5, 64, 48)
    plain = PseudoTargetFilter.of_profile(profile, section)
    expected = apply_transform(by_hand(filter, photo), transform)
    assert np.array_equal(plain(photo), expected)
    lined = pickle.loads(
        pickle.dumps(PseudoTargetFilter.of_profile(profile.model_copy(update={"line_strength": 0.5}), section))
    )
    result = lined(photo)
    assert (result <= expected).all() and (result < expected).any()
