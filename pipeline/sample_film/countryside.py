"""Scenes of the sample film in the country: rice fields, a forest, the last hill."""

import numpy as np

from pipeline.sample_film.canvas import OUTLINE, Canvas, Draw, Pixels, ShotRenderer, box, curve, ellipse, mix, rgb, scalloped
from pipeline.sample_film.cast import (
    BOY,
    GIRL,
    NAVY,
    NAVY_SHADE,
    RED,
    SKIN,
    SKIN_SHADE,
    WHITE,
    bezier,
    breeze,
    cyclist,
)
from pipeline.sample_film.scenery import (
    LEAF,
    PINE,
    cirrus,
    cumulus,
    hill,
    house,
    tree,
    tuft,
    water,
)


def slope(shot: ShotRenderer) -> Draw:
    """The boy rides past rice fields; hills slide behind him at their own speeds."""
    rng = shot.rng

    def back(c: Canvas) -> None:
        c.gradient(-60, 340, [(0, rgb("69aee0")), (0.6, rgb("b2dbe8")), (1, rgb("f6f3da"))])
        cumulus(c, 380, 300, 640, 220, rng)
        cumulus(c, 1300, 310, 460, 160, rng)
        hill(
            c,
            [(-400, 300), (-100, 262), (200, 240), (460, 270), (760, 230), (1060, 250), (1400, 220), (1900, 270)],
            rng,
            [mix(tone, rgb("a9d0d6"), 0.55) for tone in PINE],
            6,
        )

    def hills(c: Canvas) -> None:
        hill(
            c,
            [
                (-400, 340),
                (-160, 300),
                (120, 288),
                (380, 330),
                (640, 318),
                (900, 280),
                (1200, 300),
                (1500, 334),
                (2200, 300),
            ],
            rng,
            PINE,
            9,
        )
        for x in (80, 170, 900, 1460):
            house(c, x, 362, 54, 40, rng, rgb("f6ead4"), rgb("b8675a") if x % 20 else rgb("5f7f9e"), rgb("4a4a54"))

    def field(c: Canvas) -> None:
        c.fill(box(-400, 352, 3000, 300), LEAF[1])
        for row in range(9):
            y = 356 + row * row * 1.9
            c.fill(box(-400, y, 3000, 2 + row * 0.9), LEAF[0] if row % 2 else LEAF[2])
        for i in range(360):
            y = 372 + 120 * rng.random() ** 0.7
            tuft(c, rng.uniform(-400, 2500), y, 8 + (y - 352) * 0.16, 0.22, LEAF[i % 3], 4, rng)
        c.fill(box(-400, 478, 3000, 150), rgb("e3d3b1"))
        c.fill(box(-400, 478, 3000, 12), rgb("b9a27f"))
        c.fill(box(-400, 536, 3000, 60), rgb("d3c09c"))
        for _ in range(110):
            x, y = rng.uniform(-400, 2500), rng.uniform(494, 545)
            c.stroke([(x, y), (x + rng.uniform(12, 50), y)], rgb("c8b48e"), 2.2)
        for i in range(80):
            tuft(c, rng.uniform(-400, 2500), 488, rng.uniform(14, 30), 0.25, LEAF[1 + i % 3], 6, rng)

    def near(c: Canvas) -> None:
        for i in range(190):
            tuft(c, rng.uniform(-300, 3600), 590, rng.uniform(40, 100), 0.3, LEAF[1 + i % 3], 4, rng)
        for i in range(46):
            x, y = rng.uniform(-300, 3600), rng.uniform(500, 540)
            for q in range(6):
                a = q * np.pi / 3
                c.fill(
                    ellipse(x + 7 * np.cos(a), y + 7 * np.sin(a), 5, 5, count=12),
                    (rgb("fff6ea"), rgb("f6c8cf"), rgb("f9df8b"))[i % 3],
                )
            c.fill(ellipse(x, y, 4, 4, count=12), rgb("e8a94e"))

    b, h, g, n = (
        shot.paint_layer(back, (-80, -60, 1600, 664), opaque=True),
        shot.paint_layer(hills, (-200, 240, 2000, 400)),
        shot.paint_layer(field, (-200, 340, 2500, 300)),
        shot.paint_layer(near, (-200, 470, 3600, 140)),
    )

    def draw(t: float) -> Pixels:
        pan = 300 * t
        f = shot.frame(b, -0.03 * pan)
        shot.add_layer(f, h, -0.14 * pan)
        shot.add_layer(f, g, -0.75 * pan)
        c = shot.canvas(f)
        x = 520 + 40 * t
        c.fill(ellipse(x, 530, 150, 9), rgb("b09a78"))
        cyclist(c.transform(x, 528 + 1.2 * np.sin(9 * t), 1.12), t, BOY)
        shot.add_layer(f, n, -1.6 * pan)
        return f

    return draw


