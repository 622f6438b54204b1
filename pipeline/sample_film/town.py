"""Scenes of the sample film in town: roofs, a level crossing, towers at night, cherry trees along a canal."""

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
from pipeline.sample_film.scenery import (
    LEAF,
    PINE,
    carriage,
    cirrus,
    cumulus,
    glints,
    hill,
    petal,
    pole,
    town,
    tuft,
    water,
    wire,
)


def hillside_town(shot: ShotRenderer) -> Draw:
    """Roofs over the bay, a pole and its wires near the eye; the camera slides along."""
    rng = shot.rng

    def back(c: Canvas) -> None:
        c.gradient(-60, 240, [(0, rgb("63a9d8")), (0.6, rgb("a9d5e6")), (1, rgb("ecf2e0"))])
        cumulus(c, 300, 214, 380, 120, rng)
        cumulus(c, 980, 226, 520, 90, rng)
        water(c, 226, 420, [(0, rgb("8cc6cc")), (0.15, rgb("64afc2")), (0.45, rgb("4a9ab6"))])
        hill(
            c,
            [(700, 228), (860, 196), (1000, 176), (1180, 190), (1500, 220)],
            rng,
            [mix(tone, rgb("a8cdd6"), 0.5) for tone in PINE],
            4,
            236,
        )

    def houses(c: Canvas) -> None:
        hill(
            c,
            [
                (-300, 180),
                (-60, 196),
                (160, 250),
                (420, 300),
                (640, 322),
                (900, 318),
                (1200, 290),
                (1460, 240),
                (1700, 200),
            ],
            rng,
            PINE,
            8,
        )
        town(
            c,
            rng,
            [(-200, 1650, 372, 52), (-240, 1700, 434, 70), (-260, 1700, 520, 96), (-300, 1760, 644, 132)],
            rgb("cfe0dc"),
            rgb("4a3b4a"),
        )

    def near(c: Canvas) -> None:
        pole(c, 300, 640, 620)
        pole(c, 1270, 640, 470)
        for (dx, y), (ex, ey) in zip(((-80, 52), (-40, 52), (40, 52), (80, 52), (-60, 106), (60, 106)),
                                     ((-60, 196), (-30, 196), (30, 196), (60, 196), (-48, 238),
                                         (48, 238)), strict=True):  # fmt: skip
            wire(c, (300 + dx, y), (1270 + ex, ey), 46)
            wire(c, (-420 + dx, y - 70), (300 + dx, y), 40)
            wire(c, (1270 + ex, ey), (1900, ey + 30), 30)
        for x, y in ((560, 118), (586, 127), (612, 136)):
            c.shape(
                curve(
                    [
                        (x - 9, y - 1),
                        (x - 6, y - 15),
                        (x + 2, y - 19),
                        (x + 9, y - 12),
                        (x + 5, y - 2),
                        (x - 16, y + 7),
                    ],
                    True,
                    4,
                ),
                rgb("6c6472"),
                OUTLINE,
                1.5,
            )

    b, h, n = (
        shot.paint_layer(back, (-300, -60, 1900, 500), opaque=True),
        shot.paint_layer(houses, (-300, 120, 1960, 500)),
        shot.paint_layer(near, (-300, -40, 1960, 664)),
    )
    seed = int(rng.integers(1 << 30))

    def draw(t: float) -> Pixels:
        f = shot.frame(b, 20 - 6 * t)
        c = shot.canvas(f, 20 - 6 * t)
        glints(c, t, np.random.default_rng(seed), (-60, 234, 1500, 90), 50, rgb("e6f5ee"), 0.5)
        shot.add_layer(f, h, 70 - 20 * t)
        shot.add_layer(f, n, 150 - 46 * t)
        c = shot.canvas(f, 150 - 46 * t)
        return f

    return draw


