"""Drawing primitives: outlined flat areas, tapered strokes, clipping, gradients, and layers seen through a moving camera.

Everything is drawn in design units (a picture is 1280 units wide), so that the same drawing can be rendered at any size. A
`Canvas` is pixels with an affine map from units to pixels: `Canvas.transform` returns one in other coordinates, `Canvas.clip`
one that draws inside a shape only.
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
Color = tuple[int, int, int]
Draw = Callable[[float], Pixels]  # seconds since the start of the shot -> frame

OUTLINE: Color = (52, 40, 52)
SUB = 4  # fractional bits of OpenCV coordinates: a sixteenth of a pixel
SUPERSAMPLING = 2


def rgb(code: str) -> Color:
    """Parse a color: 'f4e9d8' -> (244, 233, 216)."""
    return int(code[0:2], 16), int(code[2:4], 16), int(code[4:6], 16)


def mix(a: Color, b: Color, part: float) -> Color:
    """Mix two colors: `part` 0 gives a, 1 gives b."""
    r, g, bl = (round(x + (y - x) * part) for x, y in zip(a, b, strict=True))
    return r, g, bl


def smoothstep(t: float, start: float = 0.0, end: float = 1.0) -> float:
    """Rise smoothly from 0 at `start` to 1 at `end`."""
    u = min(max((t - start) / (end - start), 0.0), 1.0)
    return u * u * (3 - 2 * u)


@cache
def _spline(steps: int) -> Points:
    """Return the weights of a Catmull-Rom segment's four control points at `steps` positions: (steps, 4)."""
    t = np.arange(steps) / steps
    return 0.5 * np.stack([-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2], 1)


def curve(points: ArrayLike, closed: bool = False, steps: int = 8) -> Points:
    """Draw a Catmull-Rom curve through points: (n, 2) -> (m, 2)."""
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
    """Return `count` numbers from 0 to 1 in even steps."""
    return np.linspace(0, 1, count)


def ellipse(x: float, y: float, rx: float, ry: float, start: float = 0, end: float = 360, count: int = 36) -> Points:
    """Return points of an ellipse, or of an arc of it (degrees, clockwise on the screen)."""
    return _arc(start, end, count) * (rx, ry) + (x, y)


def box(x: float, y: float, w: float, h: float) -> Points:
    """Return the four corners of an upright rectangle."""
    return np.array([(x, y), (x + w, y), (x + w, y + h), (x, y + h)], np.float64)


def scalloped(
    x: float, y: float, rx: float, ry: float, rng: np.random.Generator, lobes: int = 9, depth: float = 0.13
) -> Points:
    """Return a scalloped ellipse: the outline of a lump of cloud or of a tree's crown."""
    a = np.linspace(0, 2 * np.pi, lobes * 8, endpoint=False)
    warp = a + 0.22 * np.sin(a * 2 + rng.uniform(0, 6)) + rng.uniform(0, 6)
    r = 1 - depth + depth * 2 * np.abs(np.sin(warp * lobes / 2)) ** 0.7
    return np.stack([x + rx * r * np.cos(a), y + ry * r * np.sin(a)], 1)


