"""Evaluation sets: stable samples, spread over shots, of every split that is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.core import manifest
from pipeline.core.errors import UserError
from pipeline.core.manifest import Row
from pipeline.dataset import evaluation_set


def make_rows(count: int, shots: int) -> list[Row]:
    return [
        Row(id=str(index), domain="anime", source="s", width_px=8, height_px=8, shot=str(index % shots))
        for index in range(count)
    ]


def test_a_sample_depends_on_ids_alone_and_changes_little_with_the_rows() -> None:
    rows = make_rows(40, 3)
    sample = evaluation_set.draw_sample(rows, 10)
    assert evaluation_set.draw_sample(rows[::-1], 10) == sample
    fewer = evaluation_set.draw_sample([row for row in rows if row.id != sample[0].id], 10)
    assert [row for row in fewer if row in sample] == sample[1:]


def test_crops_of_new_shots_come_first() -> None:
    rows = make_rows(40, 3)
    assert {row.shot for row in evaluation_set.spread_over_shots(rows, 3)} == {"0", "1", "2"}
    assert len(evaluation_set.spread_over_shots(rows, 99)) == 40


def test_photos_are_from_val_and_film_crops_from_both_splits(data: Path) -> None:
    chosen = evaluation_set.choose(data / "split", 2, 4)
    assert (len(chosen.photos), len(chosen.unseen), len(chosen.seen)) == (2, 3, 4)
    assert {row.split for row in [*chosen.photos, *chosen.unseen]} == {"val"} and {row.split for row in chosen.seen} == {
        "train"
    }
    assert chosen == evaluation_set.choose(data / "split", 2, 4)


def test_a_split_without_crops_is_named_with_a_remedy(data: Path) -> None:
    rows = manifest.read(data / "split")
    manifest.write_by_domain(data / "split", [row for row in rows if (row.domain, row.split) != ("photo", "val")])
    with pytest.raises(UserError, match=r"no photo crops in the val split: give more photos, or another split\.val"):
        evaluation_set.choose(data / "split", 2, 4)