def crossing(shot: ShotRenderer) -> Draw:
    """A level crossing by the sea: lamps take turns slowly, a short green train goes by."""
    rng = shot.rng

    def back(c: Canvas) -> None:
        c.gradient(-60, 300, [(0, rgb("4f97cf")), (0.55, rgb("93c9e4")), (1, rgb("e4f0e6"))])
        cumulus(c, 420, 288, 720, 230, rng)
        cumulus(c, 1120, 296, 420, 120, rng)
        water(c, 296, 460, [(0, rgb("79bdc9")), (0.15, rgb("559fbd")), (0.5, rgb("3c8ab0"))])
        hill(
            c,
            [(980, 300), (1090, 262), (1240, 236), (1500, 220)],
            rng,
            [mix(tone, rgb("9cc3cf"), 0.4) for tone in PINE],
            5,
            306,
        )

    def ground(c: Canvas) -> None:
        c.fill(box(-120, 396, 1520, 260), rgb("b9b09f"))
        for i in range(60):
            tuft(c, rng.uniform(-80, 1360), 402, rng.uniform(14, 30), 0.15, PINE[i % 3], 5, rng)
        c.fill(box(-120, 404, 1520, 30), rgb("9b9184"))
        for i in range(54):
            c.fill(box(-110 + i * 28, 410, 14, 16), rgb("6d5f5a"))
        for y in (408, 424):
            c.fill(box(-120, y, 1520, 5), rgb("5d5860"))
            c.fill(box(-120, y, 1520, 1.6), rgb("e6e2da"))
        c.fill([(420, 404), (860, 404), (1120, 620), (160, 620)], rgb("8f8d96"))
        c.fill([(420, 404), (490, 404), (320, 620), (160, 620)], rgb("a3a1a8"))
        for y in (408, 424):
            c.fill(box(410, y, 470, 4), rgb("605b64"))
        c.fill([(520, 470), (780, 470), (800, 486), (504, 486)], rgb("f2ead8"))
        for i in range(50):
            side = i % 2
            tuft(
                c,
                rng.uniform(-60, 300) if side else rng.uniform(960, 1340),
                rng.uniform(450, 560),
                rng.uniform(26, 54),
                0.2,
                LEAF[1 + i % 3],
                6,
                rng,
            )

    def signal(c: Canvas) -> None:
        def stripes(p: np.ndarray, n: int) -> None:
            c.shape(p, rgb("f3c645"), OUTLINE, 2.2)
            with c.clip(p) as k:
                lo, hi = p.min(0), p.max(0)
                for i in range(n):
                    if hi[0] - lo[0] > hi[1] - lo[1]:
                        x = lo[0] + (hi[0] - lo[0]) * i / n
                        d = (hi[0] - lo[0]) / n / 2
                        k.fill([(x, hi[1]), (x + d, hi[1]), (x + d + 8, lo[1]), (x + 8, lo[1])], rgb("37323c"))
                    else:
                        y = lo[1] + (hi[1] - lo[1]) * i / n
                        d = (hi[1] - lo[1]) / n / 2
                        k.fill(box(lo[0], y, hi[0] - lo[0], d), rgb("37323c"))

        stripes(box(1016, 150, 20, 420), 10)
        for angle in (32, -32):
            k = c.transform(1026, 104, 1, angle)
            k.shape(box(-76, -11, 152, 22), rgb("f3c645"), OUTLINE, 2.4)
            with k.clip(box(-75, -10, 150, 20)) as q:
                for i in range(-3, 4):
                    q.fill(box(i * 44 - 11, -12, 22, 24), rgb("37323c"))
        c.shape(box(936, 184, 180, 14), rgb("4a4550"), OUTLINE, 2.0)
        for x in (962, 1090):
            c.shape(ellipse(x, 192, 40, 40), rgb("3a3540"), OUTLINE, 2.4)
        c.shape(box(988, 380, 76, 52), rgb("8d8f98"), OUTLINE, 2.4)
        c.fill(box(1042, 382, 20, 48), rgb("70717c"))

    b, g, s = (
        shot.paint_layer(back, opaque=True),
        shot.paint_layer(ground, (-120, 360, 1520, 260)),
        shot.paint_layer(signal, (900, 20, 300, 620)),
    )

    def paint_train(c: Canvas) -> None:
        carriage(c, 0, 436, 620, 250)
        carriage(c, 640, 436, 620, 250)
        c.fill(box(616, 370, 28, 40), rgb("3a3840"))

    train = shot.paint_layer(paint_train, (-20, 150, 1310, 300))

    def draw(t: float) -> Pixels:
        f = shot.frame(b, -2 * t)
        shot.add_layer(f, g)
        shot.add_layer(f, train, -1500 + 760 * max(t - 0.5, 0) ** 1.12, 1.2 * np.sin(23 * t))
        c = shot.canvas(f)
        # the gate, its pole near the eye
        c.shape([(1030, 356), (1030, 372), (230, 384), (230, 374)], rgb("f3c645"), OUTLINE, 2.2)
        for i in range(9):
            x = 250 + i * 88
            c.fill([(x, 374.5), (x + 40, 374), (x + 40, 381), (x, 382)], rgb("37323c"))
        shot.add_layer(f, s)
        on = np.sin(2 * np.pi * 0.8 * t)
        for x, light in ((962, on), (1090, -on)):
            glow = smoothstep(float(light), -0.3, 0.5)
            c.fill(ellipse(x, 192, 25, 25), mix(rgb("6d2c33"), rgb("ff5a4a"), glow))
            c.fill(ellipse(x - 8, 184, 8, 6), mix(rgb("8d4a4d"), rgb("ffd9c8"), glow))
            if glow > 0.05:
                c.glow(x, 192, 80, 80, rgb("ff8a6a"), 0.5 * glow)
        return f

    return draw