def _normals(p: Points, closed: bool) -> Points:
    """Return unit normals of a path, stretched at corners so that an offset path keeps its distance."""
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

    def transform(self, x: float, y: float, scale: float = 1.0, angle: float = 0.0, flip: bool = False) -> Canvas:
        """Return a canvas on the same pixels with its origin at (x, y), turned by `angle` degrees, scaled, mirrored."""
        c, s = np.cos(np.radians(angle)) * scale, np.sin(np.radians(angle)) * scale
        local = np.array([[c, s], [-s, c]]) * np.array([[-1.0 if flip else 1.0], [1.0]])
        return Canvas(self.pixels, local @ self.turn, np.array([x, y]) @ self.turn + self.shift)

    def _to_pixels(self, points: ArrayLike) -> Points:
        return np.asarray(points, np.float64) @ self.turn + self.shift

    def _paint(self, pixel_points: Points) -> NDArray[np.int32]:
        return np.rint(pixel_points * (1 << SUB)).astype(np.int32)

    def _colour(self, color: Color) -> tuple[int, ...]:
        return (*color, 255)[: self.pixels.shape[2]]

    def _window(self, p: Points, pad: int = 2) -> tuple[slice, slice]:
        h, w = self.pixels.shape[:2]
        x0, y0 = np.clip(np.floor(p.min(0)) - pad, 0, (w, h)).astype(int)
        x1, y1 = np.clip(np.ceil(p.max(0)) + pad + 1, 0, (w, h)).astype(int)
        return slice(int(y0), int(y1)), slice(int(x0), int(x1))

    def _blend(self, window: tuple[slice, slice], mask: NDArray[np.float32], color: Color) -> None:
        """Blend a color into a window of the pixels by a mask in [0, 1]."""
        old = self.pixels[window].astype(np.float32)
        old += (np.array(self._colour(color), np.float32) - old) * mask[..., None]
        self.pixels[window] = np.rint(old).astype(np.uint8)

    def mask(self, points: ArrayLike) -> tuple[tuple[slice, slice], NDArray[np.float32]]:
        """Return the window of pixels that a shape touches, and its coverage of each: float32 in [0, 1]."""
        p = self._to_pixels(points)
        window = self._window(p)
        cover = np.zeros((window[0].stop - window[0].start, window[1].stop - window[1].start), np.uint8)
        if cover.size:
            origin = (window[1].start, window[0].start)
            cv2.fillPoly(cover, [self._paint(p - origin)], (255,), cv2.LINE_AA, SUB)
        return window, cover.astype(np.float32) / np.float32(255)

    def fill(self, points: ArrayLike, color: Color, alpha: float = 1.0) -> None:
        """Fill a shape without outline."""
        if alpha >= 1:
            pixel_points = self._paint(self._to_pixels(points))
            cv2.fillPoly(self.pixels, [pixel_points], self._colour(color), cv2.LINE_AA, SUB)
            return
        window, cover = self.mask(points)
        if cover.size:
            self._blend(window, cover * np.float32(alpha), color)

    def shape(self, points: ArrayLike, fill: Color, outline: Color = OUTLINE, width: float = 2.4) -> None:
        """Draw a closed flat area with an outline that is heavier on the shadow side (below and to the right)."""
        p = np.asarray(points, np.float64)
        outward = _normals(p, closed=True)
        x, y = p[:, 0], p[:, 1]
        if float(x[:-1] @ y[1:] - x[1:] @ y[:-1] + x[-1] * y[0] - x[0] * y[-1]) < 0:
            outward = -outward
        weight = 0.5 * width * (1 + 0.35 * np.clip(outward @ (0.55, 0.83), -1, 1))[:, None]
        self.fill(p + outward * weight, outline)
        self.fill(p - outward * weight, fill)

    def stroke(
        self,
        points: ArrayLike,
        color: Color = OUTLINE,
        width: float = 2.4,
        taper: tuple[float, float] = (0.25, 0.25),
        alpha: float = 1.0,
    ) -> None:
        """Draw a line that tapers over the given parts of its length at the start and at the end."""
        p = np.asarray(points, np.float64)
        if len(p) == 2 and max(taper) > 0:
            p = p[0] + (p[1] - p[0]) * ramp(7)[:, None]
        u = ramp(len(p))
        w = np.minimum(u / max(taper[0], 1e-6), (1 - u) / max(taper[1], 1e-6))
        half = 0.5 * width * (0.12 + 0.88 * np.sin(np.clip(w, 0, 1) * np.pi / 2)) if max(taper) > 0 else 0.5 * width + 0 * u
        side = _normals(p, closed=False) * half[:, None]
        self.fill(np.concatenate([p + side, (p - side)[::-1]]), color, alpha)

    def dash(self, x: float, y: float, half: float, thick: float, color: Color) -> None:
        """Draw a horizontal lens of light on water: `half` is half its length, `thick` its height."""
        self.fill(LENS * (half, thick / 2) + (x, y), color)

    @contextmanager
    def clip(self, points: ArrayLike) -> Iterator[Canvas]:
        """Yield a canvas that draws inside a shape only: for shadows, highlights, patterns."""
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

    def glow(self, x: float, y: float, rx: float, ry: float, color: Color, strength: float = 0.6) -> None:
        """Draw a soft round light or shade that fades out at its rim."""
        p = self._to_pixels(box(x - rx, y - ry, 2 * rx, 2 * ry))
        window = self._window(p, 0)
        ys, xs = np.ogrid[window]
        centre = self._to_pixels([(x, y)])[0]
        d = np.hypot((xs - centre[0]) / (rx * self.unit), (ys - centre[1]) / (ry * self.unit))
        fall = np.clip(1 - d, 0, 1)
        self._blend(window, (strength * fall * fall * (3 - 2 * fall)).astype(np.float32), color)

    def blur(self, radius: float) -> None:
        """Blur everything drawn so far."""
        self.pixels[...] = cv2.GaussianBlur(self.pixels, (0, 0), radius * self.unit, borderType=cv2.BORDER_REPLICATE)

    def gradient(self, top: float, bottom: float, stops: Sequence[tuple[float, Color]], dither: float = 0.9) -> None:
        """Draw a vertical gradient over the whole width between two heights; stops are (part of the way, color)."""
        y0, y1 = (round(float(self._to_pixels([(0.0, y)])[0, 1])) for y in (top, bottom))
        rows = np.linspace(0, 1, max(y1 - y0, 1))
        colors = np.stack([np.interp(rows, [s for s, _ in stops], [c[i] for _, c in stops]) for i in range(3)], 1)
        low, high = max(y0, 0), min(y1, self.pixels.shape[0])
        if high <= low:
            return
        width = self.pixels.shape[1]
        noise = np.random.default_rng(7).uniform(-dither, dither, (high - low, width, 1))
        self.pixels[low:high, :, :3] = np.clip(np.rint(colors[low - y0 : high - y0, None] + noise), 0, 255)
        if self.pixels.shape[2] == 4:
            self.pixels[low:high, :, 3] = 255


