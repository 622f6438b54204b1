"""Scenes of the sample film by the sea. A scene paints its layers once and returns `draw(seconds) -> picture`."""

import numpy as np

from pipeline.sample_film.canvas import OUTLINE, Canvas, Draw, Pixels, ShotRenderer, box, curve, ellipse, mix, rgb, scalloped
from pipeline.sample_film.cast import (
    GIRL,
    RED,
    SKIN_SHADE,
    WHITE,
    bezier,
    breeze,
    cat,
    walker,
)
from pipeline.sample_film.scenery import (
    CLOUD,
    LEAF,
    PINE,
    cirrus,
    cumulus,
    glints,
    gull,
    hill,
    pole,
    water,
    wire,
)

NOON = [(0.0, rgb("3f86c6")), (0.45, rgb("7cb8df")), (0.8, rgb("bfdfe6")), (1.0, rgb("e8f0e2"))]
SEA = [(0.0, rgb("6fb3c4")), (0.1, rgb("4d9dba")), (0.28, rgb("3585ad")), (0.55, rgb("28709d")), (0.82, rgb("20608e"))]


def open_sea(shot: ShotRenderer) -> Draw:
    """Towers of cloud over a bay, a white sail, gulls; the camera rises a little."""
    rng = shot.rng

    def sky(c: Canvas) -> None:
        c.gradient(-60, 330, NOON)
        cirrus(c, 300, 60, 700, rng, rgb("d5e8f2"), 9, 0.55)
        c.fill(box(-80, 330, 1440, 300), SEA[0][1])

    def clouds(c: Canvas) -> None:
        cumulus(c, 960, 318, 560, 250, rng)
        cumulus(c, 1300, 326, 360, 130, rng)
        cumulus(c, 520, 326, 420, 96, rng)

    def clouds_far(c: Canvas) -> None:
        pale = tuple(mix(tone, rgb("cfe4ea"), 0.45) for tone in CLOUD)
        cumulus(c, 200, 330, 560, 128, rng, pale)
        cumulus(c, 760, 332, 300, 70, rng, pale)

    def sea(c: Canvas) -> None:
        water(c, 326, 600, SEA)
        c.stroke([(-400, 326), (1900, 326)], rgb("d9efe9"), 2.0, (0, 0))
        pine = tuple(mix(tone, rgb("9cc3cf"), 0.5) for tone in PINE)
        hill(c, [(-200, 300), (-60, 268), (70, 262), (180, 290), (270, 327)], rng, pine, 4, 327)

    def cape(c: Canvas) -> None:
        hill(c, [(960, 560), (1050, 500), (1130, 470), (1240, 440), (1500, 400)], rng, LEAF, 9)
        c.shape(box(1172, 372, 30, 84), WHITE, OUTLINE, 2.0)
        c.fill(box(1190, 374, 11, 82), rgb("c3cfe0"))
        c.fill(box(1173, 398, 28, 14), RED)
        c.shape(box(1166, 364, 42, 8), rgb("e9ddc8"), OUTLINE, 1.8)
        c.shape(box(1176, 342, 22, 22), rgb("ffe8a0"), OUTLINE, 1.8)
        c.shape([(1170, 343), (1187, 326), (1204, 343)], RED, OUTLINE, 1.8)

    s, far, near, w, head = (
        shot.paint_layer(sky, opaque=True),
        shot.paint_layer(clouds_far),
        shot.paint_layer(clouds, (400, -60, 1200, 500)),
        shot.paint_layer(sea, (-80, 230, 1440, 420)),
        shot.paint_layer(cape, (900, 300, 500, 360)),
    )
    seed = int(rng.integers(1 << 30))

    def draw(t: float) -> Pixels:
        y = 10 - 4.5 * t
        f = shot.frame(s, 0, y * 0.5)
        shot.add_layer(f, far, 2.2 * t, y * 0.6)
        shot.add_layer(f, near, -4.5 * t - 20, y * 0.7)
        shot.add_layer(f, w, 0, y)
        c = shot.canvas(f, 0, y)
        glints(c, t, np.random.default_rng(seed), (-60, 334, 1400, 240), 120, rgb("dff3ee"))
        k = c.transform(430 + 9 * t, 372 + 1.5 * np.sin(1.7 * t), 1.0, 1.6 * np.sin(1.3 * t))
        k.fill(curve([(-40, 4), (-6, 7), (40, 4), (4, 14)], True), rgb("2a6890"), 0.55)
        k.shape(curve([(-2, -2), (-3, -88), (40, -6)], False, 5), WHITE, OUTLINE, 2.0)
        k.fill([(22, -40), (38, -7), (10, -6)], rgb("cfdbe8"))
        k.shape([(-8, -4), (-8, -76), (-32, -6)], rgb("eef3f2"), OUTLINE, 2.0)
        k.shape(curve([(-36, -2), (44, -3), (30, 9), (-26, 9)], True, 5), RED, OUTLINE, 2.0)
        shot.add_layer(f, head, -3 * t, y * 1.3)
        for i, (gx, gy, size) in enumerate(((560, 150, 30), (650, 196, 22), (500, 218, 17))):
            gull(
                c,
                gx + 26 * t + 6 * np.sin(t + i),
                gy + 9 * np.sin(0.9 * t + 2 * i),
                size,
                float(np.sin(4.2 * t + 1.9 * i)),
            )
        return f

    return draw


