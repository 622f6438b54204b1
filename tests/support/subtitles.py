"""Subtitles burnt into pictures as players do it, and what they cover."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipeline.frames.letterbox import Box
from pipeline.media.images import Picture

FONTS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSerif", "DejaVuSerif-BoldItalic", "STIXGeneral")
TEXTS = (
    "Rain until evening. The cup is still warm.",
    "Where are you going?",
    "- Who is there?\n- Nobody. Go back to sleep.",
    "We have to leave before the snow\ncloses the pass for the winter.",
    "Il était une fois, là-bas.",
    "You did that alone?",
)


@dataclass(frozen=True)
class Style:
    """How a film's subtitles look; sizes as shares of the frame's height."""

    font: str = "DejaVuSans"
    size: float = 0.055
    edge: float = 0.09  # outline, as a share of the size
    shadow: bool = False
    box: bool = False  # a dark one, half transparent
    color: tuple[int, int, int] = (255, 255, 255)
    margin: float = 0.04
    top: bool = False


STYLES = (
    Style(),
    Style("DejaVuSans-Bold", 0.06, 0.14),
    Style("DejaVuSans-Oblique", 0.05, 0.06, color=(255, 255, 0)),
    Style("DejaVuSerif", 0.065, 0.09, color=(245, 225, 90), margin=0.07),
    Style("DejaVuSerif-BoldItalic", 0.055, 0.12, color=(230, 230, 230)),
    Style("STIXGeneral", 0.075, 0.05),
    Style("DejaVuSans", 0.055, 0.0, box=True),
    Style("DejaVuSans-Bold", 0.05, 0.08, shadow=True, top=True),
)


def burn(picture: Picture, text: str, style: Style = STYLES[0]) -> tuple[Picture, Box]:
    """Draw a subtitle into a picture (uint8 RGB HxWx3); return it and the box of all pixels of the subtitle."""
    height, width = picture.shape[:2]
    size = round(style.size * height)
    name = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{style.font}.ttf"
    font = ImageFont.truetype(str(name), size)
    edge = max(1, round(style.edge * size)) if style.edge else 0
    lines, pitch = text.split("\n"), round(1.22 * size)
    top = round(style.margin * height) if style.top else height - round(style.margin * height) - pitch * len(lines)
    layers = [Image.new("L", (width, height)) for _ in range(3)]
    fill, halo, box = (ImageDraw.Draw(layer) for layer in layers)
    for index, line in enumerate(lines):
        long, y = fill.textlength(line, font=font), top + index * pitch
        x = (width - long) / 2
        fill.text((x, y), line, 255, font=font)
        halo.text((x, y), line, 255 if edge else 0, font=font, stroke_width=edge)
        if style.shadow:
            halo.text((x + edge + 1, y + edge + 1), line, 255, font=font)
        if style.box:
            box.rectangle((x - size / 3, y, x + long + size / 3, y + pitch), fill=160)
    inked, dark, boxed = (np.asarray(layer, np.float32)[..., None] / 255 for layer in layers)
    result = picture * (1 - boxed) * (1 - dark) * (1 - inked) + np.array(style.color, np.float32) * inked
    rows, columns = np.nonzero(np.maximum(inked, dark)[..., 0] > 0.2)
    left, upper = int(columns.min()), int(rows.min())
    return np.rint(result).astype(np.uint8), (left, upper, int(columns.max()) + 1 - left, int(rows.max()) + 1 - upper)
