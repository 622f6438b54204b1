"""The cast of the sample film: a girl, a boy, a cat, a bicycle; each a few flat, outlined shapes that move with time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pipeline.sample_film.canvas import OUTLINE, Canvas, Color, Points, curve, ellipse, mix, ramp, rgb, smoothstep

SKIN, SKIN_SHADE, BLUSH = rgb("fde3cd"), rgb("efb79f"), rgb("f3978a")
WHITE, CREAM, CLOTH_SHADE = rgb("fffdf6"), rgb("f8f0df"), rgb("bcc6dc")
NAVY, NAVY_SHADE, RED, RED_SHADE = rgb("35507f"), rgb("263a62"), rgb("d9574e"), rgb("a93d43")

TABBY, STRIPE, MILK = rgb("e8a35c"), rgb("c0703c"), rgb("fff4e2")


@dataclass(frozen=True)
class Character:
    """The colors and hair length by which characters differ."""

    hair: Color
    hair_shade: Color
    hair_light: Color
    iris: Color
    iris_dark: Color
    long: bool


GIRL = Character(rgb("7a4b3a"), rgb("553229"), rgb("b67a55"), rgb("6fa08c"), rgb("2d4b4c"), True)
BOY = Character(rgb("3d4460"), rgb("292d45"), rgb("6b779b"), rgb("a8794e"), rgb("4a2f2c"), False)


def blinking(t: float, every: float = 2.6, offset: float = 0.0) -> float:
    """Return how open the eyes are at a time: mostly 1, with a quick blink now and then."""
    u = (t + offset) % every
    return 1 - smoothstep(u, 0.0, 0.09) + smoothstep(u, 0.13, 0.26)


def breeze(t: float, phase: float = 0.0) -> float:
    """Return the wind's strength at a time: two slow waves, about -1.4 to 1.4."""
    return float(np.sin(2.1 * t + phase) + 0.4 * np.sin(3.7 * t + 1.7 * phase))


def bezier(a: ArrayLike, control: ArrayLike, b: ArrayLike, count: int = 12) -> Points:
    """Return points of a quadratic Bezier curve."""
    t = ramp(count)[:, None]
    p, q, r = (np.asarray(x, np.float64) for x in (a, control, b))
    path: Points = p * (1 - t) ** 2 + 2 * q * t * (1 - t) + r * t**2
    return path


def lock(a: Sequence[float], b: Sequence[float], tip: Sequence[float], bend: float = 0.0, fat: float = 0.16) -> Points:
    """Return the outline of a pointed lock of hair, rooted between a and b and ending in tip."""
    pa, pb, pt = np.asarray(a, float), np.asarray(b, float), np.asarray(tip, float)
    side = np.array([bend, 0.0])
    across = (pb - pa) * fat
    return np.concatenate([bezier(pa, (pa + pt) / 2 - across + side, pt), bezier(pt, (pb + pt) / 2 + across + side, pb)[1:]])


def eye(c: Canvas, character: Character, opened: float, gaze: float = 0.0, far: float = 1.0) -> None:
    """An eye about the origin, outer corner to the right; `far` narrows the eye on the far side of a turned head."""
    c = Canvas(c.pixels, np.diag([far, 1.0]) @ c.turn, c.shift)
    top = 3 + opened * np.array([2, -13, -20, -17, -4]) + (1 - opened) * np.array([-1, 7, 10, 7, -2])
    upper = curve(np.stack([[-19, -10, 1, 12, 20], top], 1))
    lower = curve([(20, top[-1]), (14, 5 + 10 * opened), (0, 6 + 12 * opened), (-11, 5 + 8 * opened), (-19, top[0])])
    if opened > 0.12:
        white = np.concatenate([upper, lower[1:-1]])
        c.fill(white, WHITE)
        with c.clip(white) as k:
            k.fill(ellipse(1, -20, 24, 14), rgb("c9cde0"))
            x = 1.5 + gaze
            k.fill(ellipse(x, -1, 13.5, 19), character.iris_dark)
            k.fill(ellipse(x, 4, 11, 13.5), character.iris)
            k.fill(ellipse(x, 10, 7.5, 6), mix(character.iris, rgb("fff3c8"), 0.55))
            k.fill(ellipse(x, -1, 5.2, 8), mix(character.iris_dark, OUTLINE, 0.6))
            k.fill(ellipse(x, -19, 18, 11), mix(character.iris_dark, OUTLINE, 0.35), 0.75)
            k.fill(ellipse(x - 5, -9, 5.2, 6.0), WHITE)
            k.fill(ellipse(x + 5.5, 8, 2.6, 3.0), WHITE)
        c.stroke(
            curve([(-9, 7 + 9 * opened), (2, 6.5 + 12 * opened), (13, 6 + 9 * opened)]), mix(OUTLINE, character.hair, 0.35), 1.8
        )
    wing = np.concatenate([upper, [(24, top[-1] + 3)]])
    c.stroke(
        wing, mix(OUTLINE, character.hair_shade, 0.3), (3.4 + 2.2 * opened) * (1.0 if character.long else 0.8), (0.35, 0.12)
    )
    if character.long:
        c.stroke(
            [(17, top[-1] - 5 * opened), (25, top[-1] - 7 * opened)], mix(OUTLINE, character.hair_shade, 0.3), 2.6, (0.0, 0.9)
        )
    c.stroke(curve([(-12, top[1] - 7), (0, top[2] - 8), (12, top[3] - 7)]), mix(SKIN_SHADE, character.hair_shade, 0.6), 1.7)


