"""The scenery of the sample film: clouds, sea, hills, houses, wires, trees, a train. Outlines are thin, or there are none."""

from collections.abc import Sequence

import numpy as np

from pipeline.sample_film.canvas import OUTLINE, Canvas, Color, Points, box, curve, ellipse, mix, ramp, rgb, scalloped

LEAF = (rgb("cfe08e"), rgb("92bd68"), rgb("5c9459"), rgb("3b6b55"))  # lit, half, shade, deep
PINE = (rgb("9cc47c"), rgb("629a68"), rgb("3f7660"), rgb("2d5a55"))
BARK, POST, GULL = rgb("6d5148"), rgb("57505a"), rgb("fffdf6")
CLOUD = (rgb("fffdf4"), rgb("e6eef5"), rgb("bccfe4"))


def cumulus(
    c: Canvas, x: float, base: float, w: float, h: float, rng: np.random.Generator, tones: Sequence[Color] = CLOUD
) -> None:
    """Draw a cumulus cloud: lumps from the back (top) to the front (base), each lit from the upper left and shaded below."""
    lit, half, shade = tones
    lumps = []
    for i in range(max(int(w / 26), 7)):
        u = rng.uniform(-1, 1)
        top = h * (1 - abs(u) ** 1.7) * (0.72 + 0.28 * np.cos(3 * u + w))
        v = rng.uniform(0.0, 0.92) if i % 3 else 0.9
        r = (0.10 + 0.12 * (1 - v)) * w * rng.uniform(0.55, 1.0) * (1 - 0.45 * abs(u))
        lumps.append((x + u * w * 0.5, base - v * top, r))
    lumps.sort(key=lambda lump: lump[1])
    for lx, ly, r in lumps:
        outline = scalloped(lx, ly, r, r * 0.88, rng, 8)
        c.fill(outline, half)
        with c.clip(outline) as k:
            low = max(0.0, 1 - (base - ly) / (0.55 * h))
            k.fill(scalloped(lx - r * 0.28, ly - r * 0.31, r * 0.9, r * 0.77, rng, 8), mix(lit, half, 0.3 * low))
            k.fill(scalloped(lx + r * 0.4, ly + r * 0.86, r * 0.98, r * 0.62, rng, 6), mix(half, shade, 0.65 + 0.35 * low))
    for _ in range(int(w / 38)):
        u = rng.uniform(-0.58, 0.58)
        c.fill(
            scalloped(x + u * w, base + rng.uniform(-2, 7), rng.uniform(0.06, 0.11) * w, rng.uniform(8, 15), rng, 6, 0.2),
            mix(half, shade, rng.uniform(0.1, 0.9)),
        )


def cirrus(
    c: Canvas,
    x: float,
    y: float,
    w: float,
    rng: np.random.Generator,
    color: Color,
    count: int = 7,
    alpha: float = 0.8,
) -> None:
    """Draw flat streaks of high cloud."""
    for _ in range(count):
        cx, cy, half = x + rng.uniform(-0.5, 0.5) * w, y + rng.uniform(-26, 26), w * rng.uniform(0.08, 0.26)
        c.stroke(curve([(cx - half, cy + 4), (cx - half * 0.3, cy - 3), (cx + half * 0.4, cy + 2),
            (cx + half, cy - 3)]), color, rng.uniform(4, 11),
                 (0.45, 0.45), alpha)  # fmt: skip


def water(
    c: Canvas, top: float, bottom: float, stops: Sequence[tuple[float, Color]], left: float = -400, right: float = 1900
) -> None:
    """Draw a sea in flat bands with slightly wavering edges, from the horizon down."""
    colors = [color for _, color in stops]
    for i, (part, color) in enumerate(stops):
        y = top + (bottom - top) * part
        if i == 0:
            c.fill(box(left, y, right - left, bottom - y + 40), color)
            continue
        xs = np.linspace(left, right, 70)
        for step, tint in ((0, mix(colors[i - 1], color, 0.5)), (6 + 14 * part, color)):
            edge = y + step + (1 + 3.5 * part) * np.sin(xs / (40 + 60 * part) + i * 2) + (1 + 2 * part) * np.sin(xs / 23 + i)
            c.fill(np.concatenate([np.stack([xs, edge], 1), [(right, bottom + 40), (left, bottom + 40)]]), tint)


