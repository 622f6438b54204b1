"""Films whose cuts and places are known, for each way in which films go from one place to the next.

A place is what one would want a picture of: it has to be represented by a frame of the time in which it alone is seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from pipeline.media.images import Picture
from tests.conftest import scene

WIDTH, HEIGHT = 320, 180
Span = tuple[float, float]
_TOLERANCE_S = 0.17  # four frames of 24, as frames that are not decoded may hide a cut for so long


@dataclass
class ShotFilm:
    """Pictures to encode, and what is true of them, in seconds."""

    name: str
    fps: int
    seed: int = 0
    pictures: list[Picture] = field(default_factory=list, repr=False)
    cuts: list[float] = field(default_factory=list)
    places: list[Span] = field(default_factory=list)

    @property
    def now_s(self) -> float:
        """Time of the next picture."""
        return len(self.pictures) / self.fps

    def show(self, pictures: Iterable[Picture], place: bool = True) -> None:
        """Add pictures of one place, or, if `place` is false, of a change from one to another."""
        start_s = self.now_s
        self.pictures += pictures
        if place:
            self.places.append((start_s, self.now_s))

    def cut(self) -> None:
        """Note a hard cut before the next picture."""
        self.cuts.append(self.now_s)

    def cuts_found(self, found: Iterable[float]) -> int:
        """Count the cuts that are among some found ones, each of which is used once."""
        left, count = sorted(found), 0
        for cut in self.cuts:
            near = min(left, key=lambda other: abs(other - cut), default=np.inf)
            if abs(near - cut) <= _TOLERANCE_S:
                left.remove(near)
                count += 1
        return count

    def places_represented(self, frames: Iterable[float]) -> int:
        """Count the places of which there is a frame, given the times of frames."""
        times = list(frames)
        return sum(any(start - 1e-3 <= time < end for time in times) for start, end in self.places)

    def frames(self, seconds: float) -> int:
        """Number of pictures that last so long, at least one."""
        return max(1, round(seconds * self.fps))


@dataclass(frozen=True)
class Camera:
    """A place with a figure in it, seen by a camera that may move."""

    seed: int
    pan: float = 0.0  # frame widths per second
    zoom: float = 0.0  # of the view's width per second
    action: float = 0.15  # frame widths per second that the figure moves
    figure: int = 22  # half of its width in pixels
    light: float = 1.0
    fog: float = 0.0
    grain: float = 0.0

    def picture(self, second: float, seen_s: float | None = None) -> Picture:
        """What is seen at a time; with `seen_s` the figure is where it was then (a drawing held while the camera moves)."""
        wide = _background(self.seed)
        x = (wide.shape[1] - WIDTH) / 2 + self.pan * second * WIDTH
        width = WIDTH / (1 + self.zoom * second)
        height = width * HEIGHT / WIDTH
        centre = (float(np.clip(x + WIDTH / 2, WIDTH / 2, wide.shape[1] - WIDTH / 2)), wide.shape[0] / 2)
        view = cv2.getRectSubPix(wide, (round(width), round(height)), centre)
        view = cv2.resize(view, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
        at = second if seen_s is None else seen_s
        rng = np.random.default_rng(self.seed)
        color = [int(value) for value in rng.integers(20, 250, 3)]
        where = int(WIDTH * (0.3 + (self.action * at) % 0.5)), int(HEIGHT * (0.62 + 0.1 * np.sin(7 * at * self.action / 0.15)))
        cv2.ellipse(view, where, (self.figure, 2 * self.figure), 0, 0, 360, color, -1)
        cv2.ellipse(view, where, (self.figure, 2 * self.figure), 0, 0, 360, (20, 15, 25), 2)
        shown = view * self.light * (1 - self.fog) + _FOG * self.fog
        if self.grain:
            noise = np.random.default_rng([self.seed, round(second * 1000)]).normal(0, self.grain, (HEIGHT, WIDTH, 1))
            shown = shown + noise
        return np.clip(shown, 0, 255).astype(np.uint8)

    def shoot(self, count: int, fps: float, hold: int = 1, start: int = 0) -> Iterator[Picture]:
        """Yield `count` pictures, each drawing held for `hold`; a camera that moves does so in each picture."""
        for index in range(start, start + count):
            held = index // hold * hold / fps
            yield self.picture(index / fps if self.pan or self.zoom else held, held)


_FOG = np.array([190.0, 195.0, 200.0])
_BACKGROUNDS: dict[int, Picture] = {}


def _background(seed: int) -> Picture:
    if seed not in _BACKGROUNDS:
        if len(_BACKGROUNDS) > 64:
            _BACKGROUNDS.clear()
        _BACKGROUNDS[seed] = np.concatenate([scene(seed * 3 + part, WIDTH, HEIGHT) for part in range(3)], axis=1)
    return _BACKGROUNDS[seed]


def _lengths(film: ShotFilm, count: int, low: float, high: float) -> Iterator[int]:
    rng = np.random.default_rng(count)
    for _ in range(count):
        yield film.frames(rng.uniform(low, high))


def _hard(film: ShotFilm, seed: int, count: int, low: float, high: float, hold: int = 1, **camera: Any) -> None:
    for index, length in enumerate(_lengths(film, count, low, high)):
        if index:
            film.cut()
        film.show(Camera(film.seed + seed + index, **camera).shoot(length, film.fps, hold))


def cuts(film: ShotFilm) -> None:
    """Hard cuts between shots of half a second to three."""
    _hard(film, 100, 12, 0.5, 3.0)


def held(film: ShotFilm) -> None:
    """Hard cuts; figures that move fast, drawn six or eight times a second, as TV anime is."""
    _hard(film, 200, 12, 0.8, 2.5, hold=max(1, film.fps // 8), action=2.1, figure=44)


def held_grain(film: ShotFilm) -> None:
    """As `held`, with grain that is new in every frame."""
    _hard(film, 250, 10, 0.8, 2.0, hold=max(1, film.fps // 8), action=2.1, figure=44, grain=4.0)


def repeats(film: ShotFilm) -> None:
    """Hard cuts of a film of fewer frames a second, of which some are shown twice or three times."""
    original = ShotFilm("", {12: 8, 24: 15, 30: 24, 60: 24}[film.fps], film.seed)
    _hard(original, 300, 12, 0.8, 2.5, action=1.7, figure=40)
    film.pictures += [
        original.pictures[min(int(index * original.fps / film.fps + 1e-6), len(original.pictures) - 1)]
        for index in range(int(original.now_s * film.fps))
    ]
    up = film.fps / original.fps
    film.cuts += [float(np.ceil(second * original.fps * up - 1e-6) / film.fps) for second in original.cuts]
    film.places += original.places


def slow_pans(film: ShotFilm) -> None:
    """Hard cuts between pans of a second and a half."""
    _hard(film, 400, 14, 1.3, 1.7, pan=0.25)


def fast_pans(film: ShotFilm) -> None:
    """Hard cuts between pans of a frame width a second."""
    _hard(film, 450, 10, 0.8, 1.0, pan=0.9)


def short(film: ShotFilm) -> None:
    """Shots of a fifth of a second among longer ones."""
    for index in range(16):
        if index:
            film.cut()
        film.show(Camera(film.seed + 500 + index).shoot(film.frames(0.25 if index % 2 else 1.0), film.fps))


def dark(film: ShotFilm) -> None:
    """Hard cuts from night to night."""
    _hard(film, 600, 12, 0.8, 2.0, light=0.22)


def fog(film: ShotFilm) -> None:
    """Hard cuts between pale places of nearly the same colors."""
    _hard(film, 650, 12, 0.8, 2.0, fog=0.75)


def flashes(film: ShotFilm) -> None:
    """White for two frames inside shots, at cuts, and as a strobe."""
    white = np.full((HEIGHT, WIDTH, 3), 250, np.uint8)
    for index in range(12):
        if index:
            film.cut()
        pictures = list(Camera(film.seed + 700 + index).shoot(film.frames(1.5), film.fps))
        flash = max(1, film.fps // 12)
        if index % 3 == 0:
            middle = len(pictures) // 2
            pictures[middle : middle + flash] = [white] * flash
        elif index % 3 == 1:
            pictures[:flash] = [white] * flash
        else:
            for start in range(2 * flash, len(pictures) // 2, 2 * flash):
                pictures[start : start + flash] = [white] * flash
        film.show(pictures)


Mix = Callable[[Picture, Picture, float], Picture]


def _dissolve(one: Picture, other: Picture, share: float) -> Picture:
    return np.asarray(cv2.addWeighted(one, 1 - share, other, share, 0), np.uint8)


def _wipe(one: Picture, other: Picture, share: float) -> Picture:
    edge = round(share * WIDTH)
    return np.concatenate([other[:, :edge], one[:, edge:]], axis=1)


def _iris(one: Picture, other: Picture, share: float) -> Picture:
    inside = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.circle(inside, (WIDTH // 2, HEIGHT // 2), round(share * 190), 1, -1)
    return np.where(inside[..., None] > 0, other, one).astype(np.uint8)


def _through(color: int) -> Mix:
    ground = np.full((HEIGHT, WIDTH, 3), color, np.uint8)

    def fade(one: Picture, other: Picture, share: float) -> Picture:
        shown, ground_share = (one, 2 * share) if share < 0.5 else (other, 2 - 2 * share)
        return _dissolve(shown, ground, ground_share)

    return fade


def _gradual(film: ShotFilm, seed: int, mix: Mix, changes_s: Iterable[float], clean_s: float, **camera: Any) -> None:
    """Show places that pass into each other; both go on moving meanwhile."""
    changes = [film.frames(second) for second in changes_s]
    clean = film.frames(clean_s)
    for index in range(len(changes) + 1):
        own = Camera(film.seed + seed + index, **camera)
        before = changes[index - 1] if index else 0
        film.show(own.shoot(clean, film.fps, start=before))
        if index < len(changes):
            count = changes[index]
            ending = own.shoot(count, film.fps, start=before + clean)
            starting = Camera(film.seed + seed + index + 1, **camera).shoot(count, film.fps)
            shares = ((step + 1) / (count + 1) for step in range(count))
            film.show(map(mix, ending, starting, shares), place=False)


def dissolves(film: ShotFilm) -> None:
    """Dissolves of a third of a second to three."""
    _gradual(film, 800, _dissolve, (0.33, 0.5, 1.0, 1.5, 1.5, 2.0, 3.0), 1.5)


def wipes(film: ShotFilm) -> None:
    """Wipes from left to right."""
    _gradual(film, 820, _wipe, (0.5, 1.0, 1.0, 1.5, 2.0, 3.0), 1.5)


def irises(film: ShotFilm) -> None:
    """Irises that open on the next place."""
    _gradual(film, 840, _iris, (0.5, 1.0, 1.0, 1.5, 2.0, 3.0), 1.5)


def white_fades(film: ShotFilm) -> None:
    """Fades to white and back."""
    _gradual(film, 860, _through(250), (0.5, 1.0, 1.0, 1.5, 2.0, 3.0), 1.5)


def black_fades(film: ShotFilm) -> None:
    """Fades to black and back."""
    _gradual(film, 880, _through(0), (0.5, 1.0, 1.0, 1.5, 2.0, 3.0), 1.5)


def slides(film: ShotFilm) -> None:
    """Still pictures of a second each."""
    _hard(film, 900, 16, 0.9, 1.1, action=0.0)


def ken_burns(film: ShotFilm) -> None:
    """Still pictures, slowly magnified, that dissolve into each other."""
    _gradual(film, 920, _dissolve, [1.0] * 9, 2.5, action=0.0, zoom=0.04)


def one_take(film: ShotFilm) -> None:
    """A camera that moves past one place after the other and never cuts."""
    panels = [scene(film.seed + 950 + index, WIDTH, HEIGHT) for index in range(8)]
    wide = np.concatenate(panels, axis=1)
    speed = 0.4  # frame widths per second
    for index in range(film.frames((len(panels) - 1) / speed)):
        x = index / film.fps * speed * WIDTH
        film.pictures.append(np.asarray(cv2.getRectSubPix(wide, (WIDTH, HEIGHT), (x + WIDTH / 2, HEIGHT / 2)), np.uint8))
    # A panel is represented by a frame that shows more of it than of the next.
    film.places += [(max(0.0, (index - 0.5) / speed), (index + 0.5) / speed) for index in range(len(panels))]


KINDS: tuple[Callable[[ShotFilm], None], ...] = (
    *(cuts, held, held_grain, repeats, slow_pans, fast_pans, short, dark, fog, flashes),
    *(dissolves, wipes, irises, white_fades, black_fades, slides, ken_burns, one_take),
)
RATES = (12, 24, 30, 60)


def draw(kind: Callable[[ShotFilm], None], fps: int, seed: int = 0) -> ShotFilm:
    """Draw one film; other seeds show other places."""
    film = ShotFilm(kind.__name__, fps, seed)
    kind(film)
    return film