def bust(
    c: Canvas,
    t: float,
    character: Character = GIRL,
    gaze: float = 0.0,
    smile: float = 1.0,
    offset: float = 0.6,
) -> None:
    """Head and shoulders, face turned a little to the left; the face is about 150 units wide, its middle at the origin."""
    w = [breeze(t, p) for p in (0.0, 0.7, 1.5, 2.3, 3.1)]
    line = mix(OUTLINE, character.hair_shade, 0.25)
    opened = blinking(t, offset=offset)
    if character.long:
        back = curve(
            [(-70, -100), (-102, -30), (-100, 60), (-96 + 9 * w[1], 120), (-88 + 14 * w[2], 190),
                (-50 + 16 * w[2], 214), (-20 + 10 * w[1], 190),
             (34 + 12 * w[2], 196), (70 + 18 * w[3], 222), (124 + 26 * w[4], 196), (126 + 18 * w[4], 128),
                 (112 + 9 * w[3], 60), (106, -30), (70, -100)], True
        )  # fmt: skip
        c.shape(back, character.hair_shade, line, 3.2)
        for x, sway in ((-72, w[1]), (-44, w[2]), (46, w[2]), (74, w[3]), (98, w[4])):
            c.stroke(
                bezier((x * 0.94, 20), (x * 1.05 + 3 * sway, 110), (x + 16 * sway, 200)),
                mix(character.hair_shade, character.hair, 0.75),
                4.0,
            )
    else:
        back = np.concatenate(
            [
                curve([(-84, -60), (-92, -10), (-88, 26)]),
                [(-96, 48), (-74, 44), (-72, 74), (-48, 58), (40, 62), (66, 78), (74, 46), (97, 54)],
                curve([(92, 20), (95, -10), (86, -70)]),
            ]
        )
        c.shape(back, character.hair_shade, line, 3.2)
    # shoulders, collar, neck
    c.shape(curve([(-24, 130), (-92, 158), (-158, 190), (-196, 270), (-206, 420), (220, 420), (208, 270),
        (166, 190), (100, 156), (30, 130)],
                  True), WHITE, line, 3.2)  # fmt: skip
    with c.clip(curve([(-24, 130), (-92, 158), (-158, 190), (-196, 270), (-206, 420), (220, 420), (208, 270),
        (166, 190), (100, 156),
                       (30, 130)], True)) as k:  # fmt: skip
        k.fill(curve([(80, 150), (128, 214), (112, 300), (140, 430), (260, 430), (240, 180)], True), CLOTH_SHADE)
        k.stroke(curve([(-134, 236), (-120, 300), (-128, 400)]), CLOTH_SHADE, 5)
    c.shape(curve([(-27, 84), (-24, 118), (-38, 146), (2, 186), (44, 144), (30, 116), (33, 80)], True), SKIN, line, 2.8)
    with c.clip(curve([(-27, 84), (-24, 118), (-38, 146), (2, 186), (44, 144), (30, 116), (33, 80)], True)) as k:
        k.fill(curve([(-40, 70), (-30, 106), (-2, 124), (16, 150), (50, 156), (60, 60)], True), SKIN_SHADE)
    if character.long:
        left = np.array([(-34, 134), (-98, 156), (-126, 200), (-58, 236), (0, 196)])
        right = np.array([(38, 132), (104, 154), (138, 198), (70, 238), (0, 196)])
        for collar in (left, right):
            c.shape(collar, NAVY if collar is left else NAVY_SHADE, line, 3.0)
            centre = collar.mean(0)
            inner = centre + (collar - centre) * 0.8
            c.stroke(inner[1:4], CREAM, 3.0, (0, 0))
        flutter = 4 * w[2]
        c.shape(curve([(-4, 198), (-52, 184 + flutter), (-60, 218 + flutter), (-8, 212)], True), RED, line, 2.8)
        c.shape(curve([(6, 198), (50, 186 - flutter), (60, 222 - flutter), (8, 212)], True), RED_SHADE, line, 2.8)
        c.shape(curve([(-4, 208), (-30, 268 + flutter), (-6, 262 + flutter), (4, 212)], True), RED, line, 2.6)
        c.shape(curve([(4, 208), (34, 266 + flutter), (14, 272 + flutter), (-2, 212)], True), RED_SHADE, line, 2.6)
        c.shape(ellipse(0, 204, 11, 11), RED, line, 2.8)
    else:
        c.shape([(-40, 132), (-66, 160), (-24, 200), (2, 186)], WHITE, line, 2.8)
        c.shape([(44, 130), (72, 160), (30, 202), (2, 186)], CLOTH_SHADE, line, 2.8)
    # face
    skull = curve(
        [(-74, -46), (-76, -8), (-73, 22), (-66, 50), (-50, 78), (-27, 101), (-8, 109), (10, 104), (42, 78),
            (63, 48), (73, 18), (77, -10),
         (74, -48), (40, -84), (-40, -84)], True
    )  # fmt: skip
    c.shape(skull, SKIN, line, 2.8)
    with c.clip(skull) as k:
        k.fill(
            curve([(60, -60), (62, 10), (54, 44), (34, 74), (4, 100), (0, 116), (60, 100), (96, 30), (96, -60)], True),
            SKIN_SHADE,
            0.85,
        )
        k.fill(curve([(-90, -90), (-90, 4), (-68, -6), (-50, -20), (-34, 2), (-16, -18), (4, 2), (20, -16), (42, 0),
            (56, -16), (70, 8), (95, 4),
                      (90, -90)], True), SKIN_SHADE)  # fmt: skip
        k.glow(-47, 57, 27, 16, BLUSH, 0.75)
        k.glow(38, 57, 25, 15, BLUSH, 0.75)
        for x in (-54, -47, -40, 34, 41):
            k.stroke([(x + 2.5, 54), (x - 2.5, 61)], mix(BLUSH, RED, 0.25), 1.7, alpha=0.8)
    size = 1.2 if character.long else 1.04
    eye(c.transform(-39, 24, size, flip=True), character, opened, -gaze, 0.92)
    eye(c.transform(33, 24, size), character, opened, gaze)
    c.stroke(curve([(-6, 56), (-8, 61), (-4, 63)]), mix(SKIN_SHADE, line, 0.45), 2.0)
    c.stroke(bezier((-19, 79 - smile * 0.8), (-4, 84 + 1.6 * smile), (12, 78 - smile * 0.8)), mix(RED_SHADE, line, 0.6), 2.4)
    c.stroke([(-8, 91), (0, 91)], SKIN_SHADE, 2.0)
    # fringe: a cap, then locks from both sides to the middle
    cap = curve([(-78, 14), (-92, -30), (-84, -82), (-48, -120), (4, -130), (56, -118), (90, -78), (96, -26),
        (82, 16), (70, -28), (40, -52),
                 (0, -58), (-42, -52), (-68, -28)], True)  # fmt: skip
    c.shape(cap, character.hair, line, 3.0)
    s = [3.0 * x for x in w]
    locks = [
        ((-90, -30), (-66, -46), (-84 + s[1], 70 if character.long else 40), -7.0), ((70, -46), (95, -30),
            (85 + s[3], 78 if character.long else 42), 7.0),
        ((-76, -56), (-44, -60), (-62 + s[1], 10), -4.0), ((44, -60), (80, -54), (66 + s[3], 10), 5.0),
        ((-52, -62), (-18, -66), (-34 + s[2], 8), -4.0), ((14, -64), (52, -62), (37 + s[2], 4), 4.0),
        ((-22, -68), (20, -68), (1 + s[0], 10), 6.0),
    ]  # fmt: skip
    for a, b, tip, bend in locks:
        c.shape(lock(a, b, tip, bend), character.hair, line, 2.5)
    dome = curve([(-88, -30), (-82, -80), (-47, -117), (4, -127), (55, -115), (87, -77), (93, -28), (80, -40),
        (40, -46), (0, -50), (-40, -46),
                  (-76, -40)], True)  # fmt: skip
    c.fill(dome, character.hair)
    with c.clip(dome) as k:
        k.fill(curve([(58, -130), (66, -80), (62, -52), (72, -20), (120, -20), (110, -130)], True), character.hair_shade)
        zig = [
            (-80, -58),
            (-66, -78),
            (-58, -62),
            (-44, -86),
            (-34, -66),
            (-16, -93),
            (-6, -70),
            (12, -94),
            (20, -72),
            (38, -86),
            (46, -64),
        ]
        ring = np.concatenate([np.array(zig), [(44, -78), (20, -98), (-10, -101), (-40, -95), (-64, -86)]])
        k.fill(ring, character.hair_light)
    for side, x0 in ((-1, -78), (-1, -86), (1, 84), (1, 91)):
        c.stroke(
            bezier((x0, -24), (x0 + 5 * side, 14), (x0 + 2 * side + s[2 - side], 46)), character.hair_shade, 2.2, (0.4, 0.6)
        )
    for x0, x1 in ((-30, -48), (-8, -14), (16, 24), (36, 54)):
        c.stroke(bezier((x0 * 0.5, -122), (x0, -92), (x1, -56)), character.hair_shade, 2.4, (0.6, 0.3))
    c.stroke(bezier((-12, -128), (8 + s[0], -152), (26 + 3 * s[1], -144)), character.hair_shade, 4.0, (0.1, 0.8))
    for x0, x1 in ((-54, -24), (20, 48)):
        c.stroke(
            bezier((x0, -15), ((x0 + x1) / 2, -23), (x1, -17)),
            mix(character.hair_shade, OUTLINE, 0.3),
            3.2 if character.long else 5.0,
            (0.5, 0.3),
        )
    if character.long:
        c.shape(curve([(66, -96), (104, -128), (116, -96), (74, -86)], True), RED, line, 2.6)
        c.shape(curve([(66, -92), (86, -50), (62, -46), (58, -86)], True), RED_SHADE, line, 2.6)
        c.shape(ellipse(66, -90, 9, 9), RED, line, 2.4)