def glints(
    c: Canvas,
    t: float,
    rng: np.random.Generator,
    area: tuple[float, float, float, float],
    count: int,
    color: Color,
    size: float = 1.0,
) -> None:
    """Draw highlights on water: lens-shaped dashes that slide, grow and shrink; small far away, broad near."""
    x, y, w, h = area
    us, vs, phases, speeds = (
        rng.random(count),
        np.sort(rng.random(count) ** 1.5),
        rng.random(count) * 6.3,
        rng.uniform(0.5, 1.2, count),
    )
    for u, v, phase, speed in zip(us, vs, phases, speeds, strict=True):
        life = 0.5 + 0.5 * np.sin(1.7 * speed * t + phase)
        if life < 0.12:
            continue
        half = (7 + 40 * v) * life * size
        cx = x + (u * w + 9 * t * speed * (0.3 + v)) % w
        cy = y + v * h
        c.dash(cx, cy, half, (1.3 + 3.0 * v) * size, color)


def ridge(points: Sequence[tuple[float, float]], rng: np.random.Generator, rough: float, floor: float) -> Points:
    """Return the outline of a wooded hill: a curve with scalloped crowns of trees, closed along the floor."""
    p = curve(points, steps=14)
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(p, axis=0).T))])
    fine = np.arange(0, along[-1], 2.5)
    x, y = np.interp(fine, along, p[:, 0]), np.interp(fine, along, p[:, 1])
    period = 15 + rough * 2.2
    y = (
        y
        - rough * np.abs(np.sin(fine * np.pi / period + 1.1 * np.sin(fine / 61)))
        - 0.5 * rough * np.sin(fine / 37 + rng.uniform(0, 6))
    )
    return np.concatenate([np.stack([x, y], 1), [(x[-1], floor), (x[0], floor)]])


def hill(
    c: Canvas,
    points: Sequence[tuple[float, float]],
    rng: np.random.Generator,
    tones: Sequence[Color],
    rough: float = 6,
    floor: float = 620,
) -> None:
    """Draw a wooded hill in flat tones: lit crowns over a shaded mass."""
    lit, half, shade = tones[:3]
    outline = ridge(points, rng, rough, floor)
    c.fill(outline, half)
    top = curve(points, steps=14)
    with c.clip(outline) as k:
        for row in range(7):
            drop = 14 + row * rough * 3.6
            for i in rng.permutation(len(top))[: int(len(top) * 0.7)]:
                x, y = top[i] + (rng.uniform(-10, 10), drop + rng.uniform(-7, 7))
                r = rough * rng.uniform(0.9, 1.9)
                k.fill(scalloped(x + 2, y + r * 0.7, r * 1.5, r * 0.9, rng, 6, 0.2), shade)
                if rng.random() < 0.62 - row * 0.06:
                    k.fill(scalloped(x - 1, y - r * 0.1, r * 1.25, r * 0.75, rng, 6, 0.2), lit if rng.random() < 0.5 else half)


def tree(
    c: Canvas,
    x: float,
    base: float,
    size: float,
    rng: np.random.Generator,
    tones: Sequence[Color] = LEAF,
    trunk: Color = BARK,
) -> None:
    """Draw a round tree: a forked trunk and lumps of leaves, lit from the upper left."""
    lit, half, shade, deep = tones
    s = size
    fork = [(-0.11, 0.01), (-0.045, -0.1), (-0.035, -0.36), (-0.17, -0.66), (-0.13, -0.68), (0.0, -0.46),
        (0.12, -0.7), (0.16, -0.68), (0.04, -0.36),
            (0.05, -0.1), (0.12, 0.01)]  # fmt: skip
    bark = np.concatenate([curve(np.array(fork) * s + (x, base), steps=4)])
    c.shape(bark, trunk, mix(trunk, OUTLINE, 0.5), 1.6)
    with c.clip(bark) as k:
        k.fill(
            np.array([(0.02, 0.05), (0.0, -0.4), (0.05, -0.8), (0.4, -0.8), (0.4, 0.05)]) * s + (x, base),
            mix(trunk, OUTLINE, 0.4),
        )
    spots = [
        (-0.30, 0.62, 0.26),
        (0.30, 0.6, 0.26),
        (0.0, 0.58, 0.28),
        (-0.18, 0.86, 0.27),
        (0.2, 0.84, 0.27),
        (0.0, 1.02, 0.26),
        (0.02, 0.76, 0.3),
    ]
    for dx, dy, r in spots:
        c.fill(scalloped(x + dx * s, base - dy * s, r * s * 1.05, r * s * 0.9, rng, 9), deep)
    for tone, ox, oy, shrink in ((shade, -0.02, 0.02, 0.95), (half, -0.05, 0.06, 0.74), (lit, -0.08, 0.11, 0.45)):
        for dx, dy, r in spots:
            jx, jy, grow = rng.uniform(-0.05, 0.05), rng.uniform(-0.04, 0.04), shrink * rng.uniform(0.75, 1.12)
            c.fill(
                scalloped(x + (dx + ox + jx) * s, base - (dy + oy + jy) * s, r * s * grow, r * s * 0.8 * grow, rng, 9, 0.17),
                tone,
            )