def cat_on_wall(shot: ShotRenderer) -> Draw:
    """A tabby on a warm wall among hydrangeas, the sea behind; it blinks and thinks with its tail."""
    rng = shot.rng

    def back(c: Canvas) -> None:
        c.gradient(-60, 250, [(0, rgb("8cc7e4")), (0.7, rgb("cbe5e8")), (1, rgb("f2f3e2"))])
        cumulus(c, 960, 236, 620, 190, rng)
        cumulus(c, 250, 240, 340, 74, rng)
        water(c, 240, 500, [(0, rgb("86c3cc")), (0.12, rgb("5fabc0")), (0.4, rgb("4795b3"))])

    def wall(c: Canvas) -> None:
        c.shape(box(-120, 404, 1520, 240), rgb("d9c7ad"), OUTLINE, 2.4)
        c.shape(box(-120, 386, 1520, 40), rgb("f1e4cb"), OUTLINE, 2.6)
        c.fill(box(-120, 429, 1520, 14), rgb("b39f93"))
        for row in range(3):
            y = 468 + row * 46
            c.stroke([(-100, y), (1400, y)], rgb("b8a28c"), 2.0, (0, 0))
            for i in range(14):
                x = -90.0 + i * 112 + (row % 2) * 56
                c.stroke([(x, y), (x + rng.uniform(-2, 2), y + 46)], rgb("b8a28c"), 2.0, (0.05, 0.05))
                if rng.random() < 0.35:
                    c.fill(box(x + 3, y + 3, 106, 40), rgb("cdb89d"))
        for i in range(6):
            x = 20.0 + i * 250 + rng.uniform(-40, 40)
            c.stroke([(x, 388), (x + 4, 424)], rgb("cbb79a"), 2.2, (0.1, 0.3))
        c.fill(curve([(560, 410), (700, 400), (830, 404), (800, 420), (640, 424)], True), rgb("cdb79f"))

    def flowers(c: Canvas) -> None:
        def bloom(x: float, y: float, r: float, tint: tuple[int, int, int]) -> None:
            deep, light = mix(tint, rgb("4a4c8c"), 0.45), mix(tint, WHITE, 0.55)
            c.fill(scalloped(x, y, r, r * 0.86, rng, 11), deep)
            for _ in range(42):
                a, d = rng.uniform(0, 6.28), r * np.sqrt(rng.random()) * 0.86
                fx, fy, s = x + d * np.cos(a), y + d * np.sin(a) * 0.84, r * 0.17
                tone = light if (fx - x) + (fy - y) < -r * 0.15 else tint
                for q in range(4):
                    b = q * np.pi / 2 + a
                    c.fill(ellipse(fx + s * 0.6 * np.cos(b), fy + s * 0.6 * np.sin(b), s * 0.62, s * 0.56, count=10), tone)
                c.fill(ellipse(fx, fy, s * 0.2, s * 0.2, count=8), deep)

        blooms = ((60, 420, 62, rgb("7f9fe0")), (190, 486, 66, rgb("a99be0")),
            (300, 540, 50, rgb("86b4e8")), (10, 530, 60, rgb("b7a3e6")),
                              (1170, 480, 64, rgb("8aa8e4")), (1290, 440, 60, rgb("b39de0")),
                                  (1090, 545, 50, rgb("a7b6ee")), (1262, 556, 60, rgb("7f9fe0")))  # fmt: skip
        for x, y, r, _ in blooms:
            for i in range(7):
                a = rng.uniform(-75, 75)
                lx, ly = x + (r + 6) * np.sin(np.radians(a)), y - (r - 4) * np.cos(np.radians(a)) + 20
                s, tone = rng.uniform(32, 50), PINE[1 + i % 3]
                k = c.transform(lx, ly, 1, a)
                leaf = curve(
                    [
                        (0, -s),
                        (s * 0.42, -s * 0.25),
                        (s * 0.3, s * 0.4),
                        (0, s * 0.6),
                        (-s * 0.3, s * 0.4),
                        (-s * 0.42, -s * 0.25),
                    ],
                    True,
                    5,
                )
                k.shape(leaf, tone, rgb("2c4a4a"), 1.6)
                k.stroke([(0, -s * 0.8), (0, s * 0.5)], mix(tone, rgb("2c4a4a"), 0.5), 1.8)
        for x, y, r, tint in blooms:
            bloom(x, y, r, tint)

    b, w, p = shot.paint_layer(back, opaque=True), shot.paint_layer(wall, (-120, 300, 1520, 320)), shot.paint_layer(flowers)
    seed = int(rng.integers(1 << 30))

    def draw(t: float) -> Pixels:
        z = 1 + 0.014 * t
        f = shot.frame(b, -2 * t, 0, 1 + 0.005 * t)
        glints(
            shot.canvas(f, -2 * t, 0, 1 + 0.005 * t),
            t,
            np.random.default_rng(seed),
            (-60, 248, 1400, 130),
            70,
            rgb("e2f3ee"),
            0.7,
        )
        shot.add_layer(f, w, 0, 0, z)
        cat(shot.canvas(f, 0, 0, z).transform(660, 408, 1.28), t)
        shot.add_layer(f, p, 3 * t, 4 + 1.5 * np.sin(t), 1.02 + 0.02 * t)
        return f

    return draw


