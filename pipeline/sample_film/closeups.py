"""Scenes of the sample film seen from near: two faces, a glass bell, a window in the rain."""

import numpy as np

from pipeline.sample_film.canvas import (
    OUTLINE,
    Canvas,
    Draw,
    Pixels,
    ShotRenderer,
    box,
    curve,
    ellipse,
    mix,
    rgb,
    scalloped,
    smoothstep,
)
from pipeline.sample_film.cast import (
    BOY,
    GIRL,
    RED,
    WHITE,
    bezier,
    bust,
)
from pipeline.sample_film.scenery import (
    LEAF,
    PINE,
    cumulus,
)


def her_face(shot: ShotRenderer) -> Draw:
    """Close on the girl: wind in her hair, a blink, light clouds behind."""
    return _face(shot, GIRL, (rgb("6db4de"), rgb("b4dcea"), rgb("f1f4e4")), 760, 0.0)


def his_face(shot: ShotRenderer) -> Draw:
    """Close on the boy under green leaves, spots of sun behind him."""
    return _face(shot, BOY, (rgb("5f9a78"), rgb("9cc58a"), rgb("dfe8b0")), 500, 1.4)


def _face(shot: ShotRenderer, character: object, sky: tuple[tuple[int, int, int], ...], x: float, offset: float) -> Draw:
    rng = shot.rng
    girl = character is GIRL

    def back(c: Canvas) -> None:
        c.gradient(-60, 604, [(0, sky[0]), (0.55, sky[1]), (1, sky[2])])
        if girl:
            cumulus(c, 250, 470, 640, 300, rng)
            cumulus(c, 1200, 540, 560, 240, rng)
        else:
            for i in range(420):
                part = i / 420
                px, py = rng.uniform(-80, 1360), rng.uniform(-60, 600)
                r = rng.uniform(20, 58) * (1.3 - part * 0.7)
                tone = mix(PINE[2], sky[1], 0.35 + 0.3 * part) if part < 0.6 else mix(PINE[1], LEAF[0], rng.uniform(0.0, 0.6))
                if part < 0.6 or np.sin(px / 140) + np.cos(py / 90 + px / 310) > 0.35:
                    c.fill(scalloped(px, py, r, r * 0.62, rng, 10, 0.2), mix(tone, PINE[3], 0.25 * rng.random()))
            c.blur(16)
            for _ in range(60):
                px, py, r = rng.uniform(-80, 1360), rng.uniform(-60, 600), rng.uniform(6, 30)
                c.fill(ellipse(px, py, r, r), mix(rgb("fbf9cf"), LEAF[0], rng.random()), rng.uniform(0.15, 0.45))

    b = shot.paint_layer(back, opaque=True)

    def draw(t: float) -> Pixels:
        f = shot.frame(b, -4 * t if girl else 4 * t)
        c = shot.canvas(f, 0, 0, 1 + 0.012 * t)
        gaze = 2.5 * (smoothstep(t, 1.2, 1.45) - smoothstep(t, 2.8, 3.0)) * (1 if girl else -1)
        bust(
            c.transform(x, 262, 1.8 if girl else 1.74, 0.8 * np.sin(0.9 * t), flip=not girl),
            t,
            GIRL if girl else BOY,
            gaze,
            1.0 + smoothstep(t, 1.5, 2.0) * 2.5,
            offset=offset,
        )
        return f

    return draw