def night_city(shot: ShotRenderer) -> Draw:
    """Towers with lit windows under a big moon; a train of lights crosses the viaduct; the camera slides."""
    rng = shot.rng

    def back(c: Canvas) -> None:
        c.fill(box(-80, 480, 1640, 140), rgb("232a5c"))
        c.gradient(-60, 480, [(0, rgb("121b3f")), (0.45, rgb("26387a")), (0.8, rgb("5a62a8")), (1, rgb("9a83b8"))])
        for _ in range(170):
            x, y, r = rng.uniform(-80, 1600), rng.uniform(-60, 300), rng.uniform(0.6, 1.7)
            c.fill(ellipse(x, y, r, r, count=10), mix(rgb("8f9ad6"), rgb("fff8e0"), rng.random()))
        c.glow(930, 130, 230, 230, rgb("cfd3ff"), 0.5)
        c.fill(ellipse(930, 130, 62, 62, count=90), rgb("fdf3cf"))
        with c.clip(ellipse(930, 130, 62, 62, count=90)) as k:
            k.fill(ellipse(962, 150, 60, 60), rgb("f0dfb4"))
            for x, y, r in ((910, 112, 15), (938, 150, 11), (950, 104, 7), (902, 150, 6)):
                k.fill(ellipse(x, y, r, r * 0.9), rgb("e3cfa6"))
        cumulus(c, 420, 330, 620, 110, rng, (rgb("7f80bf"), rgb("5d65a8"), rgb("454f94")))
        cumulus(c, 1300, 320, 460, 80, rng, (rgb("7f80bf"), rgb("5d65a8"), rgb("454f94")))

    def block(
        c: Canvas, x: float, w: float, top: float, base: float, tone: tuple[int, int, int], lit: float, size: float
    ) -> None:
        edge = mix(tone, rgb("0d1230"), 0.6)
        c.shape(box(x, top, w, base - top), tone, edge, 1.6)
        c.fill(box(x + w * 0.72, top + 1, w * 0.28, base - top), mix(tone, edge, 0.5))
        c.fill(box(x - 2, top - 4, w + 4, 7), mix(tone, edge, 0.3))
        if size > 7:
            c.fill(box(x + w * 0.2, top - 18, w * 0.22, 16), mix(tone, edge, 0.4))
            c.stroke([(x + w * 0.6, top - 3), (x + w * 0.6, top - 40)], edge, 2.0, (0, 0.4))
        for row in range(int((base - top - 12) / (size * 2.1))):
            whole = rng.random() < 0.1
            for col in range(int((w - 8) / (size * 1.75))):
                if rng.random() < (0.85 if whole else lit):
                    glass = (rgb("ffe4a0"), rgb("ffcf7d"), rgb("fff3cc"), rgb("a8dcec"))[
                        rng.choice(4, p=[0.42, 0.3, 0.18, 0.1])
                    ]
                else:
                    glass = mix(tone, rgb("8f9ad6"), 0.16)
                wx, wy = x + 6 + col * size * 1.75, top + 10 + row * size * 2.1
                c.fill(box(wx, wy, size, size * 1.25), glass)

    def rows(
        c: Canvas,
        left: float,
        right: float,
        low: float,
        high: float,
        base: float,
        tone: tuple[int, int, int],
        lit: float,
        size: float,
        wide: float,
    ) -> None:
        x = left
        while x < right:
            w = rng.uniform(0.6, 1.3) * wide
            block(c, x, w, rng.uniform(low, high), base, mix(tone, rgb("1a2150"), rng.random() * 0.3), lit, size)
            x += w * rng.uniform(0.96, 1.2)

    def far(c: Canvas) -> None:
        rows(c, -200, 1700, 230, 350, 446, rgb("4d5799"), 0.22, 4.0, 62)
        c.fill([(556, 360), (574, 90), (580, 90), (598, 360)], rgb("c25a68"))
        for y in (150, 210, 270, 330):
            h = (y - 90) * 0.078 + 4
            c.fill(box(577 - h, y, 2 * h, 9), rgb("f3e2d8"))
        c.fill(box(557, 236, 40, 13), rgb("f3c88a"))
        c.stroke([(577, 92), (577, 48)], rgb("c25a68"), 3, (0, 0.3))

    def mid(c: Canvas) -> None:
        rows(c, -300, 1900, 280, 430, 640, rgb("38417f"), 0.34, 6.4, 112)

    def rail(c: Canvas) -> None:
        c.shape(box(-200, 462, 1800, 26), rgb("2c3263"), rgb("10152f"), 2.2)
        for i in range(15):
            c.shape(box(-150 + i * 124, 486, 26, 140), rgb("272c58"), rgb("10152f"), 2.0)
        c.fill(box(-200, 463, 1800, 5), rgb("59609c"))

    def near(c: Canvas) -> None:
        for x, w, top in (
            (-280, 200, 470),
            (-40, 170, 500),
            (190, 260, 520),
            (560, 190, 508),
            (820, 240, 528),
            (1130, 220, 480),
            (1400, 260, 500),
        ):
            block(c, x, w, top, 660, rgb("232a5c"), 0.4, 11)

    b = shot.paint_layer(back, (-80, -60, 1640, 664), opaque=True)
    fr = shot.paint_layer(far, (-200, 30, 1800, 600))
    m = shot.paint_layer(mid, (-300, 230, 2100, 400))
    v = shot.paint_layer(rail, (-200, 440, 1800, 200))
    n = shot.paint_layer(near, (-300, 420, 2000, 220))

    def night_train(c: Canvas) -> None:
        for i in range(4):
            carriage(c, i * 232, 466, 226, 62, True)

    train = shot.paint_layer(night_train, (-10, 390, 950, 90))

    def draw(t: float) -> Pixels:
        pan = 16 * t
        f = shot.frame(b, -0.15 * pan)
        shot.add_layer(f, fr, -0.5 * pan)
        c = shot.canvas(f, -0.5 * pan)
        blink = 0.5 + 0.5 * np.sin(2 * np.pi * 0.55 * t)
        c.fill(ellipse(577, 48, 4, 4), mix(rgb("7a3548"), rgb("ff6a5c"), blink))
        c.glow(577, 48, 26, 26, rgb("ff8a7a"), 0.6 * blink)
        shot.add_layer(f, m, -1.1 * pan + 40)
        shot.add_layer(f, train, -900 + 330 * t)
        shot.add_layer(f, v, -1.5 * pan + 60)
        shot.add_layer(f, n, -2.6 * pan + 110)
        return f

    return draw


