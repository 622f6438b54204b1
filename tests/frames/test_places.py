"""Pictures of the same place are distinguished from others that only share a figure."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.frames import places
from pipeline.media.images import Picture
from tests.conftest import scene


def with_figure(picture: Picture, x: int) -> Picture:
    """A figure with a face, the same in every place."""
    drawn = picture.copy()
    cv2.ellipse(drawn, (x, 250), (60, 90), 0, 0, 360, (230, 60, 60), -1)
    cv2.ellipse(drawn, (x, 250), (60, 90), 0, 0, 360, (20, 15, 25), 3)
    for offset in (-20, 20):
        cv2.circle(drawn, (x + offset, 220), 12, (255, 255, 255), -1)
        cv2.circle(drawn, (x + offset, 222), 5, (10, 10, 10), -1)
    return drawn


def wide(seed: int) -> Picture:
    return np.concatenate([scene(3 * seed + part, 640, 360) for part in range(2)], axis=1)


def test_a_place_is_known_again_from_another_view_and_with_a_figure_in_it() -> None:
    whole = wide(1)
    first = places.features(with_figure(whole[:, :640], 150))
    rng = np.random.default_rng(1)
    noisy = np.clip(whole[:, :640] + rng.normal(0, 6, (360, 640, 3)), 0, 255).astype(np.uint8)
    closer = cv2.resize(whole[60:300, 100:526], (640, 360), interpolation=cv2.INTER_LINEAR)
    for other in (noisy, with_figure(whole[:, :640], 450), whole[:, 240:880].copy(), np.asarray(closer, np.uint8)):
        assert places.same_place(first, places.features(other))


def test_places_that_share_nothing_but_a_figure_are_different() -> None:
    seen = [places.features(with_figure(scene(seed, 640, 360), 200 + 30 * seed)) for seed in range(8)]
    assert not [(a, b) for a in range(8) for b in range(a) if places.same_place(seen[a], seen[b])]


def test_an_even_area_has_no_features_and_is_no_place() -> None:
    nothing = places.features(np.full((360, 640, 3), 90, np.uint8))
    assert len(nothing) == 0 and not places.same_place(nothing, nothing)


def test_pairs_are_found_far_apart_and_in_other_sources() -> None:
    pictures = [scene(seed, 640, 360) for seed in range(30)]
    again = [with_figure(pictures[3], 300), with_figure(pictures[20], 200)]
    records = np.concatenate([places.features(picture, index) for index, picture in enumerate(pictures + again)])
    sources = [str(index) for index in range(32)]  # nobody's neighbors
    assert places.pairs(records, sources) == [(3, 30), (20, 31)]
    assert places.pairs(records[:0], []) == []


def test_features_are_written_and_read_with_their_pictures(tmp_path: Path) -> None:
    parts = [places.features(scene(seed, 320, 180)) for seed in range(3)]
    places.write(tmp_path, parts)
    read = places.read(tmp_path, 5)
    assert sorted(set(read["picture"].tolist())) == [5, 6, 7]
    assert np.array_equal(read["bits"], np.concatenate([part["bits"] for part in parts]))
    (tmp_path / places.FILE).write_bytes(b"")
    with pytest.raises(UserError, match="damaged"):
        places.read(tmp_path)