def _knee(hip: Points, foot: Points, upper: float, lower: float, forward: float = 1.0) -> Points:
    """Where the knee is, given hip and foot and the lengths of thigh and shin."""
    d = foot - hip
    dist = min(max(float(np.hypot(*d)), abs(upper - lower) + 1e-3), upper + lower - 1e-3)
    along = (upper**2 - lower**2 + dist**2) / (2 * dist)
    side = np.sqrt(max(upper**2 - along**2, 0.0))
    u = d / max(float(np.hypot(*d)), 1e-9)
    knee: Points = hip + u * along + forward * side * np.array([u[1], -u[0]])
    return knee


def limb(c: Canvas, points: Sequence[Points], widths: tuple[float, float], fill: Color, line_width: float = 1.8) -> None:
    """An arm or a leg: a bent tube with an outline, thinning from the first width to the second."""
    p = curve(np.array(points), steps=6)
    d = np.gradient(p, axis=0)
    n = np.stack([d[:, 1], -d[:, 0]], 1) / np.maximum(np.hypot(d[:, 0], d[:, 1]), 1e-9)[:, None]
    half = np.linspace(widths[0], widths[1], len(p))[:, None] / 2
    c.shape(np.concatenate([p + n * half, (p - n * half)[::-1]]), fill, OUTLINE, line_width)


