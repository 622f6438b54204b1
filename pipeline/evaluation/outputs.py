"""The files of an evaluation: tables as CSV, contact sheets, single pictures."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

from pipeline.media import images, sheets
from pipeline.media.images import Picture
from pipeline.metrics.comparison import Table

GRID, SIDE_BY_SIDE = "grid.jpg", "side_by_side.jpg"
PHOTOS, TABLE, SCALE, PAGE = "photos.csv", "table.csv", "scale.csv", "index.html"
SIZES = "sizes.csv"
PICTURES, PICTURE_LIST = "pictures", "pictures.csv"
CELL_PX = 256

Pairs = Mapping[str, tuple[Picture, Picture]]
"""Photo id -> photo and result."""


def write_tables(out: Path, table: Table, photos: Table) -> None:
    """Write table.csv, photos.csv (its rows are photo ids), and scale.csv: the columns of table.csv that `dvc plots` draws."""
    _write_csv(out / TABLE, "name", table)
    _write_csv(out / PHOTOS, "id", photos)
    columns = ("style_score", "content_similarity", "score")
    scale = {name: {key: row[key] for key in columns if key in row} for name, row in table.items() if "style_score" in row}
    _write_csv(out / SCALE, "name", scale or {"photo": {"style_score": 0.0}})


def write_sizes(out: Path, sizes: Mapping[int, Mapping[str, float]]) -> None:
    """Write sizes.csv: a line for each long side of the photos in pixels, with the metrics of the results (name -> value)."""
    _write_csv(out / SIZES, "long_side_px", {str(size): row for size, row in sizes.items()})


def _write_csv(path: Path, key: str, rows: Table) -> None:
    """Write a line for each row; a cell is empty where the row has no such number."""
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    lines = ([name, *(f"{row[column]:.6g}" if column in row else "" for column in columns)] for name, row in rows.items())
    _write_lines(path, [[key, *columns], *lines])


def _write_lines(path: Path, lines: Iterable[Iterable[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(lines)


def write_pictures(out: Path, pairs: Pairs) -> None:
    """Write grid.jpg (photos and results), and each in the new folder pictures/, listed in pictures.csv (id, photo, result)."""
    cells = [picture for pair in pairs.values() for picture in pair]
    images.write(out / GRID, sheets.contact_sheet(cells, columns=4, cell_px=CELL_PX))
    (out / PICTURES).mkdir()
    lines = [["id", "photo", "result"]]
    for index, (name, pair) in enumerate(pairs.items()):
        files = [f"{PICTURES}/{index}_{kind}.jpg" for kind in ("photo", "result")]
        for file, picture in zip(files, pair, strict=True):
            images.write(out / file, picture)
        lines.append([name, *files])
    _write_lines(out / PICTURE_LIST, lines)


def write_side_by_side(out: Path, photos: Mapping[str, Picture], redrawn: Mapping[str, Mapping[str, Picture]]) -> Picture:
    """Write side_by_side.jpg, a row for each photo: the photo and its result by each way of redrawing.

    Args:
        photos: photo id -> photo.
        redrawn: photo id -> name of a way of redrawing -> picture, for the photos to show (one at least).

    Returns:
        The contact sheet, as written but uncompressed.
    """
    cells = [picture for name, ways in redrawn.items() for picture in (photos[name], *ways.values())]
    captions = [caption for ways in redrawn.values() for caption in ("photo", *ways)]
    columns = max(len(ways) for ways in redrawn.values()) + 1
    sheet = sheets.contact_sheet(cells, captions, columns, CELL_PX)
    images.write(out / SIDE_BY_SIDE, sheet)
    return sheet
