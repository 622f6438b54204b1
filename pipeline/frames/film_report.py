"""What a whole film tells about its key frames: where its subtitles and its logo are, and pictures of what was found.

A film is judged when all of its shots are known. Until then little is kept: of each shot the lettering of some frames, and of a
bounded number of key frames a small picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2

from pipeline.core.manifest import Row
from pipeline.frames import overlays
from pipeline.frames.letterbox import Bars, Box
from pipeline.media.images import Picture

_MOST_KEPT = 128
_SHOWN = 12
_CUT, _AVOIDED = (60, 220, 90), (255, 60, 40)


@dataclass(frozen=True)
class Seen:
    """A key frame and what was seen of it while its pixels were there."""

    row: Row
    frame_px: tuple[int, int]  # width and height of the decoded frame
    luma: overlays.Luma  # at the width of analysis
    thumb: Picture


@dataclass(frozen=True)
class Findings:
    """What was found out of a film."""

    rows: list[Row]
    summary: dict[str, object]
    pictures: list[tuple[Picture, str]]  # some frames with the boxes drawn on, each with a caption
    warnings: list[str]
    reframed: int
    subtitled: int
    logo: bool


class FilmReport:
    """Takes what shots show, one after the other, and judges the film at the end."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._rows: list[tuple[Row, tuple[int, int]]] = []
        self._shots: list[tuple[int, list[overlays.Lettering]]] = []  # number of key frames; what they and witnesses show
        self._kept: dict[int, tuple[Picture, overlays.Luma]] = {}
        self._stride = 1
        self._reframed = 0

    def add(self, frames: Sequence[Seen], shown: list[overlays.Lettering]) -> None:
        """The key frames of the next shot, and the lettering of these and others of its frames; none where nobody looked."""
        self._shots.append((len(frames), shown))
        self._reframed += any(one.row.box != self._own(one) for one in frames)
        for one in frames:
            if len(self._rows) % self._stride == 0:
                self._kept[len(self._rows)] = one.thumb, one.luma
            self._rows.append((one.row, one.frame_px))
            if len(self._kept) > _MOST_KEPT:
                self._stride *= 2
                self._kept = {index: kept for index, kept in self._kept.items() if index % self._stride == 0}

    def _own(self, one: Seen) -> Box:
        return self._bars.box or (0, 0, *one.frame_px)

    def judge(self, name: str, avoid_logo: bool) -> Findings:
        """Subtitles, logo, and the rows with what is to be avoided in each.

        Args:
            name: what the episode is called in warnings.
            avoid_logo: whether a logo is kept out of crops.
        """
        hints = [[hint for one in shown for hint in overlays.hints(one)] for _, shown in self._shots]
        bands = overlays.bands(hints)
        captions = [
            found
            for (count, shown), own in zip(self._shots, hints, strict=True)
            for found in [_captions(shown, bands + own)] * count
        ]
        logo = self._logo()
        rows, subtitled = [], []
        for index, ((row, frame_px), found) in enumerate(zip(self._rows, captions, strict=True)):
            boxes = [_scaled(box, frame_px[0] / size[0]) for box, size in found]
            inside = [box for box in (_in_picture(box, row) for box in boxes) if box]
            if inside:
                subtitled.append(index)
            if logo and avoid_logo and (box := _in_picture(logo, row)):
                inside.append(box)
            rows.append(row.model_copy(update={"avoid": inside}) if inside else row)
        warnings = []
        if logo:
            what = "no crop touches it" if avoid_logo else "crops may show it (keyframes.logo)"
            warnings.append(f"{name}: a logo stands at x {logo[0]}, y {logo[1]}, {logo[2]} x {logo[3]} pixels: {what}")
        summary: dict[str, object] = {
            "episode": name,
            "box": self._bars.box,
            "shots_reframed": self._reframed,
            "subtitle_base_lines": [round(band.base, 4) for band in bands],
            "subtitle_frames": len(subtitled),
            "logo": logo,
        }
        pictures = [self._drawn(index, rows[index]) for index in self._worth_showing(rows, subtitled)]
        return Findings(rows, summary, pictures, warnings, self._reframed, len(subtitled), logo is not None)

    def _logo(self) -> Box | None:
        """The logo's box in the decoded frame."""
        if self._bars.box is None:
            return None
        scale = self._rows[0][1][0] / next(iter(self._kept.values()))[1].shape[1]
        x, y, width, height = _scaled(self._bars.box, 1 / scale)
        found = overlays.logo([luma[y : y + height, x : x + width] for _, luma in self._kept.values()])
        return None if found is None else _scaled((found[0] + x, found[1] + y, found[2], found[3]), scale)

    def _worth_showing(self, rows: Sequence[Row], subtitled: Sequence[int]) -> list[int]:
        """Some frames with subtitles, some with bars of their own, and the rest spread over the film."""
        own = [index for index in self._kept if rows[index].box != (self._bars.box or rows[index].box)]
        chosen = {*_spread([index for index in subtitled if index in self._kept], _SHOWN // 3), *_spread(own, _SHOWN // 3)}
        others = [index for index in self._kept if index not in chosen]
        return sorted(chosen | set(_spread(others, _SHOWN - len(chosen))))

    def _drawn(self, index: int, row: Row) -> tuple[Picture, str]:
        picture = self._kept[index][0].copy()
        x, y, width, height = row.box or (0, 0, *self._rows[index][1])
        scale = picture.shape[1] / self._rows[index][1][0]
        _frame(picture, (x, y, width, height), scale, _CUT)
        for box in row.avoid or []:
            left, top, wide, high = _scaled(box, width / row.width_px)
            _frame(picture, (x + left, y + top, wide, high), scale, _AVOIDED)
        return picture, f"{row.time_s:.1f} s"


def _captions(shown: Sequence[overlays.Lettering], known: Sequence[overlays.Band]) -> list[tuple[Box, tuple[int, int]]]:
    """What subtitles cover in any frame of a shot, below and above: boxes, and the size of the picture that they are in.

    All frames of a shot share it, as one of them may show too little of a line to know it by.
    """
    sides: dict[bool, tuple[Box, tuple[int, int]]] = {}
    for one in shown:
        for box in overlays.captions(one, known):
            above = box[1] == 0
            other = sides.get(above)
            if other is None or box[3] > other[0][3]:
                sides[above] = box, one.size
    return list(sides.values())


def _spread(items: Sequence[int], count: int) -> Sequence[int]:
    return items[:: max(1, -(-len(items) // count))] if count else []


def _frame(picture: Picture, box: Box, scale: float, colour: tuple[int, int, int]) -> None:
    x, y, width, height = _scaled(box, scale)
    right, bottom = min(x + width, picture.shape[1]) - 1, min(y + height, picture.shape[0]) - 1
    cv2.rectangle(picture, (x, y), (right, bottom), colour, 2)


def _scaled(box: Box, scale: float) -> Box:
    """A box in the pixels of a larger or smaller picture, rounded outwards."""
    x, y = math.floor(box[0] * scale), math.floor(box[1] * scale)
    return x, y, math.ceil((box[0] + box[2]) * scale) - x, math.ceil((box[1] + box[3]) * scale) - y


def _in_picture(box: Box, row: Row) -> Box | None:
    """A box of the decoded frame in the pixels of the key frame cut out of it and shrunk; None where it lies outside."""
    x, y, width, height = row.box or (0, 0, row.width_px, row.height_px)
    left, top = max(box[0] - x, 0), max(box[1] - y, 0)
    right, bottom = min(box[0] + box[2] - x, width), min(box[1] + box[3] - y, height)
    if right <= left or bottom <= top:
        return None
    across, down = row.width_px / width, row.height_px / height
    x0, y0 = math.floor(left * across), math.floor(top * down)
    return x0, y0, min(math.ceil(right * across), row.width_px) - x0, min(math.ceil(bottom * down), row.height_px) - y0