def tuft(c: Canvas, x: float, y: float, size: float, lean: float, color: Color, blades: int, rng: np.random.Generator) -> None:
    """Draw a few blades of grass that lean with the wind."""
    for _ in range(blades):
        dx, h = rng.uniform(-0.5, 0.5) * size, size * rng.uniform(0.5, 1.0)
        tip = (x + dx * 1.5 + lean * h, y - h)
        c.fill(
            [
                (x + dx - size * 0.045, y),
                (x + dx + lean * h * 0.25, y - h * 0.55),
                tip,
                (x + dx + size * 0.06 + lean * h * 0.2, y - h * 0.5),
                (x + dx + size * 0.05, y),
            ],
            color,
        )


def house(
    c: Canvas,
    x: float,
    base: float,
    w: float,
    h: float,
    rng: np.random.Generator,
    wall: Color,
    roof: Color,
    line: Color = OUTLINE,
    lit: float = 0.0,
) -> None:
    """Draw a house seen a little from the left: sunny front, shaded side, tiled hip roof, windows (`lit`: share that glows)."""
    line_width, depth, rise = 1.7, w * 0.36, h * 0.42
    shade, roof_shade = mix(wall, rgb("7f8fb8"), 0.42), mix(roof, rgb("3f3f66"), 0.38)
    c.shape(box(x + w - 1, base - h, depth, h), shade, line, line_width)
    c.shape(box(x, base - h, w, h), wall, line, line_width)
    c.fill(box(x, base - h, w, h * 0.13), mix(wall, shade, 0.85))
    eaves = w * 0.07
    front = [
        (x - eaves, base - h + 3),
        (x + w * 0.2, base - h - rise),
        (x + w * 0.8, base - h - rise),
        (x + w + eaves * 0.4, base - h + 3),
    ]
    side = [
        (x + w * 0.8, base - h - rise),
        (x + w + depth - w * 0.14, base - h - rise * 0.98),
        (x + w + depth + eaves, base - h + 3),
        (x + w + eaves * 0.4, base - h + 3),
    ]
    c.shape(side, roof_shade, line, line_width)
    c.shape(front, roof, line, line_width)
    with c.clip(front) as k:
        for i in range(1, 5):
            y = base - h + 3 - rise * i / 5
            k.stroke([(x - w, y), (x + 2 * w, y)], mix(roof, roof_shade, 0.75), 1.5, (0, 0))
        for i in range(12):
            u = i / 11
            k.stroke(
                [(x - eaves + (w + 1.4 * eaves) * u, base - h + 3), (x + w * (0.2 + 0.6 * u), base - h - rise)],
                mix(roof, roof_shade, 0.6),
                1.1,
                (0, 0),
            )
    for row in range(max(int(h / 44), 1)):
        for col in range(max(int(w / 36), 1)):
            pitch = w / max(int(w / 36), 1)
            wx, wy = x + pitch * (col + 0.5) - 8, base - h + 14 + row * 40
            if wy + 22 > base:
                continue
            glass = rgb("ffdf94") if rng.random() < lit else mix(rgb("7fa3bd"), wall, 0.12 if lit == 0 else 0.5)
            c.shape(box(wx, wy, 17, 20), glass, line, 1.3)
            if lit == 0:
                c.fill([(wx + 2, wy + 2), (wx + 9, wy + 2), (wx + 3, wy + 13)], mix(glass, CLOUD[0], 0.6))
            c.stroke([(wx + 8.5, wy), (wx + 8.5, wy + 20)], mix(line, wall, 0.3), 1.3, (0, 0))


