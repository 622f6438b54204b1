"""Contact sheets of the data card."""

from __future__ import annotations

from pathlib import Path

from pipeline.core.manifest import Row
from pipeline.data_card.sheets import Samples, write_sheets
from pipeline.media import images
from tests.conftest import scene


def test_duplicates_lie_beside_their_originals_and_captions_count(tmp_path: Path) -> None:
    rows = []
    for index in range(20):
        path = tmp_path / f"{index}.png"
        images.write(path, scene(index, 64, 48))
        original = "0" if index >= 10 else None
        rows.append(
            Row(
                id=str(index), domain="photo", source="photos", file=str(path), width_px=64, height_px=48,
                reason="near_duplicate" if original else None, duplicate_of=original,
            )
        )  # fmt: skip
    unreadable = rows[0].model_copy(update={"id": "x", "width_px": 0, "reason": "unreadable"})
    sheets = {sheet.name: sheet for sheet in write_sheets(Samples([*rows, unreadable], rows[:3], []), tmp_path)}
    assert all((tmp_path / name).is_file() for name in sheets) and "sheets/dropped_unreadable.jpg" not in sheets
    assert sheets["sheets/kept_photo.jpg"].caption == "Photographs kept (all 10)."
    duplicates = sheets["sheets/dropped_near_duplicate.jpg"]
    assert duplicates.caption.endswith("(8 of 10).") and (duplicates.width_px, duplicates.height_px) == (
        4 * (64 + 4) + 4, 4 * (48 + 4) + 4,
    )  # fmt: skip
    assert sheets["sheets/crops_photo.jpg"].alt == "Contact sheet: photo crops"
