"""The storyboard of the sample film: its timeline, its frames, and the ground truth about them (`Film.truth`).

Shots follow each other without gaps. Lengths are in 24ths of a second and scaled to the frame rate, so that the film tells the
same story at any size and rate. In a dissolve the boundary of the two shots is the middle of the dissolve.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal

import cv2
import numpy as np

from pipeline.sample_film import closeups, countryside, lettering, shore, town
from pipeline.sample_film.canvas import Draw, Pixels, ShotRenderer, smoothstep

Kind = Literal["black", "title", "scene", "credits"]
Scene = Callable[[ShotRenderer], Draw]


@dataclass(frozen=True)
class Shot:
    """A row of the storyboard; lengths in 24ths of a second."""

    name: str
    length: int
    scene: Scene | None = None
    kind: Kind = "scene"
    fade_in: int = 0
    fade_out: int = 0
    dissolve: int = 0  # into this shot from the one before, centred on the boundary
    flash: int | None = None  # a white flash of two frames begins here
    repeats: str | None = None


@dataclass(frozen=True)
class Caption:
    """A burnt-in subtitle, from a moment of one shot to a moment of the same or a later one; moments in 24ths of a second."""

    text: str
    first: tuple[str, int]
    last: tuple[str, int]


STORYBOARD: tuple[Shot, ...] = (
    Shot("leader", 18, kind="black"),
    Shot("title", 64, lettering.title, kind="title", fade_in=12),
    Shot("open_sea", 108, shore.open_sea),
    Shot("town", 96, town.hillside_town),
    Shot("cat", 72, shore.cat_on_wall),
    Shot("crossing", 108, town.crossing),
    Shot("sea_wall", 90, shore.sea_wall),
    Shot("her_face", 84, closeups.her_face),
    Shot("bicycle", 84, countryside.slope),
    Shot("wind_bell", 10, closeups.wind_bell),
    Shot("forest", 96, countryside.forest),
    Shot("his_face", 66, closeups.his_face),
    Shot("rain_window", 90, closeups.rain_window),
    Shot("storm", 72, shore.storm, flash=38),
    Shot("cat_again", 72, shore.cat_on_wall, repeats="cat"),
    Shot("sunset", 100, shore.sunset),
    Shot("night_city", 112, town.night_city, dissolve=18),
    Shot("cherry", 96, town.cherry),
    Shot("last_hill", 108, countryside.last_hill, fade_out=22),
    Shot("pause", 22, kind="black"),
    Shot("credits", 120, lettering.credits, kind="credits"),
)

CAPTIONS: tuple[Caption, ...] = (
    Caption("The wind smells of summer again.", ("sea_wall", 42), ("her_face", 36)),
    Caption("Rain until evening. The cup is still warm.", ("rain_window", 16), ("rain_window", 76)),
)


@dataclass(frozen=True)
class Film:
    """A film of a size, a rate and a seed; frames are numbered from 0."""

    width: int
    height: int
    fps: int
    seed: int

    def frames(self, length: int) -> int:
        """Convert 24ths of a second to frames."""
        return max(round(length * self.fps / 24), 1) if length else 0

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """The first frame of each shot, and the end of the film."""
        return tuple(int(x) for x in np.cumsum([0] + [self.frames(shot.length) for shot in STORYBOARD]))

    @property
    def count(self) -> int:
        return self.starts[-1]

    @cached_property
    def active(self) -> tuple[int, int, int, int]:
        """The picture between the bars: x, y, width, height; even bars, so that chroma does not bleed."""
        bar = 2 * round((self.height - self.width * 544 / 1280) / 4)
        return 0, bar, self.width, self.height - 2 * bar

    @cached_property
    def captions(self) -> tuple[tuple[int, int, Caption], ...]:
        """First and last (exclusive) frame of each caption."""
        at = {shot.name: start for shot, start in zip(STORYBOARD, self.starts, strict=False)}
        return tuple((at[c.first[0]] + self.frames(c.first[1]), at[c.last[0]] + self.frames(c.last[1]), c) for c in CAPTIONS)

    def renderer(self, index: int) -> ShotRenderer:
        """Return the renderer of a shot; a repeated shot has its original's."""
        shot = STORYBOARD[index]
        return ShotRenderer(self.width, self.active[3], self.seed, shot.repeats or shot.name, shot.length / 24)

    def flash(self, index: int) -> tuple[int, int] | None:
        """Return the first and last (exclusive) frame of a shot's flash."""
        moment = STORYBOARD[index].flash
        return (
            None if moment is None else (self.starts[index] + self.frames(moment), self.starts[index] + self.frames(moment) + 2)
        )

    def dissolve(self, index: int) -> tuple[int, int] | None:
        """Return the first and last (exclusive) frame of the dissolve into a shot."""
        half = self.frames(STORYBOARD[index].dissolve) // 2
        return (self.starts[index] - half, self.starts[index] + half) if half else None

    def spans(self, longest: int = 24) -> list[tuple[int, int]]:
        """Divide the film into spans that can be drawn in parallel; none crosses a shot's boundary."""
        pieces = []
        for first, end in zip(self.starts, self.starts[1:], strict=False):
            pieces += [(at, min(at + longest, end)) for at in range(first, end, longest)]
        return pieces

    def draw(self, span: tuple[int, int]) -> list[Pixels]:
        """Draw the frames of a span without their bars: uint8 RGB (active height, width, 3)."""
        index = int(np.searchsorted(self.starts, span[0], "right")) - 1
        return [self._picture(index, n) for n in range(*span)]

    def framed(self, picture: Pixels) -> Pixels:
        """Add the black bars to a picture."""
        bar = self.active[1]
        return np.asarray(cv2.copyMakeBorder(picture, bar, bar, 0, 0, cv2.BORDER_CONSTANT), np.uint8)

    def _picture(self, index: int, n: int) -> Pixels:
        shot, first, end = STORYBOARD[index], self.starts[index], self.starts[index + 1]
        picture = self._scene(index, n)
        for incoming in (index, index + 1):
            span = self.dissolve(incoming) if incoming < len(STORYBOARD) else None
            if span and span[0] <= n < span[1]:
                part = (n - span[0] + 0.5) / (span[1] - span[0])
                picture = np.asarray(
                    cv2.addWeighted(self._scene(incoming - 1, n), 1 - part, self._scene(incoming, n), part, 0), np.uint8
                )
        light = min(
            smoothstep((n - first) / self.frames(shot.fade_in)) if shot.fade_in else 1.0,
            smoothstep((end - 1 - n) / self.frames(shot.fade_out)) if shot.fade_out else 1.0,
        )
        if light < 1:
            picture = np.asarray(cv2.convertScaleAbs(picture, alpha=light), np.uint8)
        flash = self.flash(index)
        if flash and flash[0] <= n < flash[1]:
            picture = np.full_like(picture, 255)
        for start, stop, caption in self.captions:
            if start <= n < stop:
                color, under, (cx, cy) = lettering.subtitle(self.renderer(index), caption.text)
                area = picture[cy : cy + color.shape[0], cx : cx + color.shape[1]]
                area[...] = cv2.add(cv2.multiply(area, under, scale=1 / 255), color)
        return picture

    def _scene(self, index: int, n: int) -> Pixels:
        shot = STORYBOARD[index]
        if shot.scene is None:
            return np.zeros((self.active[3], self.width, 3), np.uint8)
        # An incoming shot is on the screen before its boundary: its clock starts with the dissolve.
        lead = self.frames(shot.dissolve) // 2
        return _prepare(shot.scene, self.renderer(index))((n - self.starts[index] + lead) / self.fps)

    def truth(self) -> dict[str, Any]:
        """Return the ground truth: shots, cuts, fades and subtitles in seconds and frames (ends exclusive), boxes in pixels."""
        names = [shot.name for shot in STORYBOARD]

        def seconds(first: int, end: int) -> dict[str, Any]:
            return {
                "start_s": round(first / self.fps, 6),
                "end_s": round(end / self.fps, 6),
                "first_frame": first,
                "end_frame": end,
            }

        shots, cuts, fades, dissolves, flashes = [], [], [], [], []
        for i, shot in enumerate(STORYBOARD):
            first, end = self.starts[i], self.starts[i + 1]
            row = {"index": i, "name": shot.name, **seconds(first, end), "kind": shot.kind}
            shots.append({**row, "repeats": names.index(shot.repeats) if shot.repeats else None})
            if shot.fade_in:
                fades.append({**seconds(first, first + self.frames(shot.fade_in)), "to": "picture"})
            if shot.fade_out:
                fades.append({**seconds(end - self.frames(shot.fade_out), end), "to": "black"})
            if span := self.dissolve(i):
                dissolves.append(seconds(*span))
            if span := self.flash(i):
                flashes.append(seconds(*span))
            if i and not shot.dissolve and {shot.kind, STORYBOARD[i - 1].kind} <= {"scene", "title"}:
                cuts.append(round(first / self.fps, 6))
        subtitles = []
        for start, stop, caption in self.captions:
            color, _, (x, y) = lettering.subtitle(self.renderer(0), caption.text)
            box = [x, self.active[1] + y, color.shape[1], color.shape[0]]
            subtitles.append({**seconds(start, stop), "box": box, "text": caption.text})
        return {
            "fps": self.fps, "size": [self.width, self.height], "frames": self.count,
                "duration_s": round(self.count / self.fps, 6),
            "active_box": list(self.active), "shots": shots, "cuts_s": cuts, "fades": fades, "dissolves": dissolves,
                "flash": flashes,
            "subtitle": subtitles,
        }  # fmt: skip


@lru_cache(maxsize=3)
def _prepare(scene: Scene, renderer: ShotRenderer) -> Draw:
    # Layers of the last few shots are kept, as the spans of a shot follow each other.
    return scene(renderer)