@dataclass(frozen=True)
class Layer:
    """A painted layer (premultiplied RGBA, as OpenCV warps four channels twice as fast as three) and where its corner is."""

    pixels: Pixels
    x: float
    y: float


@dataclass(frozen=True)
class ShotRenderer:
    """Renderer of a shot's frames: paints layers, composes them through a camera, and seeds everything random."""

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
        """A new random generator, seeded by this shot's name."""
        return np.random.default_rng([self.seed, *self.name.encode()])

    def paint_layer(
        self,
        draw: Callable[[Canvas], None],
        area: tuple[float, float, float, float] = (-80, -60, 1440, 664),
        opaque: bool = False,
    ) -> Layer:
        """Paint a layer, supersampled; `area` is x, y, width, height in design units."""
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
            raise ValueError(f"a layer of shot {self.name} is empty: draw inside its area {area}")
        small = small[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1].copy()
        return Layer(small, x + xs[0] / self.scale, y + ys[0] / self.scale)

    def _camera(self, x: float, y: float, zoom: float) -> tuple[float, float]:
        """Return the design origin in pixels for a camera shift and a zoom about the middle."""
        top = (self.height - 544 * self.scale) / 2
        return ((x - 640) * zoom + 640) * self.scale, ((y - 272) * zoom + 272) * self.scale + top

    def frame(self, background: Layer, x: float = 0.0, y: float = 0.0, zoom: float = 1.0) -> Pixels:
        """Start a frame with an opaque layer."""
        left, top = self._camera(x + background.x, y + background.y, zoom)
        m = np.array([[zoom, 0, left], [0, zoom, top]])
        size = (self.width, self.height)
        moved = cv2.warpAffine(background.pixels, m, size, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(cv2.cvtColor(moved, cv2.COLOR_RGBA2RGB), np.uint8)

    def add_layer(
        self, frame: Pixels, layer: Layer, x: float = 0.0, y: float = 0.0, zoom: float = 1.0, alpha: float = 1.0
    ) -> None:
        """Compose a layer onto a frame, moved by (x, y) units and zoomed, with subpixel precision."""
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
        """Return a canvas to draw on a frame through the same camera as `add_layer`."""
        return Canvas(frame, np.eye(2) * self.scale * zoom, np.array(self._camera(x, y, zoom)))


@cache
def _font(size: int) -> object:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def lettering(
    text: str, size: float, color: Color, outline: float = 0.0, spacing: float = 0.0, weight: float = 0.0
) -> tuple[Pixels, Pixels]:
    """Render a line of Latin text; sizes in pixels. Returns premultiplied color and the share of the background that shows
    through (0-255), both (h, w, 3).
    """
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
    letters, cover = np.asarray(glyph, np.float32)[..., None] / 255, np.asarray(halo, np.float32)[..., None] / 255
    out = np.array(color, np.float32) * letters
    under = np.repeat(1 - np.maximum(cover, letters), 3, 2) * 255
    return np.rint(out).astype(np.uint8), np.rint(under).astype(np.uint8)