def wind_bell(shot: ShotRenderer) -> Draw:
    """A glass bell under the eaves, against blinding blue; a glance only."""
    rng = shot.rng

    def back(c: Canvas) -> None:
        c.gradient(-60, 604, [(0, rgb("2f74b8")), (0.6, rgb("62aadb")), (1, rgb("a9d6e8"))])
        cumulus(c, 320, 600, 700, 300, rng)

    def eaves(c: Canvas) -> None:
        c.shape([(-100, -80), (1380, -80), (1380, 34), (-100, 66)], rgb("6a4638"), OUTLINE, 3)
        for i in range(12):
            x = -60 + i * 124
            c.shape([(x, 0), (x + 46, 0), (x + 44, 96 - i * 2.6), (x + 2, 98 - i * 2.6)], rgb("8b5d46"), OUTLINE, 2.6)
            c.fill([(x + 30, 4), (x + 44, 4), (x + 42, 92 - i * 2.6), (x + 30, 92 - i * 2.6)], rgb("6a4638"))

    b, w = shot.paint_layer(back, opaque=True), shot.paint_layer(eaves, (-100, -80, 1480, 220))

    def draw(t: float) -> Pixels:
        f = shot.frame(b)
        c = shot.canvas(f)
        k = c.transform(800, 60, 1.25, 5 * np.sin(5 * t))
        k.stroke([(0, 0), (0, 70)], OUTLINE, 2.4, (0, 0))
        dome = curve([(-62, 168), (-74, 128), (-52, 84), (0, 68), (52, 84), (74, 128), (62, 168), (30, 176), (-30, 176)], True)
        k.shape(dome, rgb("cfeaf0"), OUTLINE, 2.8)
        with k.clip(dome) as q:
            q.fill(curve([(30, 60), (48, 120), (34, 180), (90, 180), (90, 60)], True), rgb("9cc9dc"))
            q.fill(curve([(-80, 150), (0, 162), (80, 148), (80, 190), (-80, 190)], True), rgb("7fb4d4"))
            for x, y, s in ((-26, 128, 1.0), (26, 140, 0.8)):
                q.fill(
                    curve(
                        [
                            (x - 20 * s, y),
                            (x, y - 10 * s),
                            (x + 14 * s, y),
                            (x + 28 * s, y - 9 * s),
                            (x + 25 * s, y + 9 * s),
                            (x + 14 * s, y),
                            (x, y + 10 * s),
                        ],
                        True,
                        4,
                    ),
                    RED,
                )
            q.stroke(bezier((-56, 124), (-46, 92), (-16, 82)), WHITE, 7)
        k.stroke([(0, 176), (0, 214)], OUTLINE, 2.2, (0, 0))
        m = k.transform(0, 214, 1, 12 * np.sin(6 * t + 1))
        m.shape([(-24, 0), (24, 0), (24, 132), (-24, 132)], rgb("fbf2dc"), OUTLINE, 2.6)
        m.fill([(10, 2), (22, 2), (22, 130), (10, 130)], rgb("e6d3b4"))
        m.stroke(curve([(-8, 24), (6, 44), (-6, 70), (6, 100)]), rgb("4d7fae"), 4)
        shot.add_layer(f, w)
        return f

    return draw


