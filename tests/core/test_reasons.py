"""The table of reasons fits what it refers to."""

from __future__ import annotations

from pipeline.core.reasons import REASONS
from pipeline.frames.quality import Quality
from pipeline.params.schema import Params


def test_every_limit_names_a_score_and_a_parameter(committed: Params) -> None:
    limits = [reason.limit for reason in REASONS.values() if reason.limit]
    assert len(limits) >= 9
    assert all(limit.score in Quality.__dataclass_fields__ and hasattr(committed.dedup, limit.key) for limit in limits)
    assert len({limit.key for limit in limits}) == len(limits)


def test_every_reason_is_described_and_told_apart() -> None:
    assert all(reason.title and reason.text.endswith(".") for reason in REASONS.values())
    assert len({reason.title for reason in REASONS.values()}) == len(REASONS)
