"""Segments on disk: kept for the same work, deleted for other work, and only if they are whole."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from pipeline.film.segments import INDEX, SegmentStore, frame_digest
from pipeline.media.images import Picture
from tests.conftest import scene


def fill(folder: Path, count: int, drawing: Picture | None = None) -> SegmentStore:
    store = SegmentStore(folder, "work")
    for number in range(count):
        store.partial.write_bytes(b"x" * (10 + number))
        store.finish(number, [2 * number, 2 * number + 1], scene(number, 8, 6), drawing)
    return store


def test_segments_are_found_again(tmp_path: Path) -> None:
    written = fill(tmp_path / "parts", 3)
    store = SegmentStore(tmp_path / "parts", "work")
    assert store.segments == written.segments and store.frame_count == 6
    assert [store.path(segment).name for segment in store.segments] == ["000000.nut", "000001.nut", "000002.nut"]
    assert store.segments[1].last_frame == frame_digest(scene(1, 8, 6)) != frame_digest(scene(2, 8, 6))
    assert not store.partial.exists()


def test_other_work_starts_from_nothing(tmp_path: Path) -> None:
    fill(tmp_path / "parts", 2)
    store = SegmentStore(tmp_path / "parts", "other work")
    assert store.segments == [] and [path.name for path in store.folder.iterdir()] == [INDEX]


def test_what_follows_a_damaged_segment_is_not_used(tmp_path: Path) -> None:
    fill(tmp_path / "parts", 4)
    (tmp_path / "parts/000002.nut").write_bytes(b"cut")
    assert [segment.number for segment in SegmentStore(tmp_path / "parts", "work").segments] == [0, 1]
    index = tmp_path / "parts" / INDEX
    index.write_text(index.read_text() + '{"number": 2, "pts": [')
    store = SegmentStore(tmp_path / "parts", "work")
    assert [segment.number for segment in store.segments] == [0, 1]
    assert len(index.read_text().splitlines()) == 3


def test_the_last_frame_and_its_drawing_are_kept_for_deflickering(tmp_path: Path) -> None:
    assert SegmentStore(tmp_path / "parts", "work").last_pair() is None
    drawing = scene(9, 8, 6)
    fill(tmp_path / "parts", 3, drawing)
    pair = SegmentStore(tmp_path / "parts", "work").last_pair()
    assert pair is not None
    np.testing.assert_array_equal(pair[0], scene(2, 8, 6))
    np.testing.assert_array_equal(pair[1], drawing)
    assert len(list((tmp_path / "parts").glob("*.npz"))) == 1


def test_a_run_killed_while_a_segment_is_finished_goes_on_from_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    drawing = scene(9, 8, 6)
    store = fill(tmp_path / "parts", 2, drawing)
    store.partial.write_bytes(b"x")
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.finish(2, [4, 5], scene(2, 8, 6), drawing)
    pair = SegmentStore(tmp_path / "parts", "work").last_pair()
    assert pair is not None
    np.testing.assert_array_equal(pair[0], scene(1, 8, 6))


def test_after_a_damaged_segment_there_is_no_pair(tmp_path: Path) -> None:
    fill(tmp_path / "parts", 3, scene(9, 8, 6))
    (tmp_path / "parts/000002.nut").write_bytes(b"cut")
    store = SegmentStore(tmp_path / "parts", "work")
    assert len(store.segments) == 2 and store.last_pair() is None