def sea_wall(shot: ShotRenderer) -> Draw:
    """The girl walks along the sea wall, her ribbon in the wind; the camera walks with her."""
    rng = shot.rng

    def back(c: Canvas) -> None:
        c.gradient(-60, 330, [(0, rgb("5ba3d6")), (0.6, rgb("a5d3e6")), (1, rgb("f0f3de"))])
        cumulus(c, 420, 316, 460, 160, rng)
        cumulus(c, 1180, 320, 620, 230, rng)
        water(c, 322, 560, SEA)

    def road(c: Canvas) -> None:
        c.fill(box(-300, 452, 2100, 200), rgb("d8cdb8"))
        c.fill(box(-300, 452, 2100, 20), rgb("b4a59a"))
        c.shape(box(-300, 378, 2100, 76), rgb("efe3cd"), OUTLINE, 2.2)
        c.shape(box(-300, 366, 2100, 18), rgb("fbf4e4"), OUTLINE, 2.2)
        c.fill(box(-300, 386, 2100, 9), rgb("cbbba8"))
        for i in range(16):
            x = -280 + i * 136
            c.stroke([(x, 386), (x, 452)], rgb("c2b19c"), 2.2, (0, 0))
            if i % 3 == 1:
                for q in range(9):
                    dx, r = 14 * (q % 5) + rng.uniform(-4, 4), rng.uniform(7, 13)
                    c.fill(scalloped(x + 20 + dx, 452 - r * 0.6 - 9 * (q // 5), r, r * 0.8, rng, 7), PINE[2 - q % 3])
                c.fill(box(x - 10, 454, 110, 16), rgb("b4a59a"))
        c.fill(box(-300, 528, 2100, 9), rgb("f7f1e4"))
        for _ in range(60):
            left, y = rng.uniform(-300, 1800), rng.uniform(478, 545)
            c.stroke([(left, y), (left + rng.uniform(10, 40), y)], rgb("c4b7a2"), 1.8)

    def near(c: Canvas) -> None:
        for x in (60, 940, 1800):
            pole(c, x, 660, 640)
        for x0, x1 in ((-820, 60), (60, 940), (940, 1800)):
            for dx, y in ((-90, 58), (-48, 58), (48, 58), (90, 58), (-68, 114), (68, 114)):
                wire(c, (x0 + dx, y), (x1 + dx, y), 38)

    b, r, n = (
        shot.paint_layer(back, (-80, -60, 1700, 664), opaque=True),
        shot.paint_layer(road, (-300, 340, 2100, 300)),
        shot.paint_layer(near, (-300, -40, 2200, 664)),
    )
    seed = int(rng.integers(1 << 30))

    def draw(t: float) -> Pixels:
        pan = 78 * t
        f = shot.frame(b, -0.10 * pan)
        glints(shot.canvas(f, -0.1 * pan), t, np.random.default_rng(seed), (-60, 330, 1500, 120), 80, rgb("dff3ee"))
        shot.add_layer(f, r, -pan)
        c = shot.canvas(f)
        x = 470 + 26 * t
        c.fill(ellipse(x - 14, 512, 62, 8), rgb("a6998c"))
        walker(c.transform(x, 510, 1.12), t, GIRL, 0.95)
        shot.add_layer(f, n, 90 - 1.5 * pan)
        return f

    return draw


def storm(shot: ShotRenderer) -> Draw:
    """A lighthouse in a dark sea; its beam goes round, rain drives across."""
    rng = shot.rng

    def back(c: Canvas) -> None:
        c.gradient(-60, 420, [(0, rgb("27364a")), (0.6, rgb("44596b")), (1, rgb("74898f"))])
        tones = (rgb("5d7080"), rgb("43566a"), rgb("2f4056"))
        for x, y, w, h in (
            (150, 130, 560, 130),
            (620, 90, 620, 150),
            (1120, 150, 600, 150),
            (400, 210, 500, 80),
            (980, 230, 520, 70),
        ):
            cumulus(c, x, y, w, h, rng, tones)

    def rock(c: Canvas) -> None:
        cliff = curve(
            [
                (760, 620),
                (800, 470),
                (850, 420),
                (900, 392),
                (1010, 384),
                (1080, 410),
                (1150, 420),
                (1260, 480),
                (1420, 620),
            ],
            True,
        )
        c.shape(cliff, rgb("4b5560"), rgb("1d2733"), 3)
        with c.clip(cliff) as k:
            k.fill(
                curve([(1010, 370), (990, 440), (1040, 500), (1000, 640), (1500, 640), (1400, 380)], True),
                rgb("333d4a"),
            )
            for _ in range(26):
                x, y = rng.uniform(790, 1240), rng.uniform(400, 590)
                k.stroke(curve([(x, y), (x + 14, y + 20), (x + 8, y + 46)]), rgb("2a3340"), 3.0)
            k.stroke(curve([(820, 450), (880, 408), (950, 392), (1010, 390)]), rgb("7c8a90"), 8)
        tower = np.array([(926, 392), (944, 150), (1004, 150), (1022, 392)], float)
        c.shape(tower, rgb("e6e3dc"), rgb("1d2733"), 2.8)
        with c.clip(tower) as k:
            for y in (200, 296):
                k.fill(box(900, y, 150, 48), rgb("b5433f"))
            k.fill([(980, 140), (986, 400), (1060, 400), (1060, 140)], rgb("1d2733"), 0.38)
        c.shape(box(930, 138, 88, 14), rgb("59626c"), rgb("1d2733"), 2.4)
        c.shape(box(946, 94, 56, 46), rgb("ffeeb0"), rgb("1d2733"), 2.6)
        for x in (960, 974, 988):
            c.stroke([(x, 94), (x, 140)], rgb("1d2733"), 2.2, (0, 0))
        c.shape(curve([(936, 96), (954, 70), (974, 60), (994, 70), (1012, 96)], True, 4), rgb("9c3a3a"), rgb("1d2733"), 2.6)
        c.stroke([(974, 60), (974, 36)], rgb("1d2733"), 3, (0, 0))
        c.shape(box(1050, 342, 66, 66), rgb("cfcac2"), rgb("1d2733"), 2.4)
        c.shape([(1040, 344), (1083, 310), (1126, 344)], rgb("6d4a4c"), rgb("1d2733"), 2.4)
        c.shape(box(1070, 360, 20, 22), rgb("ffdf94"), rgb("1d2733"), 2.0)

    b, r = shot.paint_layer(back, opaque=True), shot.paint_layer(rock, (740, 20, 700, 600))
    drops = rng.random((110, 3))

    def draw(t: float) -> Pixels:
        f = shot.frame(b, 6 * t - 20)
        c = shot.canvas(f)
        a = 1.1 * t - 0.6
        reach, facing = 1500 * np.cos(a), abs(np.cos(a))
        for part, alpha in ((1.0, 0.14), (0.5, 0.18)):
            wide = (26 + 90 * facing) * part
            c.fill(
                [(974, 112), (974 - reach, 100 - 1.6 * wide), (974 - reach, 100 + 1.6 * wide), (974, 124)],
                rgb("fff2bf"),
                alpha * facing,
            )
        xs = np.linspace(-60, 1340, 120)
        for row, tone in enumerate((rgb("4a6572"), rgb("3d5768"), rgb("314a5e"), rgb("263d52"))):
            if row == 2:
                shot.add_layer(f, r)
                c.glow(974, 118, 150 - 60 * facing, 150 - 60 * facing, rgb("fff6cf"), 0.75)
            y0, amp, length, speed = 392 + 42 * row, 8 + 5 * row, 150 + 60 * row, 0.2 + 0.04 * row

            def surface(
                x: np.ndarray,
                amp: float = amp,
                length: float = length,
                run: float = speed * t - 0.3 * row,
                y0: float = y0,
            ) -> np.ndarray:
                phase = 2 * np.pi * (x / length - run)
                return np.asarray(y0 - amp * (np.sin(phase) + 0.28 * np.sin(2 * phase + 0.9)) + 3 * np.sin(x / 47 + 1.3 * t))

            c.fill(np.concatenate([np.stack([xs, surface(xs)], 1), [(1340, 640), (-60, 640)]]), tone)
            first = ((speed * t - 0.3 * row + 0.2) % 1) * length - 2 * length
            for n, middle in enumerate(np.arange(first, 1340, length)):
                for shift, span, drop, lift in ((0.0, 0.30, 3, 0.72), (0.1, 0.2, 11 + 3 * row, 0.35)):
                    x = middle + length * (shift + np.linspace(-span, span, 14) * (0.8 + 0.2 * np.sin(n * 2.4 + row)))
                    c.stroke(np.stack([x, surface(x) + drop], 1), mix(tone, rgb("e9f1ee"), lift), 3 + row, (0.5, 0.5))
        for u, v, s in drops:
            y = (700 * v + (720 + 260 * s) * t) % 680 - 60
            x = (1500 * u - 0.34 * (720 + 260 * s) * t) % 1500 - 60
            h = 26 + 26 * s
            c.stroke([(x, y), (x - 0.34 * h, y + h)], rgb("c6d4da"), 1.8, (0.4, 0.2), 0.5)
        return f

    return draw


def _sitting(c: Canvas, x: float, base: float, t: float, girl: bool, rim: tuple[int, int, int]) -> None:
    """A figure seen from behind, sitting on a wall against the light."""
    k, w = c.transform(x, base), breeze(t * 1.1, 0.0 if girl else 1.2)
    dark, shirt = rgb("3f2d45"), mix(rgb("8a6480"), rgb("ffd9b0"), 0.42)
    shade, skin = mix(shirt, rgb("4d3a5c"), 0.5), mix(SKIN_SHADE, rgb("8a5470"), 0.35)
    for s in (-1, 1):  # arms that lean on the wall
        k.shape(
            curve([(s * 25, -96), (s * 41, -64), (s * 46, -30), (s * 52, 1), (s * 42, 3), (s * 35, -28), (s * 24, -60)], True),
            skin,
            dark,
            2.0,
        )
        k.shape(
            curve([(s * 20, -108), (s * 37, -96), (s * 48, -62), (s * 34, -54), (s * 22, -74)], True),
            shade if s < 0 else shirt,
            dark,
            2.0,
        )
    body = curve(
        [(-24, -110), (-8, -116), (8, -116), (24, -110), (29, -74), (25, -40), (32, 4), (-32, 4), (-25, -40), (-29, -74)], True
    )
    k.shape(body, shirt, dark, 2.4)
    with k.clip(body) as q:
        q.fill(curve([(-60, -120), (-8, -112), (-12, -60), (-4, -30), (-14, 20), (-60, 20)], True), shade)
        q.stroke(curve([(24, -110), (28, -74), (24, -40), (31, 0)]), rim, 5, (0.1, 0.2))
    skirt = curve([(-27, -26), (27, -26), (44, 0), (40, 5), (-40, 5), (-44, 0)], True)
    k.shape(skirt, rgb("3b3a66") if girl else rgb("36365a"), dark, 2.0)
    if girl:
        k.shape([(-30, -112), (30, -112), (25, -82), (-25, -82)], rgb("44446f"), dark, 2.0)
        k.stroke([(-23, -88), (23, -88)], rgb("e6cdb4"), 2.0, (0, 0))
    k.fill(box(-9, -130, 18, 22), skin)
    if girl:
        hair = curve([(-30, -166), (-34, -140), (-33 + 5 * w, -96), (-26 + 9 * w, -64 + 3 * w), (6 + 12 * w, -58),
            (36 + 13 * w, -70), (35 + 4 * w, -110), (36, -150), (26, -184),
                      (0, -194), (-24, -184)], True)  # fmt: skip
    else:
        hair = curve(
            [
                (-31, -160),
                (-30, -136),
                (-16, -124),
                (0, -128),
                (16, -124),
                (31, -138),
                (33, -162),
                (24, -184),
                (8 + 2 * w, -196),
                (-2, -190),
                (-20, -186),
            ],
            True,
        )
    k.shape(hair, rgb("4d3340") if girl else rgb("343350"), dark, 2.4)
    with k.clip(hair) as q:
        q.stroke(curve([(8, -190), (26, -180), (35, -152), (34 + 4 * w, -108), (34 + 12 * w, -72)]), rim, 7, (0.2, 0.3))
        for x0 in (-14, 2, 16):
            q.stroke(bezier((x0 * 0.4, -190), (x0 * 1.2, -150), (x0 * 1.3 + 8 * w, -84)), mix(rim, dark, 0.7), 2.4)
    if girl:
        k.shape(curve([(-4, -178), (-34, -196), (-36, -170), (-4, -172)], True, 5), RED, dark, 2.0)
        k.shape(curve([(4, -178), (30, -198), (36, -172), (4, -172)], True, 5), RED, dark, 2.0)


def sunset(shot: ShotRenderer) -> Draw:
    """The two of them on the wall, the sun going down into the sea; gulls go home."""
    rng = shot.rng
    rim = rgb("ffd08a")

    def back(c: Canvas) -> None:
        c.gradient(
            -60,
            330,
            [
                (0, rgb("55609c")),
                (0.3, rgb("b0779b")),
                (0.58, rgb("f0957b")),
                (0.82, rgb("fdc27f")),
                (1, rgb("ffe3a4")),
            ],
        )
        c.glow(640, 300, 620, 300, rgb("ffe9b0"), 0.75)
        c.fill(ellipse(640, 282, 62, 62, count=80), rgb("fff6d2"))
        tones = (rgb("ffd9a6"), rgb("e79a8c"), rgb("a9729a"))
        cumulus(c, 1090, 316, 520, 120, rng, tones)
        cumulus(c, 180, 318, 460, 84, rng, tones)
        cirrus(c, 640, 110, 1400, rng, rgb("f7a98c"), 12, 0.75)
        cirrus(c, 560, 200, 1300, rng, rgb("ffd0a0"), 9, 0.75)
        water(c, 322, 600, [(0, rgb("f6b285")), (0.1, rgb("dc8b80")), (0.3, rgb("a96c86")), (0.6, rgb("74557f"))])
        c.stroke([(-100, 322), (1400, 322)], rgb("fff0c0"), 2.4, (0.2, 0.2))

    def front(c: Canvas) -> None:
        c.shape(box(-120, 470, 1540, 170), rgb("5d4765"), rgb("33253e"), 2.6)
        c.shape(box(-120, 458, 1540, 26), rgb("8a6477"), rgb("33253e"), 2.4)
        c.stroke([(-120, 460), (1420, 460)], rim, 2.6, (0, 0))
        for i in range(12):
            c.stroke([(-60 + i * 124, 484), (-60 + i * 124, 560)], rgb("463350"), 2.2, (0, 0))

    b, n = shot.paint_layer(back, opaque=True), shot.paint_layer(front, (-120, 440, 1540, 200))

    def poles(c: Canvas) -> None:
        pole(c, 1150, 660, 560, rgb("4a3654"), rgb("2c1f36"))
        for dx, y in ((-80, 132), (-42, 132), (42, 132), (80, 132), (-60, 182), (60, 182)):
            wire(c, (1150 + dx, y), (1900, y - 90), 40, rgb("2c1f36"))
            wire(c, (200, y - 170), (1150 + dx, y), 60, rgb("2c1f36"))

    p = shot.paint_layer(poles)
    seed = int(rng.integers(1 << 30))

    def draw(t: float) -> Pixels:
        z = 1.04 - 0.008 * t
        f = shot.frame(b, 0, 0, z)
        c = shot.canvas(f, 0, 0, z)
        path = np.random.default_rng(seed)
        for _ in range(70):
            v = path.random()
            x = 640 + path.normal() * (26 + 90 * v)
            life = 0.5 + 0.5 * np.sin(2.0 * t + path.random() * 6.3)
            half = (8 + 46 * v) * (0.3 + 0.7 * life)
            y = 326 + 140 * v
            c.dash(x, y, half, 1.6 + 3.4 * v, mix(rgb("fff3c6"), rgb("ffc07a"), v))
        glints(c, t, np.random.default_rng(seed), (-60, 330, 1400, 130), 50, rgb("f3b08c"), 0.8)
        for i in range(4):
            gull(
                c,
                300 + 40 * i + 30 * t,
                150 + 22 * ((i * 7) % 3) + 6 * np.sin(t + i),
                17,
                float(np.sin(3.8 * t + 1.7 * i)),
                rgb("5b4468"),
            )
        shot.add_layer(f, p, 4 * t, 0, z)
        shot.add_layer(f, n, 0, 0, z)
        _sitting(c, 566, 462, t, True, rim)
        _sitting(c, 706, 462, t, False, rim)
        return f

    return draw