def forest(shot: ShotRenderer) -> Draw:
    """A path under old trees; shafts of light breathe, motes drift; the camera walks in slowly."""
    rng = shot.rng

    def back(c: Canvas) -> None:
        c.gradient(-60, 604, [(0, rgb("e9f0b4")), (0.5, rgb("cfe3a4")), (1, rgb("9cc58a"))])
        c.glow(690, 170, 560, 380, rgb("fffbe0"), 0.9)
        for _ in range(90):
            x, y, r = rng.uniform(-80, 1360), rng.uniform(-60, 330), rng.uniform(18, 60)
            if abs(x - 690) < 190 and y > 40:
                continue
            c.fill(scalloped(x, y, r, r * 0.7, rng, 9), mix(rgb("b9d690"), rgb("7fb27c"), rng.random()))
        for _ in range(26):
            x, w = rng.uniform(-80, 1360), rng.uniform(7, 16)
            c.fill(
                [(x - w * 0.5, -60), (x + w * 0.5, -60), (x + w * 0.8, 350), (x - w * 0.8, 350)],
                mix(rgb("a4c08a"), rgb("86a97c"), rng.random()),
            )

    def trunk(c: Canvas, x: float, w: float, base: float, tone: tuple[int, int, int], lean: float = 0.0) -> None:
        edge = mix(tone, rgb("223a3a"), 0.55)
        body = np.concatenate([curve([(x - w * 1.7, base + 8), (x - w * 0.66, base - 50),
            (x - w * 0.52 + lean * 0.5, 180), (x - w * 0.5 + lean, -70)]),
                               curve([(x + w * 0.5 + lean, -70), (x + w * 0.52 + lean * 0.5, 180),
                                   (x + w * 0.7, base - 46), (x + w * 1.8, base + 10)])])  # fmt: skip
        c.shape(body, tone, edge, 1.8)
        with c.clip(body) as k:
            side = 1 if x < 690 else -1
            k.fill(
                [
                    (x + side * w * 0.1 + lean, -70),
                    (x - side * w * 0.05, base),
                    (x - side * w * 3, base),
                    (x - side * w * 3, -70),
                ],
                mix(tone, edge, 0.5),
            )
            for _ in range(int(w * 0.5)):
                px, py = x + rng.uniform(-0.5, 0.5) * w, rng.uniform(-40, base - 40)
                k.stroke(
                    curve([(px, py), (px + rng.uniform(-4, 4), py + 30), (px, py + rng.uniform(40, 90))]),
                    mix(tone, edge, 0.75),
                    2.0,
                )
            for _ in range(int(w * 0.16)):
                k.fill(
                    scalloped(x + rng.uniform(-0.5, 0.5) * w, rng.uniform(150, base), w * 0.2, w * 0.3, rng, 6, 0.2),
                    mix(tone, PINE[0], 0.45),
                )

    def mid(c: Canvas) -> None:
        c.fill(
            curve([(-300, 340), (200, 322), (690, 330), (1100, 320), (1600, 344), (1600, 660), (-300, 660)], True),
            rgb("86b36e"),
        )
        path = curve(
            [
                (650, 330),
                (720, 330),
                (740, 370),
                (700, 420),
                (790, 500),
                (960, 640),
                (330, 640),
                (520, 500),
                (590, 420),
                (660, 372),
            ],
            True,
        )
        c.fill(path, rgb("e5d9a4"))
        with c.clip(path) as k:
            for _ in range(40):
                y = rng.uniform(340, 600)
                k.fill(scalloped(rng.uniform(380, 960), y, (y - 300) * 0.3, (y - 300) * 0.07, rng, 7, 0.2), rgb("c3b988"))
        for x, w, base, lean in (
            (300, 24, 360, 8),
            (452, 18, 346, -6),
            (930, 20, 350, 6),
            (1085, 28, 366, -10),
            (160, 30, 372, 0),
            (1240, 30, 374, 6),
        ):
            trunk(c, x, w, base, rgb("7f8f6c"), lean)
            for _ in range(9):
                tuft(
                    c,
                    x + rng.uniform(-1.9, 1.9) * w,
                    base + rng.uniform(4, 14),
                    rng.uniform(14, 26),
                    rng.uniform(-0.3, 0.3),
                    LEAF[1],
                    6,
                    rng,
                )
        for _ in range(130):
            at = rng.uniform(-200, 1500)
            y = 344 + 110 * rng.random()
            if abs(at - 690) > 60 + (y - 330) * 1.05:
                tuft(c, at, y, 14 + (y - 330) * 0.25, rng.uniform(-0.3, 0.3), LEAF[rng.integers(0, 3)], 7, rng)

    def near(c: Canvas) -> None:
        trunk(c, 66, 92, 540, rgb("5d6455"), -30)
        trunk(c, 1226, 104, 556, rgb("565d53"), 30)
        for _ in range(60):
            x, y, r = rng.uniform(-160, 1440), rng.uniform(-80, 40), rng.uniform(34, 76)
            y += abs(x - 690) * 0.07 - 30
            c.fill(scalloped(x, y, r, r * 0.66, rng, 10), mix(PINE[3], PINE[1], rng.random() * 0.8))
        for side in (-1, 1):
            for _ in range(34):
                x, y, s = 690 + side * rng.uniform(330, 760), rng.uniform(500, 590), rng.uniform(60, 120)
                a = rng.uniform(-50, 50)
                k, tone = c.transform(x, y, 1, a), (PINE[1], PINE[2], PINE[3], LEAF[2])[rng.integers(4)]
                k.stroke(bezier((0, 0), (0, -s * 0.6), (s * 0.15, -s)), tone, 3.5, (0.0, 0.6))
                for j in range(9):
                    v = j / 9
                    h = s * 0.3 * (1 - v) + 5
                    k.fill([(0, -s * v), (-h, -s * v - h * 0.7), (-h * 0.4, -s * v - h * 0.1)], tone)
                    k.fill([(0, -s * v), (h, -s * v - h * 0.7), (h * 0.4, -s * v - h * 0.1)], mix(tone, LEAF[0], 0.25))

    b, m, n = (
        shot.paint_layer(back, opaque=True),
        shot.paint_layer(mid, (-200, -60, 1680, 664)),
        shot.paint_layer(near, (-180, -80, 1640, 700)),
    )

    def shaft(i: int) -> object:
        x = (430, 610, 760, 930)[i]
        return lambda c: c.fill(
            [(x, -60), (x + 46 + 14 * i, -60), (x - 120 + 30 * i, 560), (x - 260 + 20 * i, 560)], rgb("fffbd6")
        )

    shafts = [shot.paint_layer(shaft(i)) for i in range(4)]  # type: ignore[arg-type]
    motes = rng.random((46, 4))

    def draw(t: float) -> Pixels:
        f = shot.frame(b, 0, 0, 1 + 0.004 * t)
        shot.add_layer(f, m, 0, 0, 1 + 0.012 * t)
        for i, s in enumerate(shafts):
            shot.add_layer(f, s, 4 * np.sin(0.4 * t + i), 0, 1 + 0.012 * t, 0.2 + 0.1 * np.sin(0.9 * t + 1.7 * i))
        c = shot.canvas(f)
        for u, v, q, p in motes:
            x, y = 200 + 900 * u + 20 * np.sin(0.7 * t + 6 * p), (60 + 460 * v - 11 * t * (0.5 + q)) % 520
            c.fill(
                ellipse(x, y, 1.6 + 2.4 * q, 1.6 + 2.4 * q, count=12),
                rgb("fffde6"),
                0.35 + 0.4 * float(np.sin(1.5 * t + 6 * p) ** 2),
            )
        shot.add_layer(f, n, 0, 0, 1 + 0.034 * t)
        return f

    return draw


