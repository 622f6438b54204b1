"""Contact sheets: many small pictures in one, with captions."""

import math
from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipeline.media import arrays
from pipeline.media.images import Picture

T = TypeVar("T")

_GAP_PX, _CAPTION_PX, _BACKGROUND = 4, 16, 24


def contact_sheet(pictures: Iterable[Picture], captions: Sequence[str] = (), columns: int = 8, cell_px: int = 192) -> Picture:
    """Arrange pictures in reading order, each shrunk to at most `cell_px` a side, with a caption below where given.

    All are uint8 RGB HxWx3. Captions are cut to the cells' width. Without pictures, the sheet has one empty cell.
    """
    cells = [arrays.shrink(picture, cell_px) for picture in pictures] or [np.full((cell_px, cell_px, 3), _BACKGROUND, np.uint8)]
    tallest, widest = max(cell.shape[0] for cell in cells), max(cell.shape[1] for cell in cells)
    step_x, step_y = widest + _GAP_PX, tallest + _GAP_PX + (_CAPTION_PX if captions else 0)
    rows = math.ceil(len(cells) / columns)
    canvas = np.full((rows * step_y + _GAP_PX, min(columns, len(cells)) * step_x + _GAP_PX, 3), _BACKGROUND, np.uint8)
    corners = [(_GAP_PX + index % columns * step_x, _GAP_PX + index // columns * step_y) for index in range(len(cells))]
    for (x, y), cell in zip(corners, cells, strict=True):
        height, width = cell.shape[:2]
        y, x = y + (tallest - height) // 2, x + (widest - width) // 2
        canvas[y : y + height, x : x + width] = cell
    if not captions:
        return canvas
    image = Image.fromarray(canvas)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(11)
    for (x, y), caption in zip(corners, captions, strict=False):
        draw.text((x, y + tallest), caption[: widest // 6], fill=(210, 210, 210), font=font)
    return np.array(image)


def grid(rows: Sequence[Sequence[Picture]], cell_px: int = 256) -> Picture:
    """Arrange one or more equally long rows of pictures (photos, results, ...) as a contact sheet, a row each, no captions."""
    return contact_sheet([picture for row in rows for picture in row], columns=max(map(len, rows)), cell_px=cell_px)


def evenly_spaced(items: Sequence[T], count: int) -> Sequence[T]:
    """Choose at most `count` items at even intervals, in order, the first among them; none if `count` is 0."""
    return items[:: max(1, math.ceil(len(items) / count))] if count else items[:0]
