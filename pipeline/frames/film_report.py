"""Subtitles and logo of a film and where its key frames show them, with pictures to check them by.

A film can be analyzed only when all of its shots are known. Until then little is kept: the text found in some frames of each
shot, and small pictures of a limited number of key frames.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.core.manifest import Row
from pipeline.frames import logo, subtitles
from pipeline.frames.letterbox import Box, FilmBars
from pipeline.frames.lettering import Lettering
from pipeline.media.images import Picture
from pipeline.media.sheets import evenly_spaced

_MAX_KEPT = 128
_MAX_SHOWN = 12
_PICTURE_COLOR, _AVOIDED_COLOR = (60, 220, 90), (255, 60, 40)


@dataclass(frozen=True)
class KeyFrame:
    """A key frame's row and what was taken from its pixels."""

    row: Row
    frame_px: tuple[int, int]  # width and height of the decoded frame
    luma: NDArray[np.uint8]  # of the whole frame, at `lettering.WIDTH`
    thumbnail: Picture  # of the whole frame


@dataclass(frozen=True)
class FilmReport:
    """The result of analyzing a film."""

    rows: list[Row]
    summary: dict[str, Any]
    pictures: list[tuple[Picture, str]]  # some frames with detected boxes drawn on them, each with a caption
    warnings: list[str]