def profile(c: Canvas, t: float, character: Character, hat: bool = False) -> None:
    """A small head seen from its right side, looking right; about 60 units high, its middle at the origin."""
    w = [breeze(t * 1.4, p) for p in (0.0, 1.0, 2.0)]
    if character.long:
        hair = curve(
            [
                (6, -30),
                (-22, -30),
                (-32, -6),
                (-34, 24),
                (-48 + 5 * w[0], 46 + 3 * w[1]),
                (-24 + 4 * w[1], 44),
                (-6, 34),
                (4, 6),
            ],
            True,
        )
        c.shape(hair, character.hair_shade, OUTLINE, 2.0)
    c.shape(curve([(-6, 18), (-8, 38), (8, 38), (8, 20)], True), SKIN_SHADE, OUTLINE, 1.6)
    head = curve([(-18, -26), (8, -31), (25, -18), (26, -5), (31, 5), (27, 9), (27, 16), (19, 26), (2, 22), (-14, 8)], True, 6)
    c.shape(head, SKIN, OUTLINE, 1.8)
    c.glow(14, 13, 8, 5, BLUSH, 0.8)
    opened = blinking(t, 2.3)
    c.fill(ellipse(20, 0, 3.4, 6.5 * opened + 0.8), character.iris_dark)
    if opened > 0.5:
        c.fill(ellipse(19.4, -2.4, 1.5, 2.2), WHITE)
    c.stroke(curve([(14, -7 * opened), (20, -8.5 * opened), (25, -4 * opened)]), OUTLINE, 2.4, (0.3, 0.3))
    c.stroke(bezier((21, 17), (23, 19), (26, 17)), RED_SHADE, 1.6)
    cap = curve([(25, -22), (24, -4), (15, -14), (11, 0), (4, -10), (-1, 12), (-8, 8), (-16, 24), (-28, 14),
        (-33, -8), (-24, -32), (0, -42),
                 (20, -36)], True, 5)  # fmt: skip
    c.shape(cap, character.hair, OUTLINE, 2.0)
    with c.clip(cap) as k:
        k.fill(curve([(-40, -10), (-18, -4), (-8, 10), (-10, 30), (-50, 30)], True), character.hair_shade)
        k.stroke(bezier((-18, -26), (0, -34), (16, -26)), character.hair_light, 4.0)
    if hat:
        c.shape(
            curve([(-46, -22), (-30, -29), (0, -30), (28, -26), (46, -18), (20, -15), (-20, -16)], True),
            rgb("f1d58f"),
            OUTLINE,
            2.0,
        )
        c.shape(curve([(-25, -25), (-20, -50), (0, -56), (18, -50), (23, -23)], True), rgb("f1d58f"), OUTLINE, 2.0)
        c.fill(curve([(-25, -25), (-23, -36), (0, -38), (22, -35), (23, -23), (0, -25)], True), RED)
        c.stroke(
            curve([(-24, -30), (-44 + 3 * w[2], -22 + 5 * w[0]), (-62 + 4 * w[0], -18 + 7 * w[1])]),
            RED,
            4.5,
            (0.0, 0.6),
        )