def town(
    c: Canvas, rng: np.random.Generator, spans: Sequence[tuple[float, float, float, float]], haze: Color, outline: Color
) -> None:
    """Draw rows of houses from the back to the front: spans are (left, right, base height, size); near rows have less haze."""
    walls = [rgb("fbf3e2"), rgb("f3dfc4"), rgb("e9d3c0"), rgb("dfe6e4"), rgb("f6e7cf"), rgb("d9c6b4")]
    roofs = [rgb("c8705a"), rgb("d98e62"), rgb("5f7f9e"), rgb("a65a55"), rgb("7c8a93"), rgb("4f7c82")]
    for row, (left, right, base, size) in enumerate(spans):
        part = 0.55 * (1 - row / max(len(spans) - 1, 1))
        x = left
        while x < right:
            w, h = size * rng.uniform(0.8, 1.25), size * rng.uniform(0.62, 1.05)
            y = base + rng.uniform(-0.12, 0.12) * size
            if rng.random() < 0.5:
                r = size * rng.uniform(0.24, 0.36)
                for dx, dy, tone in ((0, 0, 2), (-0.25, -0.2, 1), (-0.4, -0.5, 0)):
                    c.fill(
                        scalloped(
                            x + w * 1.2 + dx * r,
                            y - h * 0.5 + dy * r,
                            r * (1 - 0.2 * (2 - tone)),
                            r * (0.95 - 0.22 * (2 - tone)),
                            rng,
                            8,
                        ),
                        mix(PINE[tone], haze, part),
                    )
            wall, roof = walls[rng.integers(len(walls))], roofs[rng.integers(len(roofs))]
            house(c, x, y, w, h, rng, mix(wall, haze, part * 0.6), mix(roof, haze, part), mix(outline, haze, part))
            x += w * rng.uniform(1.25, 1.6)


def pole(c: Canvas, x: float, base: float, height: float, color: Color = POST, shade: Color = OUTLINE) -> None:
    """Draw a telegraph pole with two cross-arms, insulators and a transformer."""
    w, top = height * 0.026, base - height
    c.shape([(x - w, base), (x - w * 0.7, top), (x + w * 0.7, top), (x + w, base)], color, shade, 1.6)
    c.fill(
        [(x + w * 0.25, base), (x + w * 0.15, top + 3), (x + w * 0.6, top + 3), (x + w * 0.85, base)],
        mix(color, shade, 0.55),
    )
    for y, half in ((top + height * 0.06, height * 0.16), (top + height * 0.15, height * 0.12)):
        c.shape(box(x - half, y, 2 * half, height * 0.018), mix(color, rgb("a99a8c"), 0.3), shade, 1.5)
        for u in (-0.92, -0.5, 0.5, 0.92):
            c.shape(box(x + u * half - 2.2, y - height * 0.022, 4.4, height * 0.022), rgb("f2ece0"), shade, 1.1)
    c.shape(box(x + w, top + height * 0.22, height * 0.052, height * 0.1), rgb("9aa2a8"), shade, 1.6)
    for i in range(6):
        c.stroke(
            [(x - w * 2.0, base - height * (0.2 + 0.07 * i)), (x + w * 2.0, base - height * (0.2 + 0.07 * i))],
            shade,
            1.5,
            (0, 0),
        )


def wire(
    c: Canvas,
    a: tuple[float, float],
    b: tuple[float, float],
    sag: float,
    color: Color = OUTLINE,
    width: float = 1.6,
    sway: float = 0.0,
) -> None:
    """Draw a wire that hangs between two points."""
    u = ramp(30)[:, None]
    p = np.asarray(a) * (1 - u) + np.asarray(b) * u
    p[:, 1:] += 4 * sag * u * (1 - u)
    p[:, :1] += 4 * sway * u * (1 - u)
    c.stroke(p, color, width, (0, 0))