class FilmAnalyzer:
    """Collects the shots of a film one after the other and analyzes the whole at the end."""

    def __init__(self, bars: FilmBars) -> None:
        self._bars = bars
        self._rows: list[Row] = []
        self._frame_px: list[tuple[int, int]] = []
        self._shots: list[tuple[int, list[Lettering]]] = []  # number of key frames; text of these and other frames
        self._kept: dict[int, tuple[Picture, NDArray[np.uint8]]] = {}  # thumbnail and luma, of every `_stride`-th key frame
        self._stride = 1
        self._shots_reframed = 0

    def add_shot(self, key_frames: Sequence[KeyFrame], texts: list[Lettering]) -> None:
        """Add the next shot: its key frames in order, and the text of these and other frames ([] to ignore subtitles)."""
        self._shots.append((len(key_frames), texts))
        self._shots_reframed += any(one.row.box != (self._bars.box or (0, 0, *one.frame_px)) for one in key_frames)
        for one in key_frames:
            if len(self._rows) % self._stride == 0:
                self._kept[len(self._rows)] = one.thumbnail, one.luma
            self._rows.append(one.row)
            self._frame_px.append(one.frame_px)
            if len(self._kept) > _MAX_KEPT:
                self._stride *= 2
                self._kept = {index: kept for index, kept in self._kept.items() if index % self._stride == 0}

    def report(self, name: str, avoid_logo: bool) -> FilmReport:
        """Find subtitles and logo, and complete `avoid` of each row: the boxes that crops have to avoid.

        Args:
            name: the episode's name in warnings.
            avoid_logo: whether these boxes include the logo, which is reported in any case.
        """
        base_lines = [[line for text in texts for line in subtitles.base_lines(text)] for _, texts in self._shots]
        film_lines = subtitles.film_base_lines(base_lines)
        covered = [
            boxes
            for (count, texts), own_lines in zip(self._shots, base_lines, strict=True)
            for boxes in [subtitles.covered_in_shot(texts, film_lines + own_lines)] * count
        ]
        logo_box = self._detect_logo()
        rows, subtitled = [], []
        for index, (row, frame_px, boxes) in enumerate(zip(self._rows, self._frame_px, covered, strict=True)):
            in_frame = [scale_box(box, frame_px[0] / size[0]) for box, size in boxes]
            avoid = [box for box in (_in_picture(box, row) for box in in_frame) if box]
            if avoid:
                subtitled.append(index)
            if logo_box and avoid_logo and (box := _in_picture(logo_box, row)):
                avoid.append(box)
            rows.append(row.model_copy(update={"avoid": avoid}) if avoid else row)
        warnings = []
        if logo_box:
            x, y, width, height = logo_box
            effect = "no crop touches it" if avoid_logo else "crops may show it (keyframes.logo)"
            warnings.append(f"{name}: a logo stands at x {x}, y {y}, {width} x {height} pixels: {effect}")
        summary: dict[str, Any] = {
            "episode": name,
            "box": self._bars.box,
            "shots_reframed": self._shots_reframed,
            "subtitle_base_lines": [round(line.base, 4) for line in film_lines],
            "subtitle_frames": len(subtitled),
            "logo": logo_box,
        }
        pictures = [self._draw(index, rows[index]) for index in self._choose_shown(rows, subtitled)]
        return FilmReport(rows, summary, pictures, warnings)

    def _detect_logo(self) -> Box | None:
        """Detect a logo: its box in pixels of the decoded frame, or None (also if all frames were dark or none was added)."""
        if self._bars.box is None or not self._rows:
            return None
        scale = self._frame_px[0][0] / next(iter(self._kept.values()))[1].shape[1]
        x, y, width, height = scale_box(self._bars.box, 1 / scale)
        found = logo.detect([luma[y : y + height, x : x + width] for _, luma in self._kept.values()])
        return None if found is None else scale_box((found[0] + x, found[1] + y, found[2], found[3]), scale)

    def _choose_shown(self, rows: Sequence[Row], subtitled: Sequence[int]) -> list[int]:
        """Choose at most 12 kept frames, by index: some with subtitles, some with bars other than the film's, and others."""
        reframed = [index for index in self._kept if rows[index].box != (self._bars.box or rows[index].box)]
        kept_subtitled = [index for index in subtitled if index in self._kept]
        chosen = {*evenly_spaced(kept_subtitled, _MAX_SHOWN // 3), *evenly_spaced(reframed, _MAX_SHOWN // 3)}
        others = [index for index in self._kept if index not in chosen]
        return sorted(chosen | set(evenly_spaced(others, _MAX_SHOWN - len(chosen))))

    def _draw(self, index: int, row: Row) -> tuple[Picture, str]:
        """Draw the picture area and the boxes to avoid on a thumbnail; return it with a caption."""
        picture = self._kept[index][0].copy()
        x, y, width, height = row.box or (0, 0, *self._frame_px[index])
        scale = picture.shape[1] / self._frame_px[index][0]
        draw_box(picture, scale_box((x, y, width, height), scale))
        for box in row.avoid or []:
            left, top, wide, high = scale_box(box, width / row.width_px)
            draw_box(picture, scale_box((x + left, y + top, wide, high), scale), _AVOIDED_COLOR)
        return picture, f"{row.time_s:.1f} s"


def draw_box(picture: Picture, box: Box, color: tuple[int, int, int] = _PICTURE_COLOR) -> None:
    """Draw the outline of a box into a picture, in place; `color` is RGB."""
    x, y, width, height = box
    right, bottom = min(x + width, picture.shape[1]) - 1, min(y + height, picture.shape[0]) - 1
    cv2.rectangle(picture, (x, y), (right, bottom), color, 2)


def scale_box(box: Box, scale: float) -> Box:
    """Convert a box to the pixels of a picture `scale` times as large, rounded outwards."""
    x, y = math.floor(box[0] * scale), math.floor(box[1] * scale)
    return x, y, math.ceil((box[0] + box[2]) * scale) - x, math.ceil((box[1] + box[3]) * scale) - y


def _in_picture(box: Box, row: Row) -> Box | None:
    """Convert a box from the decoded frame to the key frame, which is cut out of it and shrunk; None if it lies outside."""
    x, y, width, height = row.box or (0, 0, row.width_px, row.height_px)
    left, top = max(box[0] - x, 0), max(box[1] - y, 0)
    right, bottom = min(box[0] + box[2] - x, width), min(box[1] + box[3] - y, height)
    if right <= left or bottom <= top:
        return None
    across, down = row.width_px / width, row.height_px / height
    x0, y0 = math.floor(left * across), math.floor(top * down)
    return x0, y0, min(math.ceil(right * across), row.width_px) - x0, min(math.ceil(bottom * down), row.height_px) - y0
