"""The contact sheets of the data card: samples of what was kept and of what was dropped, by reason."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.core import manifest
from pipeline.core.manifest import Row
from pipeline.data_card.card import Picture
from pipeline.data_card.facts import DOMAINS, describe_reason, sort_reasons, spread_evenly
from pipeline.media import arrays, images
from pipeline.media.sheets import contact_sheet

_COLUMNS = 4
_CELL_PX = 232
_PICTURES = 16
_DROPPED_PICTURES = 8


@dataclass(frozen=True)
class Samples:
    """The rows that sheets are made of."""

    pictures: list[Row]  # key frames and photographs, with the reasons of dedup and crop
    crops: list[Row]
    edge_smoothed: list[Row]


def write_sheets(samples: Samples, out: Path) -> Iterator[Picture]:
    """Write contact sheets to `out`/sheets, which must not exist, and yield what the card shows of each as it is written."""
    (out / "sheets").mkdir()
    by_id = {row.id: row for row in [*samples.pictures, *samples.crops]}
    for domain, pictures in (("anime", "Frames"), ("photo", "Photographs")):
        if rows := [row for row in samples.pictures if row.domain == domain and row.reason is None]:
            yield _write_sheet(out, f"kept_{domain}", f"{pictures} kept", rows)
    dropped = [row for row in samples.pictures if row.reason and row.width_px]  # unreadable pictures have no width
    for reason in sort_reasons(row.reason or "" for row in dropped):
        rows = [row for row in dropped if row.reason == reason]
        caption = f"Dropped: {describe_reason(reason)}"
        originals: list[Row | None] = []
        if reason in ("near_duplicate", "exact_copy"):
            caption += ", each beside the kept picture that it resembles"
            originals = [by_id.get(row.duplicate_of or "") for row in rows]
        yield _write_sheet(out, f"dropped_{reason}", caption, rows, originals, _DROPPED_PICTURES)
    for domain in DOMAINS:
        if rows := [row for row in samples.crops if row.domain == domain]:
            yield _write_sheet(out, f"crops_{domain}", f"{domain.capitalize()} crops", rows)
    rows = samples.edge_smoothed
    crops = [by_id.get(row.parent or "") for row in rows]
    if rows:
        yield _write_sheet(
            out, "edge_smoothed", "Edge-smoothed crops, each left of its original", rows, crops, _DROPPED_PICTURES
        )


def _write_sheet(
    out: Path, name: str, text: str, rows: Sequence[Row], neighbors: Sequence[Row | None] = (), count: int = _PICTURES
) -> Picture:
    """Write a contact sheet of at most `count` rows, evenly spread, each with its neighbor right of it where given."""
    pairs = spread_evenly(list(zip(rows, neighbors or [None] * len(rows), strict=True)), count)
    shown = [row for pair in pairs for row in pair if row is not None]
    captions = [_caption(row) for row in shown] if any(row.time_s is not None for row in shown) else []
    cells = (arrays.shrink(images.read(manifest.file_of(row)), _CELL_PX) for row in shown)
    sheet = contact_sheet(cells, captions, _COLUMNS, _CELL_PX)
    images.write(out / "sheets" / f"{name}.jpg", sheet)
    total = f"{len(pairs)} of {len(rows):,}" if len(pairs) < len(rows) else f"all {len(rows):,}"
    alt = f"Contact sheet: {text[0].lower() + text[1:]}"
    return Picture(f"sheets/{name}.jpg", f"{text} ({total}).", alt, sheet.shape[1], sheet.shape[0])


def _caption(row: Row) -> str:
    return row.source if row.time_s is None else f"{row.source} {row.time_s:.1f} s"
