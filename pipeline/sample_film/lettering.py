"""The lettering of the sample film: its title, its subtitles, its credits."""

from functools import lru_cache

import cv2
import numpy as np

from pipeline.sample_film.canvas import (
    Canvas,
    Draw,
    Pixels,
    ShotRenderer,
    curve,
    ellipse,
    lettering,
    rgb,
    scalloped,
    smoothstep,
)


def title(shot: ShotRenderer) -> Draw:
    """The title: animation paper with its peg holes, blue pencil lines, and the name drawn stroke by stroke."""
    pencil, red_pencil = rgb("8fb4d6"), rgb("e0907f")

    def paint(c: Canvas) -> None:
        c.gradient(-60, 604, [(0, rgb("f6efdf")), (1, rgb("efe4cd"))], 2.2)
        for x, half in ((640, 11), (300, 26), (980, 26)):
            c.fill(
                np.concatenate([ellipse(x - half, 42, 11, 11, 90, 270), ellipse(x + half, 42, 11, 11, 270, 450)]),
                rgb("cbbd9f"),
            )
            c.fill(
                np.concatenate([ellipse(x - half, 43.5, 10, 10, 90, 270), ellipse(x + half, 43.5, 10, 10, 270, 450)]),
                rgb("6f675c"),
            )
        for dx in (0, 6):
            c.stroke([(150 + dx, 96), (1130 + dx, 96)], pencil, 1.3, (0.05, 0.05), 0.7)
            c.stroke([(150 + dx, 500), (1130 + dx, 500)], pencil, 1.3, (0.05, 0.05), 0.7)
            c.stroke([(158, 84 + dx), (158, 508 + dx)], pencil, 1.3, (0.05, 0.05), 0.7)
            c.stroke([(1122, 84 + dx), (1122, 508 + dx)], pencil, 1.3, (0.05, 0.05), 0.7)
        rng = shot.rng
        for _ in range(3):
            j = rng.uniform(-3, 3, (6, 2))
            c.stroke(
                curve(np.array([(170, 420), (380, 350), (560, 400), (760, 330), (980, 392), (1110, 360)]) + j),
                pencil,
                1.6,
                alpha=0.55,
            )
            c.stroke(
                curve(np.concatenate([ellipse(962, 196, 58, 58)[::4] + rng.uniform(-2, 2, (9, 2))]), True),
                red_pencil,
                1.5,
                alpha=0.55,
            )
        for x, y, w in ((300, 190, 150), (800, 160, 110)):
            for _ in range(2):
                pts = scalloped(x, y, w * 0.5, w * 0.2, rng, 9, 0.14)
                c.stroke(np.concatenate([pts, pts[:1]]), pencil, 1.5, alpha=0.6)

    paper = shot.paint_layer(paint, opaque=True)
    # The letters of GENGA as strokes in a box of 100 x 140
    g = [
        curve([(92, 24), (66, 4), (32, 8), (8, 46), (6, 92), (32, 134), (70, 136), (92, 112), (93, 82)]),
        np.array([(56, 80), (98, 80)]),
    ]
    letters = [
        g,
        [
            np.array([(16, 6), (16, 136)]),
            np.array([(14, 8), (84, 8)]),
            np.array([(14, 70), (72, 70)]),
            np.array([(14, 134), (88, 134)]),
        ],
        [np.array([(14, 138), (14, 4)]), np.array([(14, 4), (88, 136)]), np.array([(88, 138), (88, 2)])],
        g,
        [np.array([(4, 138), (48, 2)]), np.array([(48, 2), (96, 138)]), np.array([(22, 92), (78, 92)])],
    ]
    strokes = [(i, line) for i, letter in enumerate(letters) for line in letter]

    def draw(t: float) -> Pixels:
        f = shot.frame(paper, zoom=1 + 0.006 * t)
        c = shot.canvas(f, zoom=1 + 0.006 * t)
        for n, (i, line) in enumerate(strokes):
            part = smoothstep(t, 0.25 + 0.07 * n, 0.5 + 0.07 * n)
            k = c.transform(348 + 122 * i, 212)
            k.stroke(np.asarray(line) + 3, rgb("a9c3dc"), 2.0, alpha=0.8)
            if part > 0.02:
                p = np.asarray(line, float)
                p = p[0] + (p[-1] - p[0]) * np.linspace(0, 1, 24)[:, None] if len(p) == 2 else p
                k.stroke(p[: max(int(len(p) * part), 2)], rgb("3b3440"), 17, (0.08, 0.1))
        seal = smoothstep(t, 1.35, 1.5)
        if seal > 0:
            k = c.transform(1010, 366, 1.6 - 0.6 * seal, -5)
            k.fill(curve([(-27, -27), (27, -26), (26, 27), (-26, 26)], True, 3), rgb("cf4b3f"), min(seal + 0.1, 0.95))
            for mark in (
                [(-14, -14), (14, -14)],
                [(-10, -4), (10, -4)],
                [(0, -4), (0, 16)],
                [(-10, 4), (-15, 14)],
                [(10, 4), (15, 14)],
            ):
                k.stroke(mark, rgb("f6efdf"), 4.2, (0.1, 0.3))
        return f

    return draw


@lru_cache(maxsize=4)
def subtitle(shot: ShotRenderer, text: str) -> tuple[Pixels, Pixels, tuple[int, int]]:
    """Render a burnt-in subtitle: color, share of the background that shows through, and its corner in the active picture."""
    color, under = lettering(text, 34 * shot.scale, (255, 255, 255), max(2.8 * shot.scale, 1.2), weight=0.6 * shot.scale)
    return color, under, ((shot.width - color.shape[1]) // 2, shot.height - color.shape[0] - round(18 * shot.scale))


def credits(shot: ShotRenderer) -> Draw:
    """Closing credits: white lines that scroll up on black."""
    lines = [
        ("GENGA", 46), ("", 10), ("a small film drawn by code", 25), ("", 20),
        ("Story and pictures", 20), ("a few hundred curves", 28), ("", 14),
        ("The girl, the boy, the cat", 20), ("ink and flat colour", 28), ("", 14),
        ("Sea, sky and weather", 20), ("two tones, sometimes three", 28), ("", 14),
        ("No drawing was copied", 25), ("to make this film", 25),
    ]  # fmt: skip
    step, rows = 46 * shot.scale, []
    for text, size in lines:
        rows.append(
            lettering(text, size * shot.scale, rgb("fffaf0"), spacing=(2.5 if size < 22 else 1.0) * shot.scale)
            if text
            else None
        )

    def draw(t: float) -> Pixels:
        f = np.zeros((shot.height, shot.width, 3), np.uint8)
        for i, row in enumerate(rows):
            y = shot.height + round(i * step) - (shot.height + len(rows) * step) * t / shot.seconds
            if row is None or y > shot.height or y < -step * 2:
                continue
            h, w = row[0].shape[:2]
            moved = cv2.warpAffine(row[0], np.array([[1, 0, 0], [0, 1, y - np.floor(y)]]), (w, h + 1))
            top, left = int(np.floor(y)), (shot.width - w) // 2
            low, high = max(top, 0), min(top + h + 1, shot.height)
            if high > low:
                f[low:high, left : left + w] = moved[low - top : high - top]
        return f

    return draw