def walker(c: Canvas, t: float, character: Character = GIRL, pace: float = 1.0) -> None:
    """A figure that walks to the right, seen from the side; the ground is at y = 0, the head reaches y = -250."""
    a = 2 * np.pi * pace * t
    bob = -3.0 * abs(np.sin(a))
    hip = np.array([0.0, -112 + bob])
    girl = character.long
    leg_colour = SKIN if girl else NAVY
    for phase, far in ((np.pi, True), (0.0, False)):
        swing, lift = np.cos(a + phase), max(np.sin(a + phase), 0.0)
        foot = np.array([34.0 * swing, -8 - 15 * lift])
        # the foot goes back on the ground and forward in the air
        knee = _knee(hip, foot, 56, 54, 1.0)
        limb(c, [hip, knee, foot], (19, 11), mix(leg_colour, SKIN_SHADE if girl else NAVY_SHADE, 0.9 if far else 0.0))
        if girl:
            sock = foot + (knee - foot) * 0.34
            limb(c, [sock, foot], (13, 11), CLOTH_SHADE if far else WHITE, 1.6)
        shoe = c.transform(float(foot[0]), float(foot[1]), 1, -18 * lift)
        shoe.shape(
            curve([(-8, -4), (7, -4), (20, 3), (20, 8), (-9, 8)], True, 5),
            rgb("6b3f36") if not far else rgb("4c2d2b"),
            OUTLINE,
            1.7,
        )
    torso = c.transform(0, bob)
    arm = 26 * np.sin(a + np.pi / 2)

    def draw_arm(angle: float, far: bool) -> None:
        s, r = np.array([2.0, -178.0]), np.radians(angle)
        elbow = s + 36 * np.array([np.sin(r), np.cos(r)])
        hand = elbow + 34 * np.array([np.sin(r + 0.3), np.cos(r + 0.3)])
        limb(torso, [s, elbow, hand], (13, 9), SKIN_SHADE if far else SKIN)
        sleeve = s + (elbow - s) * 0.75
        limb(torso, [s - np.array([0, 3]), sleeve], (20, 21), CLOTH_SHADE if far else WHITE)

    draw_arm(arm, True)
    body = curve([(-16, -190), (12, -192), (21, -160), (17, -116), (-18, -114), (-21, -150)], True)
    torso.shape(body, WHITE, OUTLINE, 2.0)
    with torso.clip(body) as k:
        k.fill(curve([(-30, -180), (-12, -160), (-8, -110), (-40, -110)], True), CLOTH_SHADE)
    if girl:
        flare, sway = 7 * np.sin(2 * a), 4 * breeze(t)
        skirt = curve([(-19, -124), (17, -124), (33 + flare, -70), (16, -64), (-6, -68), (-26, -62), (-46 - sway, -70)], True)
        torso.shape(skirt, NAVY, OUTLINE, 2.0)
        with torso.clip(skirt) as k:
            k.fill(np.array([(-30, -124), (-8, -124), (-20, -60), (-60, -60)]), NAVY_SHADE)
        for x in (-4, 8):
            torso.stroke([(x, -118), (x * 2.1, -70)], NAVY_SHADE, 2.0)
        torso.shape(curve([(-17, -192), (10, -193), (17, -170), (-4, -166), (-22, -172)], True, 5), NAVY, OUTLINE, 1.8)
        torso.shape(curve([(12, -176), (24, -158 + sway), (12, -150 + sway)], True, 5), RED, OUTLINE, 1.6)
    torso.shape(curve([(-26, -178), (-46, -170), (-44, -126), (-22, -124)], True, 6), rgb("8a5440"), OUTLINE, 2.0)
    torso.stroke(bezier((-24, -150), (-36, -154), (-44, -148)), rgb("5f382e"), 2.4)
    torso.stroke(bezier((8, -190), (-4, -176), (-22, -160)), rgb("5f382e"), 4.0, (0, 0))
    draw_arm(-arm, False)
    profile(torso.transform(2, -224, 0.94), t, character, hat=girl)