def rain_window(shot: ShotRenderer) -> Draw:
    """A rainy window seen from a warm room: drops run down the panes, a plant and a steaming cup stand on the sill."""
    rng = shot.rng

    def back(c: Canvas) -> None:
        c.gradient(-60, 604, [(0, rgb("6f87a3")), (0.6, rgb("93a8b8")), (1, rgb("a8b7be"))])
        for i, tone in enumerate((rgb("869bb0"), rgb("74899f"), rgb("63788f"))):
            x = -60.0
            while x < 1360:
                w, h = rng.uniform(80, 190), rng.uniform(70, 170) + 26 * (2 - i)
                c.fill(box(x, 430 + 36 * i - h, w, 400), tone)
                c.fill(
                    [(x - 8, 431 + 36 * i - h), (x + w * 0.5, 400 + 36 * i - h), (x + w + 8, 431 + 36 * i - h)],
                    mix(tone, rgb("51647b"), 0.3),
                )
                for _ in range(2):
                    if rng.random() < 0.6:
                        wx, wy = x + rng.uniform(12, w - 26), 430 + 36 * i - h * rng.uniform(0.3, 0.7)
                        c.fill(ellipse(wx, wy, 13, 13), rgb("ffdca0"), 0.5)
                        c.fill(ellipse(wx, wy, 8, 8), rgb("ffeec2"), 0.8)
                x += w * rng.uniform(1.0, 1.25)

    def room(c: Canvas) -> None:
        wood, shade = rgb("8a5f48"), rgb("6a4536")
        for x in (-20, 418, 856, 1250):
            c.shape(box(x, -80, 34, 560), wood, OUTLINE, 2.6)
            c.fill(box(x + 23, -80, 10, 560), shade)
        c.shape(box(-100, 196, 1480, 20), wood, OUTLINE, 2.4)
        c.fill(box(-100, 208, 1480, 7), shade)
        c.shape(box(-100, -80, 1480, 106), wood, OUTLINE, 2.8)
        c.fill(box(-100, 12, 1480, 12), shade)
        c.shape(box(-100, 462, 1480, 160), rgb("b07f5c"), OUTLINE, 3)
        c.fill(box(-100, 464, 1480, 12), rgb("c99b72"))
        for _ in range(26):
            left, y = rng.uniform(-100, 1200), rng.uniform(484, 556)
            c.stroke(curve([(left, y), (left + 80, y + 2), (left + rng.uniform(120, 260), y - 1)]), rgb("98694a"), 2.0)
        for side, flip in ((-30, False), (1310, True)):
            k = c.transform(side, 0, 1, 0, flip)
            cloth = curve(
                [(-120, -80), (210, -80), (190, 60), (120, 220), (96, 330), (120, 470), (150, 580), (-120, 580)], True
            )
            k.shape(cloth, rgb("e9cfa6"), OUTLINE, 2.8)
            with k.clip(cloth) as q:
                for x in (-40, 26, 92, 150):
                    q.fill(
                        curve(
                            [
                                (x, -90),
                                (x + 30, -90),
                                (x + 12, 200),
                                (x - 4, 330),
                                (x + 26, 590),
                                (x - 6, 590),
                                (x - 26, 330),
                                (x - 12, 180),
                            ],
                            True,
                        ),
                        rgb("cfae86"),
                    )
            k.shape(curve([(60, 306), (128, 318), (118, 344), (50, 338)], True), RED, OUTLINE, 2.4)
        # a plant
        k = c.transform(980, 486)
        for a, s, tone in (
            (-64, 120, 2),
            (-38, 150, 1),
            (-14, 172, 1),
            (12, 178, 2),
            (36, 150, 1),
            (60, 124, 2),
            (-26, 110, 0),
            (24, 112, 0),
        ):
            q = k.transform(0, -84, 1, a)
            leaf = curve([(0, 0), (-17, -s * 0.4), (-10, -s * 0.8), (0, -s), (12, -s * 0.78), (17, -s * 0.4)], True, 5)
            q.shape(leaf, PINE[tone], rgb("27464a"), 2.2)
            q.stroke([(0, -6), (0, -s * 0.9)], mix(PINE[tone], rgb("27464a"), 0.5), 2.0)
        pot = curve([(-54, -92), (54, -92), (42, 0), (-42, 0)], True, 1)
        k.shape(pot, rgb("d98a66"), OUTLINE, 2.8)
        with k.clip(pot) as q:
            q.fill([(16, -100), (10, 10), (80, 10), (80, -100)], rgb("b5674f"))
        k.shape(box(-62, -106, 124, 22), rgb("e59b76"), OUTLINE, 2.6)
        # a cup on a book
        k = c.transform(560, 500)
        k.shape([(-128, -4), (112, -4), (128, 18), (-112, 18)], rgb("5f7fa8"), OUTLINE, 2.6)
        k.fill([(-114, 6), (124, 6), (127, 14), (-113, 14)], rgb("f4ead2"))
        k.stroke(curve([(44, -78), (84, -82), (88, -44), (44, -34)]), OUTLINE, 15, (0, 0))
        k.stroke(curve([(44, -78), (84, -82), (88, -44), (44, -34)]), rgb("f6efe2"), 9.5, (0, 0))
        cup = curve([(-50, -98), (50, -98), (44, -14), (30, -4), (-30, -4), (-44, -14)], True, 2)
        k.shape(cup, rgb("fbf5e8"), OUTLINE, 2.8)
        with k.clip(cup) as q:
            q.fill([(14, -110), (8, 10), (80, 10), (80, -110)], rgb("cfcbd6"))
            q.fill(box(-60, -58, 120, 12), rgb("6c93b8"))
        k.shape(ellipse(0, -98, 50, 11), rgb("7a4f3a"), OUTLINE, 2.4)

    b, r = shot.paint_layer(back, opaque=True), shot.paint_layer(room, (-100, -80, 1480, 700))
    drops, beads = rng.random((34, 5)), rng.random((150, 3))

    def paint_beads(c: Canvas) -> None:
        for u, v, s in beads:
            x, y, q = 1280 * u, 30 + 430 * v, 1.6 + 3.4 * s
            c.fill(ellipse(x, y, q, q * 1.15, count=14), rgb("60758c"))
            c.fill(ellipse(x + 0.3, y + 0.5, q * 0.8, q * 0.9, count=14), rgb("a9bccb"))
            c.fill(ellipse(x - q * 0.25, y - q * 0.35, q * 0.35, q * 0.35, count=10), WHITE)

    still = shot.paint_layer(paint_beads)

    def draw(t: float) -> Pixels:
        f = shot.frame(b, -1.5 * t)
        c = shot.canvas(f)
        for u, v, s, p, q in drops:
            pace = 24 + 70 * s
            y = (500 * v + pace * t + 16 * np.sin(1.6 * t + 6 * p)) % 520
            x = 1280 * u + 5 * np.sin(y / 31 + 6 * p)
            size = 4 + 4 * q
            trail = np.linspace(0, 60 + 70 * s, 12)
            c.stroke(
                np.stack([1280 * u + 5 * np.sin((y - trail) / 31 + 6 * p), y - trail], 1),
                rgb("c5d3dc"),
                size * 0.7,
                (0.0, 1.0),
                0.4,
            )
            c.fill(ellipse(x, y, size, size * 1.35, count=20), rgb("566b83"))
            c.fill(ellipse(x + 0.5, y + 1, size * 0.8, size * 1.12, count=20), rgb("b7c8d4"))
            c.fill(ellipse(x - size * 0.25, y - size * 0.4, size * 0.32, size * 0.42, count=12), WHITE)
        shot.add_layer(f, still)
        z = 1 + 0.01 * t
        shot.add_layer(f, r, 0, 0, z)
        c = shot.canvas(f, 0, 0, z)
        for i in (-1, 0, 1):
            rise = np.linspace(0, 1, 16)
            x = 560 + 15 * i + (5 + 16 * rise) * np.sin(4.5 * rise - 1.9 * t + i * 1.3) * rise
            c.stroke(np.stack([x, 394 - 96 * rise], 1), WHITE, 7, (0.3, 0.7), 0.42)
        return f

    return draw
