"""Facts of the data card from rows of manifests."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.manifest import Row
from pipeline.data_card import facts
from pipeline.data_card.facts import Shot


def row(name: str, **values: object) -> Row:
    return Row.model_validate({"id": name, "domain": "anime", "source": "a", "width_px": 8, "height_px": 8} | values)


@given(st.lists(st.integers()), st.integers(1, 50))
def test_spread_items_are_evenly_spaced_and_in_order(items: list[int], count: int) -> None:
    indices = facts.spread_evenly(range(len(items)), count)
    assert indices == sorted(set(indices))
    assert len(indices) == min(len(items), count)
    if indices:
        longest = max(np.diff([*indices, len(items)]))
        assert longest <= -(-len(items) // len(indices))


def test_shots_are_grouped_by_episode() -> None:
    shots = [Shot("a.s01-e01-00000", 0, 2), Shot("a.s01-e01-00001", 2, 3), Shot("a.s01-e02-00000", 0, 9)]
    rows = [
        row("1", shot="a.s01-e01-00000", time_s=1.0),
        row("2", shot="a.s01-e02-00000", time_s=4.0, reason="dark"),
    ]
    first, second = facts.list_episodes(shots, rows)
    assert (first.name, second.name) == ("s01-e01", "s01-e02")
    assert [kept for _, kept in first.shots] == [True, False]
    assert second.key_frames == [(4.0, "dark")] and not second.shots[0][1]


def test_a_picture_without_crops_has_the_reason_of_stage_crop() -> None:
    rows = [row("1"), row("2", reason="dark"), row("3")]
    pictures = facts.with_crop_reasons(rows, [row("3", parent="3", reason="flat"), row("1-00", parent="1")])
    assert [one.reason for one in pictures] == [None, "dark", "flat"]


def test_crops_left_out_by_split_are_counted_separately() -> None:
    placed = [
        row("1-00", split="train", shot="a-0"),
        row("2-00", split="val", shot="a-1"),
        row("2-01", split="val", shot="a-1", reason="near_train", duplicate_of="1-00"),
    ]
    sources = facts.list_sources({"a": "anime"}, [row("1"), row("2")], [row(one.id) for one in placed], placed, {})
    total = facts.sum_sources("anime", sources, placed)
    assert total.splits == sources[0].splits == Counter(train=1, val=1)
    assert total.crops == 3 and total.left_out == Counter(near_train=1)
    assert total.groups == Counter(train=1, val=1)


def test_unknown_reasons_come_last() -> None:
    assert facts.sort_reasons(["zebra", "flat", "dark", "flat"]) == ["dark", "flat", "zebra"]
    assert facts.describe_reason("near_duplicate") == "near-duplicate" and facts.describe_reason("too_small") == "too small"


def test_sizes_are_those_of_boxes() -> None:
    rows = [row("1", box=(0, 0, 90, 90), scores={"edge_share": 0.5}), row("2", box=(5, 5, 40, 40)), row("3")]
    sizes = facts.measure_sizes(rows)
    assert sizes.sides.tolist() == [90, 40] and sizes.edge_shares[0] == 0.5 and np.isnan(sizes.edge_shares[1])
