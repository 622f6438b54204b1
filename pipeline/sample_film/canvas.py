"""Brushes of a cel painter: ink outlines of varying width, flat areas, clipped shadow shapes, gradients, layers.

Everything is drawn in design units (a picture is 1280 units wide), so the same drawing comes out at any size. A `Canvas` is
pixels plus an affine map from units to pixels; `Canvas.at` moves the pencil, `Canvas.clip` keeps it inside a shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Pixels = NDArray[np.uint8]
Points = NDArray[np.float64]
Colour = tuple[int, int, int]
Draw = Callable[[float], Pixels]  # seconds since the shot began -> picture

INK: Colour = (52, 40, 52)
SUB = 4  # fractional bits of OpenCV coordinates: a sixteenth of a pixel
SUPERSAMPLING = 2


def rgb(code: str) -> Colour:
    """'f4e9d8' -> (244, 233, 216)."""
    return int(code[0:2], 16), int(code[2:4], 16), int(code[4:6], 16)


def mix(a: Colour, b: Colour, part: float) -> Colour:
    """The colour `part` of the way from a to b."""
    r, g, bl = (round(x + (y - x) * part) for x, y in zip(a, b, strict=True))
    return r, g, bl


def ease(t: float, start: float = 0.0, end: float = 1.0) -> float:
    """0 before `start`, 1 after `end`, a smooth step between."""
    u = min(max((t - start) / (end - start), 0.0), 1.0)
    return u * u * (3 - 2 * u)


@cache
def _spline(steps: int) -> Points:
    """Weights of the four neighbours of a Catmull-Rom segment at `steps` places along it: (steps, 4)."""
    t = np.arange(steps) / steps
    return 0.5 * np.stack([-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2], 1)


def curve(points: ArrayLike, closed: bool = False, steps: int = 8) -> Points:
    """Catmull-Rom curve through the points: (n, 2) -> (m, 2)."""
    p = np.asarray(points, np.float64)
    q = np.concatenate([p[-1:], p, p[:2]] if closed else [p[:1], p, p[-1:]])
    path: Points = (_spline(steps) @ np.stack([q[:-3], q[1:-2], q[2:-1], q[3:]], 1)).reshape(-1, 2)
    return path if closed else np.concatenate([path, p[-1:]])


@cache
def _arc(start: float, end: float, count: int) -> Points:
    a = np.radians(np.linspace(start, end, count, endpoint=end - start < 360))
    return np.stack([np.cos(a), np.sin(a)], 1)


@cache
def ramp(count: int) -> Points:
    """0 to 1 in even steps."""
    return np.linspace(0, 1, count)


def ellipse(x: float, y: float, rx: float, ry: float, start: float = 0, end: float = 360, count: int = 36) -> Points:
    """Points of an ellipse, or of an arc of it (degrees, clockwise on the screen)."""
    return _arc(start, end, count) * (rx, ry) + (x, y)


def box(x: float, y: float, w: float, h: float) -> Points:
    """The four corners of an upright rectangle."""
    return np.array([(x, y), (x + w, y), (x + w, y + h), (x, y + h)], np.float64)


def puff(x: float, y: float, rx: float, ry: float, rng: np.random.Generator, lobes: int = 9, depth: float = 0.13) -> Points:
    """A scalloped round: the outline of a cloud's lump or of a tree's crown."""
    a = np.linspace(0, 2 * np.pi, lobes * 8, endpoint=False)
    warp = a + 0.22 * np.sin(a * 2 + rng.uniform(0, 6)) + rng.uniform(0, 6)
    r = 1 - depth + depth * 2 * np.abs(np.sin(warp * lobes / 2)) ** 0.7
    return np.stack([x + rx * r * np.cos(a), y + ry * r * np.sin(a)], 1)


def _normals(p: Points, closed: bool) -> Points:
    """Unit normals, stretched at corners so that an offset keeps its distance."""
    d = np.concatenate([p[1:], p[:1]]) - p if closed else p[1:] - p[:-1]
    d /= np.maximum(np.sqrt(d[:, :1] ** 2 + d[:, 1:] ** 2), 1e-9)
    t = np.concatenate([d[-1:], d[:-1]]) + d if closed else np.concatenate([2 * d[:1], d[:-1] + d[1:], 2 * d[-1:]])
    stretch = 2 / np.maximum(t[:, :1] ** 2 + t[:, 1:] ** 2, 0.64)
    return np.concatenate([t[:, 1:], -t[:, :1]], 1) * stretch


_u = np.linspace(-1, 1, 13)
LENS = np.concatenate(
    [np.stack([_u, 1 - _u**2], 1), np.stack([_u[-2:0:-1], _u[-2:0:-1] ** 2 - 1], 1)]
)  # a dash of light, unit size


@dataclass(frozen=True)
class Canvas:
    """Pixels (uint8, RGB or premultiplied RGBA) and the map from design units to them: pixel = units @ turn + shift."""

    pixels: Pixels
    turn: Points
    shift: Points

    @property
    def unit(self) -> float:
        """Pixels per design unit."""
        return float(np.sqrt(abs(np.linalg.det(self.turn))))

    def at(self, x: float, y: float, scale: float = 1.0, angle: float = 0.0, flip: bool = False) -> Canvas:
        """The same pixels, with the origin at (x, y), turned by `angle` degrees, scaled, mirrored if `flip`."""
        c, s = np.cos(np.radians(angle)) * scale, np.sin(np.radians(angle)) * scale
        local = np.array([[c, s], [-s, c]]) * np.array([[-1.0 if flip else 1.0], [1.0]])
        return Canvas(self.pixels, local @ self.turn, np.array([x, y]) @ self.turn + self.shift)

    def _to_pixels(self, points: ArrayLike) -> Points:
        return np.asarray(points, np.float64) @ self.turn + self.shift

    def _paint(self, pixel_points: Points) -> NDArray[np.int32]:
        return np.rint(pixel_points * (1 << SUB)).astype(np.int32)

    def _colour(self, colour: Colour) -> tuple[int, ...]:
        return (*colour, 255)[: self.pixels.shape[2]]

    def _window(self, p: Points, pad: int = 2) -> tuple[slice, slice]:
        h, w = self.pixels.shape[:2]
        x0, y0 = np.clip(np.floor(p.min(0)) - pad, 0, (w, h)).astype(int)
        x1, y1 = np.clip(np.ceil(p.max(0)) + pad + 1, 0, (w, h)).astype(int)
        return slice(int(y0), int(y1)), slice(int(x0), int(x1))

    def _blend(self, window: tuple[slice, slice], mask: NDArray[np.float32], colour: Colour) -> None:
        """Lay a colour over a window with a mask in [0, 1]."""
        old = self.pixels[window].astype(np.float32)
        old += (np.array(self._colour(colour), np.float32) - old) * mask[..., None]
        self.pixels[window] = np.rint(old).astype(np.uint8)

    def mask(self, points: ArrayLike) -> tuple[tuple[slice, slice], NDArray[np.float32]]:
        """The window of the pixels that a shape touches, and how much of each it covers."""
        p = self._to_pixels(points)
        window = self._window(p)
        cover = np.zeros((window[0].stop - window[0].start, window[1].stop - window[1].start), np.uint8)
        if cover.size:
            origin = (window[1].start, window[0].start)
            cv2.fillPoly(cover, [self._paint(p - origin)], (255,), cv2.LINE_AA, SUB)
        return window, cover.astype(np.float32) / np.float32(255)

    def fill(self, points: ArrayLike, colour: Colour, alpha: float = 1.0) -> None:
        """A flat area without outline."""
        if alpha >= 1:
            pixel_points = self._paint(self._to_pixels(points))
            cv2.fillPoly(self.pixels, [pixel_points], self._colour(colour), cv2.LINE_AA, SUB)
            return
        window, cover = self.mask(points)
        if cover.size:
            self._blend(window, cover * np.float32(alpha), colour)

    def shape(self, points: ArrayLike, fill: Colour, ink: Colour = INK, width: float = 2.4) -> None:
        """A closed flat area with an ink outline that is heavier on the shadow side (below and to the right)."""
        p = np.asarray(points, np.float64)
        outward = _normals(p, closed=True)
        x, y = p[:, 0], p[:, 1]
        if float(x[:-1] @ y[1:] - x[1:] @ y[:-1] + x[-1] * y[0] - x[0] * y[-1]) < 0:
            outward = -outward
        weight = 0.5 * width * (1 + 0.35 * np.clip(outward @ (0.55, 0.83), -1, 1))[:, None]
        self.fill(p + outward * weight, ink)
        self.fill(p - outward * weight, fill)

    def stroke(
        self,
        points: ArrayLike,
        colour: Colour = INK,
        width: float = 2.4,
        taper: tuple[float, float] = (0.25, 0.25),
        alpha: float = 1.0,
    ) -> None:
        """A pen line that swells and thins: `taper` is the part of its length that thins at the start and at the end."""
        p = np.asarray(points, np.float64)
        if len(p) == 2 and max(taper) > 0:
            p = p[0] + (p[1] - p[0]) * ramp(7)[:, None]
        u = ramp(len(p))
        w = np.minimum(u / max(taper[0], 1e-6), (1 - u) / max(taper[1], 1e-6))
        half = 0.5 * width * (0.12 + 0.88 * np.sin(np.clip(w, 0, 1) * np.pi / 2)) if max(taper) > 0 else 0.5 * width + 0 * u
        side = _normals(p, closed=False) * half[:, None]
        self.fill(np.concatenate([p + side, (p - side)[::-1]]), colour, alpha)

    def dash(self, x: float, y: float, half: float, thick: float, colour: Colour) -> None:
        """A level lens of light on water, `half` its length and `thick` high."""
        self.fill(LENS * (half, thick / 2) + (x, y), colour)

    @contextmanager
    def clip(self, points: ArrayLike) -> Iterator[Canvas]:
        """A canvas that keeps what is drawn on it inside the shape: for shadows, highlights, patterns."""
        window, cover = self.mask(points)
        if not cover.size:  # out of the picture: let it draw on scrap
            yield Canvas(np.zeros((1, 1, self.pixels.shape[2]), np.uint8), self.turn, self.shift)
            return
        before = self.pixels[window].copy()
        inner = Canvas(before.copy(), self.turn, self.shift - np.array([window[1].start, window[0].start], np.float64))
        yield inner
        old = before.astype(np.float32)
        old += (inner.pixels.astype(np.float32) - old) * cover[..., None]
        self.pixels[window] = np.rint(old).astype(np.uint8)

    def glow(self, x: float, y: float, rx: float, ry: float, colour: Colour, strength: float = 0.6) -> None:
        """A soft round light (or shade) that fades out at the rim."""
        p = self._to_pixels(box(x - rx, y - ry, 2 * rx, 2 * ry))
        window = self._window(p, 0)
        ys, xs = np.ogrid[window]
        centre = self._to_pixels([(x, y)])[0]
        d = np.hypot((xs - centre[0]) / (rx * self.unit), (ys - centre[1]) / (ry * self.unit))
        fall = np.clip(1 - d, 0, 1)
        self._blend(window, (strength * fall * fall * (3 - 2 * fall)).astype(np.float32), colour)

    def soften(self, radius: float) -> None:
        """Put all that is there out of focus."""
        self.pixels[...] = cv2.GaussianBlur(self.pixels, (0, 0), radius * self.unit, borderType=cv2.BORDER_REPLICATE)

    def gradient(self, top: float, bottom: float, stops: Sequence[tuple[float, Colour]], dither: float = 0.9) -> None:
        """A vertical gradient over the whole width between two heights; stops are (part of the way, colour)."""
        y0, y1 = (round(float(self._to_pixels([(0.0, y)])[0, 1])) for y in (top, bottom))
        rows = np.linspace(0, 1, max(y1 - y0, 1))
        colours = np.stack([np.interp(rows, [s for s, _ in stops], [c[i] for _, c in stops]) for i in range(3)], 1)
        low, high = max(y0, 0), min(y1, self.pixels.shape[0])
        if high <= low:
            return
        width = self.pixels.shape[1]
        noise = np.random.default_rng(7).uniform(-dither, dither, (high - low, width, 1))
        self.pixels[low:high, :, :3] = np.clip(np.rint(colours[low - y0 : high - y0, None] + noise), 0, 255)
        if self.pixels.shape[2] == 4:
            self.pixels[low:high, :, 3] = 255


@dataclass(frozen=True)
class Layer:
    """A painted sheet (premultiplied RGBA: OpenCV warps four channels twice as fast as three) and where its corner lies."""

    pixels: Pixels
    x: float
    y: float


@dataclass(frozen=True)
class Easel:
    """The picture being painted: its size in pixels, and the seed of everything random in it."""

    width: int
    height: int
    seed: int
    name: str
    seconds: float

    @property
    def scale(self) -> float:
        return self.width / 1280

    @property
    def rng(self) -> np.random.Generator:
        """A fresh generator that belongs to this shot alone."""
        return np.random.default_rng([self.seed, *self.name.encode()])

    def layer(
        self,
        draw: Callable[[Canvas], None],
        area: tuple[float, float, float, float] = (-80, -60, 1440, 664),
        opaque: bool = False,
    ) -> Layer:
        """Paint a sheet once, supersampled; `area` is x, y, width, height in design units."""
        x, y, w, h = area
        size = (max(round(w * self.scale), 1), max(round(h * self.scale), 1))
        fine = self.scale * SUPERSAMPLING
        pixels = np.zeros((size[1] * SUPERSAMPLING, size[0] * SUPERSAMPLING, 3 if opaque else 4), np.uint8)
        draw(Canvas(pixels, np.eye(2) * fine, np.array([-x, -y]) * fine))
        small = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
        if opaque:
            return Layer(np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2RGBA), np.uint8), x, y)
        ys, xs = np.nonzero(small[..., 3].max(1))[0], np.nonzero(small[..., 3].max(0))[0]
        if not len(ys):
            raise ValueError(f"a sheet of shot {self.name} is empty: draw inside its area {area}")
        small = small[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1].copy()
        return Layer(small, x + xs[0] / self.scale, y + ys[0] / self.scale)

    def _camera(self, x: float, y: float, zoom: float) -> tuple[float, float]:
        """Where the design origin falls, in pixels, when the camera looks through this shift and zoom (about the middle)."""
        top = (self.height - 544 * self.scale) / 2
        return ((x - 640) * zoom + 640) * self.scale, ((y - 272) * zoom + 272) * self.scale + top

    def frame(self, background: Layer, x: float = 0.0, y: float = 0.0, zoom: float = 1.0) -> Pixels:
        """A new picture from an opaque sheet."""
        left, top = self._camera(x + background.x, y + background.y, zoom)
        m = np.array([[zoom, 0, left], [0, zoom, top]])
        size = (self.width, self.height)
        moved = cv2.warpAffine(background.pixels, m, size, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(cv2.cvtColor(moved, cv2.COLOR_RGBA2RGB), np.uint8)

    def lay(self, frame: Pixels, layer: Layer, x: float = 0.0, y: float = 0.0, zoom: float = 1.0, alpha: float = 1.0) -> None:
        """Lay a sheet over a picture, moved by (x, y) units and zoomed, to a fraction of a pixel."""
        left, top = self._camera(x + layer.x, y + layer.y, zoom)
        h, w = layer.pixels.shape[:2]
        x0, y0 = max(int(np.floor(left)) - 1, 0), max(int(np.floor(top)) - 1, 0)
        x1, y1 = min(int(np.ceil(left + w * zoom)) + 1, self.width), min(int(np.ceil(top + h * zoom)) + 1, self.height)
        if x1 <= x0 or y1 <= y0:
            return
        moved = cv2.warpAffine(layer.pixels, np.array([[zoom, 0, left - x0], [0, zoom, top - y0]]), (x1 - x0, y1 - y0))
        if alpha < 1:
            moved = cv2.convertScaleAbs(moved, alpha=alpha)
        under = cv2.cvtColor(cv2.bitwise_not(cv2.extractChannel(moved, 3)), cv2.COLOR_GRAY2RGB)
        area = frame[y0:y1, x0:x1]
        area[...] = cv2.add(cv2.multiply(area, under, scale=1 / 255), cv2.cvtColor(moved, cv2.COLOR_RGBA2RGB))

    def canvas(self, frame: Pixels, x: float = 0.0, y: float = 0.0, zoom: float = 1.0) -> Canvas:
        """A canvas on a picture, seen by the same camera as `lay`."""
        return Canvas(frame, np.eye(2) * self.scale * zoom, np.array(self._camera(x, y, zoom)))


@cache
def _font(size: int) -> object:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def lettering(
    text: str, size: float, colour: Colour, outline: float = 0.0, spacing: float = 0.0, weight: float = 0.0
) -> tuple[Pixels, Pixels]:
    """A line of Latin text: premultiplied colour and what shows under it, both (h, w, 3); measures in pixels."""
    from PIL import Image, ImageDraw

    font, edge = _font(max(round(size), 6)), outline + weight
    probe = ImageDraw.Draw(Image.new("L", (1, 1)))
    advance = [probe.textlength(c, font=font) + spacing for c in text]  # type: ignore[arg-type]
    width, height = int(np.ceil(sum(advance) + 2 * edge)) + 4, int(np.ceil(size * 1.4 + 2 * edge))
    glyph, halo = Image.new("L", (width, height)), Image.new("L", (width, height))
    x = edge + 2.0
    for c, step in zip(text, advance, strict=True):
        ImageDraw.Draw(glyph).text((x, edge), c, 255, font=font, stroke_width=weight)  # type: ignore[arg-type]
        ImageDraw.Draw(halo).text((x, edge), c, 255, font=font, stroke_width=edge)  # type: ignore[arg-type]
        x += step
    ink, cover = np.asarray(glyph, np.float32)[..., None] / 255, np.asarray(halo, np.float32)[..., None] / 255
    out = np.array(colour, np.float32) * ink
    under = np.repeat(1 - np.maximum(cover, ink), 3, 2) * 255
    return np.rint(out).astype(np.uint8), np.rint(under).astype(np.uint8)