def cat(c: Canvas, t: float) -> None:
    """Draw a sitting cat that faces the viewer; the seat is at y = 0, the ears reach y = -235."""
    s = breeze(t * 0.8)
    tail = curve([(58, -22), (104, -30), (126, -78 + 6 * s), (112 + 12 * s, -118), (126 + 22 * s, -146)])
    end_x, end_y = float(tail[-1, 0]), float(tail[-1, 1])
    c.shape(ellipse(end_x, end_y, 8.6, 8.6), TABBY, OUTLINE, 2.6)
    limb(c, list(tail[:: max(len(tail) // 12, 1)]), (25, 17), TABBY, 2.6)
    c.fill(ellipse(end_x, end_y, 7.4, 7.4), TABBY)
    for i in (12, 18, 24):
        d = tail[i + 1] - tail[i]
        n = np.array([-d[1], d[0]]) / np.hypot(*d) * 9
        c.stroke([tail[i] - n, tail[i] + n], STRIPE, 6, (0.2, 0.2))
    breath = 1.2 * np.sin(2.2 * t)
    body = curve([(-30, -132), (-52, -90), (-68, -40), (-64, -2), (66, -2), (78, -40), (64 + breath, -92), (34, -132)], True)
    c.shape(body, TABBY, OUTLINE, 2.8)
    with c.clip(body) as k:
        k.fill(curve([(30, -140), (40, -90), (34, -40), (48, 10), (100, 10), (100, -140)], True), mix(TABBY, STRIPE, 0.6))
        k.fill(curve([(-22, -130), (-32, -92), (-20, -50), (0, -38), (18, -54), (26, -96), (18, -132)], True), MILK)
        for y in (-96, -72, -48):
            k.stroke(bezier((80, y), (62, y - 6), (50, y + 4)), STRIPE, 7, (0.1, 0.7))
            k.stroke(bezier((-76, y), (-62, y - 4), (-48, y + 5)), STRIPE, 7, (0.1, 0.7))
    for x in (-24, 20):
        paw = curve([(x - 15, -78), (x - 17, -20), (x - 19, 2), (x + 17, 2), (x + 14, -22), (x + 12, -78)], True)
        c.fill(paw, TABBY if x < 0 else mix(TABBY, STRIPE, 0.2))
        c.fill(curve([(x - 17, -16), (x - 19, 2), (x + 17, 2), (x + 14, -16), (x, -21)], True, 5), MILK)
        c.stroke(
            curve([(x - 15, -70), (x - 17, -20), (x - 19, 2), (x + 17, 2), (x + 14, -22), (x + 13, -60)]),
            OUTLINE,
            2.4,
            (0.2, 0.3),
        )
        for dx in (-5, 5):
            c.stroke([(x + dx - 1, -8), (x + dx - 1, 1)], OUTLINE, 1.8)
    h = c.transform(0, -160, 1, 3 * np.sin(1.1 * t))
    twitch = 8 * (smoothstep(t % 1.9, 0.0, 0.08) - smoothstep(t % 1.9, 0.1, 0.22))
    for side in (-1, 1):
        lean = twitch if side > 0 else 0
        ear = curve(
            [(side * 60, -14), (side * (64 + lean), -56), (side * (56 + lean), -76), (side * 34, -60), (side * 12, -44)]
        )
        h.shape(ear, TABBY if side < 0 else mix(TABBY, STRIPE, 0.35), OUTLINE, 2.6)
        h.fill(curve([(side * 52, -30), (side * (56 + lean), -58), (side * 32, -48)], True, 4), rgb("f0b2a0"))
    head = curve([(-66, 2), (-60, -34), (-30, -54), (0, -57), (30, -54), (60, -34), (66, 2), (76, 18), (52, 32),
        (24, 44), (0, 46), (-24, 44),
                  (-52, 32), (-76, 18)], True)  # fmt: skip
    h.shape(head, TABBY, OUTLINE, 2.8)
    with h.clip(head) as k:
        k.fill(curve([(46, -60), (56, -10), (40, 30), (10, 50), (90, 60), (90, -50)], True), mix(TABBY, STRIPE, 0.5))
        k.fill(curve([(0, -16), (-14, 8), (-42, 22), (-36, 46), (0, 54), (36, 46), (40, 22), (14, 8)], True), MILK)
        for x in (-15, 0, 15):
            k.stroke([(x, -60), (x * 0.75, -30)], STRIPE, 7, (0.0, 0.8))
        for y in (0, 14):
            k.stroke([(-80, y - 4), (-50, y)], STRIPE, 6, (0.0, 0.8))
            k.stroke([(80, y - 4), (52, y)], STRIPE, 6, (0.0, 0.8))
        k.glow(-40, 22, 16, 10, BLUSH, 0.45)
        k.glow(40, 22, 16, 10, BLUSH, 0.45)
    opened = blinking(t, 2.4, 1.2)
    for x in (-29, 29):
        if opened < 0.15:
            h.stroke(bezier((x - 13, -2), (x, 8), (x + 13, -2)), OUTLINE, 3.2)
            continue
        h.shape(ellipse(x, -2, 13, 13.5 * opened), rgb("bcd67c"), OUTLINE, 2.8)
        h.fill(ellipse(x, -1, 6.4, 11.5 * opened), rgb("2c2a2e"))
        h.fill(ellipse(x - 4, -6 * opened, 3.4, 3.8 * opened), WHITE)
    h.shape(curve([(-6, 13), (6, 13), (0, 20)], True, 4), rgb("dd7f7c"), OUTLINE, 1.6)
    h.stroke(curve([(-15, 25), (-8, 30), (0, 21), (8, 30), (15, 25)], steps=6), OUTLINE, 2.2)
    for side in (-1, 1):
        for dy, tip in ((18, 10), (24, 24), (30, 38)):
            h.stroke(
                bezier((side * 34, dy), (side * 66, dy - 4), (side * 100, tip + s)), mix(WHITE, OUTLINE, 0.15), 1.8, (0.0, 0.8)
            )
    h.stroke(bezier((-36, 42), (0, 60), (38, 42)), RED, 9, (0.05, 0.05))
    h.shape(ellipse(0, 56, 9, 9), rgb("f2c94c"), OUTLINE, 2.2)
    h.stroke([(0, 56), (0, 64)], OUTLINE, 2.2, (0, 0))


def cyclist(c: Canvas, t: float, character: Character = BOY) -> None:
    """A boy on a bicycle going right; the ground is at y = 0, the head reaches y = -260."""
    frame_colour, a = rgb("3f8f86"), 2 * np.pi * 0.8 * t
    crank = np.array([-6.0, -58.0])
    seat, head_top, bar = np.array([-34.0, -126.0]), np.array([60.0, -128.0]), np.array([54.0, -148.0])
    hip = np.array([-32.0, -140.0])

    def pedal(phase: float) -> Points:
        pedal_at: Points = crank + 24 * np.array([np.cos(a + phase), np.sin(a + phase)])
        return pedal_at

    def leg(phase: float, far: bool) -> None:
        foot = pedal(phase) + np.array([-4.0, -8.0])
        knee = _knee(hip, foot, 62, 60, 1.0)
        limb(c, [hip, knee, foot], (25, 15), NAVY_SHADE if far else NAVY, 2.0)
        c.transform(float(foot[0]), float(foot[1])).shape(
            curve([(-11, -4), (6, -4), (19, 3), (19, 9), (-12, 9)], True, 5), WHITE, OUTLINE, 1.8
        )

    leg(np.pi, True)
    for x in (-78.0, 84.0):
        c.stroke(np.concatenate([ellipse(x, -52, 50, 50), ellipse(x, -52, 50, 50)[:2]]), rgb("3b3740"), 5.5, (0, 0))
        c.stroke(np.concatenate([ellipse(x, -52, 46, 46), ellipse(x, -52, 46, 46)[:2]]), rgb("c9ccd2"), 1.8, (0, 0))
        for i in range(9):
            r = a * 1.6 + i * np.pi / 9
            d = 45 * np.array([np.cos(r), np.sin(r)])
            c.stroke([np.array([x, -52]) - d, np.array([x, -52]) + d], rgb("a9aeb8"), 1.1, (0, 0))
        c.fill(ellipse(x, -52, 6, 6), rgb("55525e"))
        c.stroke(ellipse(x, -52, 56, 56, 195, 330), frame_colour, 4.5, (0.1, 0.1))
    rear, front = np.array([-78.0, -52.0]), np.array([84.0, -52.0])
    for p, q, wide in ((rear, crank, 4), (rear, seat, 4), (seat, crank, 6), (crank, head_top, 6), (np.add(seat,
        (6, 22)), np.add(head_top, (0, 8)), 6),
                       (bar, front, 6)):  # fmt: skip
        c.stroke([p, q], OUTLINE, wide + 3.0, (0, 0))
        c.stroke([p, q], frame_colour, wide, (0, 0))
    c.stroke(curve([(54, -148), (66, -158), (52, -166), (36, -164)]), OUTLINE, 5, (0, 0))
    c.shape([(62, -136), (106, -136), (100, -106), (68, -106)], rgb("c99a62"), OUTLINE, 2.0)
    for x in (74, 84, 94):
        c.stroke([(x, -134), (x, -108)], rgb("8f6440"), 1.8, (0, 0))
    c.shape(curve([(-58, -132), (-40, -138), (-14, -132), (-30, -124)], True, 5), rgb("5b3b33"), OUTLINE, 2.0)
    c.shape(ellipse(float(crank[0]), float(crank[1]), 12, 12), rgb("8d929c"), OUTLINE, 2.0)
    c.stroke([pedal(0), pedal(np.pi)], rgb("55525e"), 4.5, (0, 0))
    leg(0.0, False)
    flap = 4 * breeze(t * 2.2)
    shirt = curve([(-52, -136), (-46, -176), (-22, -208), (4, -208), (14, -188), (2, -156), (-8, -132), (-34, -128)], True)
    c.shape(curve([(-44, -176), (-58 - flap, -160 + flap), (-64 - flap, -138), (-50, -134)], True), CLOTH_SHADE, OUTLINE, 2.0)
    c.shape(shirt, WHITE, OUTLINE, 2.2)
    with c.clip(shirt) as k:
        k.fill(curve([(-70, -200), (-34, -176), (-26, -120), (-80, -120)], True), CLOTH_SHADE)
    hand = np.array([38.0, -164.0])
    shoulder = np.array([-8.0, -194.0])
    limb(c, [shoulder, _knee(shoulder, hand, 34, 32, -1.0), hand], (15, 10), SKIN, 1.9)
    limb(c, [np.add(shoulder, (-2, -2)), np.add(shoulder, (14, 18))], (24, 24), WHITE, 2.0)
    profile(c.transform(4, -240, 0.92), t, character)