def cherry(shot: ShotRenderer) -> Draw:
    """An avenue of cherry trees along a canal; petals come down and sail away."""
    rng = shot.rng
    bloom = (rgb("fff1f1"), rgb("fbd3da"), rgb("f0aebf"), rgb("cf86a0"))

    def back(c: Canvas) -> None:
        c.gradient(-60, 330, [(0, rgb("a5d5ea")), (0.7, rgb("d9ecec")), (1, rgb("f7f1e6"))])
        cirrus(c, 640, 90, 1200, rng, rgb("f1f7f4"), 10, 0.7)
        hill(
            c,
            [(-200, 300), (120, 262), (420, 250), (640, 280), (880, 256), (1200, 240), (1500, 280)],
            rng,
            [mix(tone, rgb("cfe2e4"), 0.62) for tone in PINE],
            5,
        )
        for x, w, h in ((500, 60, 60), (575, 44, 84), (640, 54, 50), (715, 70, 70)):
            c.fill(box(x, 322 - h, w, h), rgb("dcdfe0"))
            c.fill(box(x + w * 0.65, 322 - h, w * 0.35, h), rgb("c3ccd4"))

    def canal(c: Canvas) -> None:
        c.fill(box(-120, 318, 1520, 320), rgb("a9c489"))
        basin = np.array([(610, 318), (670, 318), (980, 640), (300, 640)], float)
        c.fill(np.add(basin, [(-14, 0), (14, 0), (60, 0), (-60, 0)]), rgb("c9bfb2"))
        c.fill(basin, rgb("7fb0c0"))
        with c.clip(basin) as k:
            k.fill([(610, 318), (650, 318), (560, 640), (300, 640)], rgb("a6b9c4"))
            for _ in range(60):
                v = rng.random()
                y = 322 + 250 * v
                x = 640 + rng.uniform(-1, 1) * (30 + 300 * v)
                k.stroke(
                    [(x - 4 - 30 * v, y), (x + 4 + 30 * v, y)],
                    mix(bloom[1], rgb("7fb0c0"), rng.random() * 0.5),
                    1.5 + 3 * v,
                    (0.5, 0.5),
                )
        for s in (-1, 1):
            c.fill([(640 + s * 48, 318), (640 + s * 76, 318), (640 + s * 760, 640), (640 + s * 410, 640)], rgb("eadcc4"))
            for i in range(7):
                v = (i / 7) ** 1.6
                x, y, h = 640 + s * (46 + 360 * v), 320 + 300 * v, 12 + 80 * v
                c.stroke([(x, y), (x, y - h)], rgb("b0545c"), 2 + 6 * v, (0, 0))
            for q in (0.95, 0.5):
                c.stroke([(640 + s * 46, 320 - 12 * q), (640 + s * 406, 620 - 92 * q)], rgb("c4626a"), 4.0, (0.5, 0))

    def blossom(c: Canvas, x: float, y: float, r: float, haze: float) -> None:
        tones = [mix(tone, rgb("fbeeea"), haze) for tone in bloom]
        c.fill(scalloped(x, y, r, r * 0.74, rng, 11), tones[3])
        c.fill(scalloped(x - r * 0.03, y - r * 0.07, r * 0.96, r * 0.7, rng, 11), tones[2])
        for tone, spread, size, count, lift in ((tones[1], 0.72, 0.34, 11, 0.12), (tones[0], 0.6, 0.22, 9, 0.3)):
            for _ in range(count):
                a, d = rng.uniform(0, 6.28), np.sqrt(rng.random()) * spread
                c.fill(
                    scalloped(
                        x + r * d * np.cos(a) - r * 0.1,
                        y + r * 0.7 * d * np.sin(a) - r * lift,
                        r * size,
                        r * size * 0.72,
                        rng,
                        8,
                        0.2,
                    ),
                    tone,
                )

    def trees(c: Canvas) -> None:
        for i in range(6):
            v = ((i + 0.6) / 6) ** 1.8
            for s in (-1, 1):
                x, base, size = 640 + s * (90 + 560 * v), 326 + 190 * v, 70 + 330 * v
                bark, haze = mix(rgb("5a4450"), rgb("cdbfc4"), 0.45 * (1 - v)), 0.35 * (1 - v)
                fork = [(-0.13, 0.01), (-0.06, -0.07), (-0.045, -0.34), (-0.24, -0.66), (-0.19, -0.7), (0.0, -0.46),
                    (0.17, -0.74), (0.22, -0.7), (0.05, -0.34),
                        (0.065, -0.07), (0.14, 0.01)]  # fmt: skip
                wood = curve(np.array(fork) * size * (-s, 1) + (x, base), steps=5)
                c.fill(ellipse(x, base + size * 0.01, size * 0.5, size * 0.05), mix(rgb("8fb07a"), rgb("a9c489"), 1 - v))
                c.shape(wood, bark, mix(bark, OUTLINE, 0.5), 1.6)
                with c.clip(wood) as k:
                    k.fill(
                        np.array([(0.015, 0.05), (0.0, -0.4), (0.1, -0.8), (0.4, -0.8), (0.4, 0.05)]) * size + (x, base),
                        mix(bark, OUTLINE, 0.3),
                    )
                for dx, dy, r in (
                    (-0.42, 0.74, 0.27),
                    (0.4, 0.76, 0.27),
                    (-0.2, 0.95, 0.3),
                    (0.22, 0.98, 0.3),
                    (0.0, 0.76, 0.28),
                    (-s * 0.62, 0.6, 0.2),
                    (0, 1.12, 0.25),
                ):
                    blossom(c, x + dx * size, base - dy * size, r * size, haze)

    def branch(c: Canvas) -> None:
        bark, edge = rgb("5a424c"), rgb("38282f")
        c.shape(
            curve(
                [
                    (1400, -40),
                    (1220, 30),
                    (1060, 52),
                    (930, 96),
                    (840, 104),
                    (928, 106),
                    (1066, 76),
                    (1226, 66),
                    (1400, 30),
                ],
                True,
            ),
            bark,
            edge,
            2.4,
        )
        c.shape(curve([(1120, 50), (1040, 110), (1000, 172), (1050, 124), (1136, 68)], True), bark, edge, 2.2)
        for x, y, r in (
            (1290, 30, 100),
            (1160, 34, 76),
            (1060, 52, 62),
            (940, 92, 54),
            (1010, 158, 46),
            (1240, 110, 58),
            (860, 104, 34),
            (1120, 110, 50),
            (1340, 120, 70),
        ):
            blossom(c, x, y, r, 0.0)

    b, g, tr, br = (
        shot.paint_layer(back, opaque=True),
        shot.paint_layer(canal, (-120, 300, 1520, 320)),
        shot.paint_layer(trees, (-200, -100, 1680, 700)),
        shot.paint_layer(branch, (760, -80, 700, 340)),
    )
    petals = rng.random((90, 6))

    def draw(t: float) -> Pixels:
        z = 1 + 0.012 * t
        f = shot.frame(b, 0, 0, 1 + 0.003 * t)
        shot.add_layer(f, g, 0, 0, z)
        shot.add_layer(f, tr, 0, 0, z)
        c = shot.canvas(f)
        for u, v, s, p, q, o in petals:
            pace = 34 + 52 * s
            y = (620 * v + pace * t + 10 * np.sin(1.7 * t + 6 * p)) % 620 - 40
            x = (1400 * u - 0.75 * pace * t + 22 * np.sin(1.2 * t + 6 * q)) % 1400 - 60
            petal(
                c,
                x,
                y,
                3.2 + 6.5 * s**2,
                360 * o + 90 * t * (q - 0.5) * 2,
                float(np.sin(2.3 * t * (0.6 + o) + 6 * p)),
                mix(bloom[0], bloom[2], o * 0.8),
            )
        shot.add_layer(f, br, -6 * t + 10, 3 * np.sin(1.1 * t), 1 + 0.03 * t)
        return f

    return draw