def gull(c: Canvas, x: float, y: float, size: float, beat: float, color: Color = GULL) -> None:
    """Draw a flying gull; `beat` from -1 (wings down) to 1 (up)."""
    s, lift = size, beat * size * 0.45
    left = curve([(x - s, y - lift * 0.7), (x - s * 0.5, y - lift - s * 0.12), (x, y)])
    right = curve([(x + s, y - lift * 0.7), (x + s * 0.5, y - lift - s * 0.12), (x, y)])
    for wing in (left, right):
        c.stroke(wing, mix(color, OUTLINE, 0.75), s * 0.17, (0.7, 0.0))
        c.stroke(wing, color, s * 0.12, (0.7, 0.0))
    c.shape(ellipse(x + s * 0.03, y + s * 0.03, s * 0.24, s * 0.09), color, mix(color, OUTLINE, 0.75), 1.2)


def carriage(c: Canvas, x: float, base: float, w: float, h: float, lit: bool = False) -> None:
    """Draw a railway carriage from the side: cream above, green below, two doors, a row of windows."""
    cream, green = (rgb("f7ecd2"), rgb("3e7a67")) if not lit else (rgb("59627f"), rgb("2c3d57"))
    glass = rgb("9cc6d6") if not lit else rgb("ffe3a0")
    body = curve([(x, base - 0.1 * h), (x, base - 0.94 * h), (x + 0.02 * w, base - h), (x + 0.98 * w, base - h),
        (x + w, base - 0.94 * h),
                  (x + w, base - 0.1 * h)], True, 4)  # fmt: skip
    body = np.clip(body, (x, base - h), (x + w, base - 0.1 * h))
    for u in (0.12, 0.2, 0.8, 0.88):
        c.fill(ellipse(x + u * w, base - 0.06 * h, 0.07 * h, 0.07 * h), rgb("3a3840"))
    c.fill(box(x + 0.03 * w, base - 0.14 * h, 0.94 * w, 0.08 * h), rgb("45424c"))
    c.shape(body, cream, OUTLINE, 3.0)
    c.shape(box(x + 0.06 * w, base - 1.05 * h, 0.88 * w, 0.06 * h), mix(cream, rgb("8791ad"), 0.6), OUTLINE, 2.4)
    with c.clip(body) as k:
        k.fill(box(x, base - 0.45 * h, w, h), green)
        k.fill(box(x, base - 0.2 * h, w, h), mix(green, OUTLINE, 0.35))
        k.fill(box(x, base - h, w, 0.07 * h), mix(cream, rgb("8791ad"), 0.5))
        k.fill(box(x, base - 0.48 * h, w, 0.025 * h), rgb("e8b65a"))
    for i in range(11):
        wx = x + w * (0.028 + 0.0872 * i)
        door = i in (2, 8)
        wh = 0.62 if door else 0.33
        if door:
            c.shape(box(wx - 0.004 * w, base - 0.86 * h, 0.075 * w, 0.74 * h), mix(green, cream, 0.12), OUTLINE, 2.0)
        c.shape(box(wx, base - 0.83 * h, 0.066 * w, wh * 0.53 * h if door else wh * h), glass, OUTLINE, 2.2)
        if not lit:
            c.fill(
                [
                    (wx + 0.006 * w, base - 0.81 * h),
                    (wx + 0.03 * w, base - 0.81 * h),
                    (wx + 0.012 * w, base - 0.54 * h),
                    (wx + 0.006 * w, base - 0.54 * h),
                ],
                mix(glass, CLOUD[0], 0.6),
            )
        elif i % 3:
            c.fill(ellipse(wx + 0.03 * w, base - 0.6 * h, 0.012 * w, 0.07 * h), rgb("8a6a58"))
            c.fill(box(wx + 0.014 * w, base - 0.56 * h, 0.034 * w, 0.05 * h), rgb("7a5c52"))


def petal(c: Canvas, x: float, y: float, size: float, angle: float, turn: float, color: Color) -> None:
    """Draw a cherry petal, `turn` from -1 to 1 showing it from the side or flat."""
    k = c.transform(x, y, size, angle)
    n = max(abs(turn), 0.25)
    k.fill(
        [
            (-1, 0),
            (-0.4, -0.55 * n),
            (0.5, -0.6 * n),
            (1, -0.22 * n),
            (0.75, 0),
            (1, 0.22 * n),
            (0.5, 0.6 * n),
            (-0.4, 0.55 * n),
        ],
        color,
    )