def last_hill(shot: ShotRenderer) -> Draw:
    """A wide meadow, one tree, the girl seen from behind, and the largest cloud of the summer."""
    rng = shot.rng

    def back(c: Canvas) -> None:
        c.gradient(-60, 440, [(0, rgb("2f6fb4")), (0.4, rgb("5fa6d8")), (0.75, rgb("a9d6e6")), (1, rgb("eef3de"))])
        cirrus(c, 980, 60, 700, rng, rgb("c9e0ee"), 8, 0.6)

    def cloud(c: Canvas) -> None:
        cumulus(c, 480, 420, 900, 350, rng)
        cumulus(c, 1150, 410, 520, 130, rng)

    def land(c: Canvas) -> None:
        hill(
            c,
            [(-200, 380), (100, 372), (400, 392), (700, 380), (1000, 366), (1300, 384), (1500, 370)],
            rng,
            [mix(tone, rgb("9fc8d2"), 0.5) for tone in PINE],
            4,
        )
        water(c, 404, 470, [(0, rgb("7fc0cc")), (0.4, rgb("58a4c0"))])
        meadow = curve(
            [(-200, 520), (100, 470), (420, 430), (760, 414), (1080, 440), (1500, 500), (1500, 700), (-200, 700)], True
        )
        c.fill(meadow, LEAF[1])
        with c.clip(meadow) as k:
            k.fill(
                curve([(-200, 640), (200, 560), (620, 520), (1000, 540), (1500, 620), (1500, 760), (-200, 760)], True),
                LEAF[2],
            )
            k.fill(curve([(300, 446), (760, 418), (1120, 452), (900, 470), (560, 474)], True), LEAF[0])
            k.fill(curve([(930, 452), (1180, 440), (1330, 470), (1160, 486), (980, 474)], True), LEAF[2])
        for i in range(320):
            x = rng.uniform(-100, 1400)
            y = 440 + 130 * rng.random()
            if y > 424 + ((x - 760) / 760) ** 2 * 90:
                tuft(c, x, y + 10, 10 + (y - 420) * 0.22, 0.3, LEAF[i % 3], 5, rng)
        tree(c, 1064, 462, 250, rng)

    b, cl, g = (
        shot.paint_layer(back, opaque=True),
        shot.paint_layer(cloud, (-80, -40, 1640, 500)),
        shot.paint_layer(land, (-120, 100, 1520, 520)),
    )
    blades = np.sort(rng.random((150, 4)), axis=0)

    def draw(t: float) -> Pixels:
        y = 3 * t
        f = shot.frame(b, 0, y)
        shot.add_layer(f, cl, 5 * t, y)
        shot.add_layer(f, g, 0, 1.3 * y)
        c = shot.canvas(f, 0, 1.3 * y)
        w = [breeze(t, p) for p in (0.0, 0.8, 1.6)]
        k = c.transform(640, 468, 0.86)
        for s in (-1, 1):
            k.shape(
                [(s * 12 - 8, -96), (s * 12 + 8, -96), (s * 11 + 6, 8), (s * 11 - 6, 8)],
                SKIN if s > 0 else SKIN_SHADE,
                OUTLINE,
                2.0,
            )
        skirt = curve(
            [(-22, -132), (22, -132), (46 + 9 * w[0], -70), (20, -64), (0, -70), (-22, -64), (-34 + 5 * w[1], -74)],
            True,
        )
        k.shape(skirt, NAVY, OUTLINE, 2.2)
        with k.clip(skirt) as q:
            q.fill([(-60, -140), (-8, -134), (-10, -50), (-60, -50)], NAVY_SHADE)
        top = curve([(-30, -204), (30, -204), (26, -160), (22, -126), (-22, -126), (-26, -160)], True)
        k.shape(
            curve([(-28, -202), (-44, -168), (-40, -120), (-30, -122), (-32, -160), (-22, -180)], True),
            SKIN_SHADE,
            OUTLINE,
            2.0,
        )
        k.shape(top, WHITE, OUTLINE, 2.2)
        with k.clip(top) as q:
            q.fill([(-50, -210), (-6, -204), (-8, -120), (-50, -120)], rgb("bcc6dc"))
        k.shape(
            curve([(26, -200), (46, -216), (38, -246), (30, -262), (24, -258), (30, -240), (34, -218), (16, -188)], True),
            SKIN,
            OUTLINE,
            2.0,
        )
        k.shape([(-34, -206), (34, -206), (28, -172), (-28, -172)], NAVY, OUTLINE, 2.0)
        hair = curve([(-26, -240), (-28, -210), (-22 + 4 * w[0], -176), (0 + 12 * w[0], -156),
            (34 + 16 * w[1], -158 + 4 * w[2]), (56 + 14 * w[2], -176), (36, -200), (29, -236), (20, -258),
                      (-16, -258)], True)  # fmt: skip
        k.shape(hair, GIRL.hair, OUTLINE, 2.2)
        with k.clip(hair) as q:
            q.fill(curve([(-40, -230), (-8, -214), (2, -180), (10, -150), (-40, -150)], True), GIRL.hair_shade)
            q.stroke(bezier((0, -236), (22, -200), (44 + 12 * w[1], -166)), GIRL.hair_light, 4)
        k.shape(
            curve([(-48, -250), (-28, -258), (0, -260), (30, -258), (48, -248), (20, -242), (-20, -242)], True),
            rgb("f1d58f"),
            OUTLINE,
            2.2,
        )
        k.shape(
            curve([(-26, -254), (-20, -284), (0, -290), (20, -284), (26, -254), (0, -250)], True),
            rgb("f1d58f"),
            OUTLINE,
            2.2,
        )
        k.fill(curve([(-26, -256), (-24, -267), (0, -265), (24, -267), (26, -256), (0, -252)], True), RED)
        k.stroke(curve([(24, -260), (46 + 4 * w[0], -252 + 6 * w[1]), (70 + 5 * w[1], -250 + 9 * w[2])]), RED, 6, (0.0, 0.6))
        for u, v, h, p in blades:
            x = -40 + 1360 * ((p * 7.13 + u * 3.7) % 1)
            base, size = 500 + 80 * v, 40 + 60 * h * v
            lean = 0.28 + 0.16 * np.sin(2.0 * t - x / 130)
            c.fill([(x - 4, base + 30), (x + lean * size * 0.4, base - size * 0.5), (x + lean * size, base - size),
                (x + lean * size * 0.4 + 5, base - size * 0.45), (x + 5, base + 30)],
                   LEAF[int(p * 29) % 3])  # fmt: skip
        return f

    return draw
