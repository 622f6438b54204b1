"""What the review page shows: groups, scores, overrides, thumbnails."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.commands import review_state
from pipeline.commands.review_state import Review
from pipeline.core import manifest
from pipeline.core.manifest import Row
from pipeline.params.schema import Params
from tests.support.review_project import PICTURES, project

__all__ = ["project"]


def test_pictures_have_the_score_that_decided(project: Path, committed: Params) -> None:
    pictures = {one["id"]: one for one in Review(Path("data"), committed.dedup).state()["pictures"]}
    assert list(pictures) == [name for name, *_ in PICTURES]
    assert pictures["film-00002-00006000"]["score"] == f"luma_p95 12 ≤ {committed.dedup.dark_luma:g}"
    assert pictures["film-00003-00008000"]["score"].startswith("lettering 0.99 ")
    assert pictures["film-00000-00001208"]["score"] == "sharpness 20, kept picture 50"
    assert pictures["film-00000-00000208"]["score"] == "sharpness 50"


def test_an_unknown_reason_is_shown_by_its_name() -> None:
    rows = [Row(id="a", domain="anime", source="s", width_px=1, height_px=1, reason="mid_transition")]
    assert review_state.list_groups(rows)[-1] == {"name": "mid_transition", "title": "Mid transition", "text": ""}
    assert [group["name"] for group in review_state.list_groups([])][:2] == ["kept", "near_duplicate"]


def test_overrides_not_yet_applied_are_counted(project: Path) -> None:
    rows = manifest.read(Path("data/dedup"))
    kept, duplicate, *_, dropped, photo = (row.id for row in rows)
    assert review_state.count_pending(rows, {dropped: "drop", photo: "keep"}) == 0
    assert review_state.count_pending(rows, {}) == 1, "the picture dropped by hand would come back"
    assert review_state.count_pending(rows, {dropped: "keep", kept: "drop", duplicate: "keep", "gone": "drop"}) == 3


def test_the_cache_of_thumbnails_is_bounded(project: Path, committed: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(review_state, "MAX_CACHE_BYTES", 40_000)
    pictures = Review(Path("data"), committed.dedup)
    for name, *_ in PICTURES * 2:
        assert len(pictures.picture(name, "thumb")) < 40_000
        assert sum(map(len, pictures._cache.values())) <= 40_000
    assert pictures._cache
