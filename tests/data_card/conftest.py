"""Facts of a small made-up data set, for tests of the data card."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from pipeline.core.manifest import Domain, Row
from pipeline.data_card import colors
from pipeline.data_card.facts import DOMAINS, Facts, Shot, list_sources, measure_sizes, sum_sources

SIZE_PX = 64


def make_rows(domain: Domain, source: str, reasons: Sequence[str | None]) -> list[Row]:
    """Make a key frame (or photograph) for each reason, one in each shot."""
    return [
        Row(
            id=f"{source}-{index}", domain=domain, source=source, parent=f"{source}.mp4", width_px=160, height_px=90,
            shot=f"{source}-{index:05d}", time_s=index + 0.5 if domain == "anime" else None, reason=reason,
        )
        for index, reason in enumerate(reasons)
    ]  # fmt: skip


@pytest.fixture
def facts() -> Facts:
    """A film with a dark, a duplicate and three good frames, and six photographs with one duplicate; two crops of each."""
    film = make_rows("anime", "mine", [None, "near_duplicate", None, "dark", None])
    photos = make_rows("photo", "photos", [None, None, None, "near_duplicate", None, None])
    pictures = [*film, *photos]
    crops = [
        row.model_copy(
            update={
                "id": f"{row.id}-{side}",
                "box": (0, 0, side, side),
                "scores": {"edge_share": 0.1},
                "split": "val" if row.id.endswith("0") else "train",
            }
        )
        for row in pictures
        if row.reason is None
        for side in (48, 80)
    ]
    shots = {"mine": [Shot(f"mine-{index:05d}", index, index + 1) for index in range(5)]}
    sources = list_sources({"mine": "anime", "photos": "photo"}, pictures, crops, crops, shots)
    levels = {"anime": 150, "photo": 90}
    return Facts(
        sources=sources,
        totals={domain: sum_sources(domain, sources, crops) for domain in DOMAINS},
        colors={domain: colors.measure(np.full((8, 8, 3), levels[domain], np.uint8)) for domain in DOMAINS},
        sizes={domain: measure_sizes([row for row in crops if row.domain == domain]) for domain in DOMAINS},
        edge_smoothed=6,
        warnings=0,
    )
