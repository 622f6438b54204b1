"""Drawing primitives: curves, fills, clipping, transforms, layers and the camera."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.sample_film.canvas import Canvas, ShotRenderer, box, curve, ellipse, lettering, mix, rgb, smoothstep

RED, WHITE = (255, 0, 0), (255, 255, 255)


def blank(width: int = 64, height: int = 48, unit: float = 1.0) -> Canvas:
    return Canvas(np.zeros((height, width, 3), np.uint8), np.eye(2) * unit, np.zeros(2))


def test_colors_are_parsed_and_mixed() -> None:
    assert rgb("f4e9d8") == (244, 233, 216)
    assert mix((0, 100, 200), (100, 0, 200), 0.25) == (25, 75, 200)


def test_a_smooth_step_rises_from_0_to_1() -> None:
    values = [smoothstep(t, 1, 3) for t in (0, 1, 1.5, 2, 2.5, 3, 9)]
    assert values[0] == values[1] == 0 and values[-1] == values[-2] == 1 and values[3] == 0.5
    assert values == sorted(values) and values[2] == pytest.approx(1 - values[4])


def test_curves_pass_through_their_points() -> None:
    points = np.array([(0, 0), (10, 5), (20, -5), (30, 0)], float)
    path = curve(points, steps=8)
    assert len(path) == 25 and np.allclose(path[::8], points)
    assert len(curve(points, closed=True, steps=8)) == 32


@pytest.mark.parametrize("unit", [0.5, 1.0, 2.0])
def test_a_filled_area_has_its_size_in_pixels(unit: float) -> None:
    canvas = blank(160, 120, unit)
    assert canvas.unit == pytest.approx(unit)
    canvas.fill(ellipse(30, 25, 20, 12), RED)
    assert (canvas.pixels[..., 0] / 255).sum() == pytest.approx(np.pi * 20 * 12 * unit**2, rel=0.15 / unit)


def test_half_transparent_fills_blend_and_outlines_surround_their_area() -> None:
    canvas = blank()
    canvas.fill(box(10, 10, 20, 20), WHITE, alpha=0.5)
    assert abs(int(canvas.pixels[20, 20, 0]) - 128) <= 1
    canvas = blank()
    canvas.shape(box(10, 10, 30, 20), RED, WHITE, 4)
    assert canvas.pixels[20, 25].tolist() == list(RED) and canvas.pixels[10, 25].tolist() == list(WHITE)
    assert not canvas.pixels[4, 25].any()


def test_a_clip_keeps_drawing_inside_its_shape() -> None:
    canvas = blank()
    with canvas.clip(box(20, 10, 10, 10)) as inside:
        inside.fill(box(0, 0, 64, 48), RED)
    painted = canvas.pixels[..., 0] > 128
    assert painted[12:18, 22:28].all() and not painted[:, :19].any() and not painted[22:].any()
    with canvas.clip(box(500, 500, 10, 10)) as outside:
        outside.fill(box(0, 0, 640, 480), WHITE)
    assert (canvas.pixels[..., 0] > 128).sum() == painted.sum()


def test_transforms_move_turn_scale_and_mirror() -> None:
    canvas = blank()
    canvas.transform(32, 24, 2, 90).fill(box(0, -2, 8, 4), RED)  # 8 to the right becomes 16 down
    assert canvas.pixels[38, 32, 0] == 255 and not canvas.pixels[20, 32].any() and not canvas.pixels[24, 44].any()
    canvas = blank()
    canvas.transform(32, 24, flip=True).fill(box(0, -2, 8, 4), RED)
    assert canvas.pixels[24, 28, 0] == 255 and not canvas.pixels[24, 36].any()


def test_layers_are_composed_where_the_camera_looks() -> None:
    shot = ShotRenderer(640, 272, 1, "test", 1.0)
    background = shot.paint_layer(lambda c: c.fill(box(-80, -60, 1440, 664), WHITE), opaque=True)
    layer = shot.paint_layer(lambda c: c.fill(box(600, 232, 80, 80), RED))
    frame = shot.frame(background)
    assert (frame == 255).all()
    shot.add_layer(frame, layer, x=100)
    red = np.argwhere((frame == RED).all(-1))
    assert np.abs(red.mean(0) - (135.5, 369.5)).max() < 1 and abs(len(red) - 40 * 40) < 160
    zoomed = shot.frame(background)
    shot.add_layer(zoomed, layer, zoom=2)
    assert abs((zoomed == RED).all(-1).sum() - 80 * 80) < 320
    with pytest.raises(ValueError, match="a layer of shot test is empty"):
        shot.paint_layer(lambda c: None)


def test_random_numbers_belong_to_the_seed_and_the_shot() -> None:
    draws = [ShotRenderer(640, 272, seed, name, 1.0).rng.random() for seed, name in ((1, "a"), (1, "a"), (2, "a"), (1, "b"))]
    assert draws[0] == draws[1] and len(set(draws)) == 3


def test_text_is_as_wide_as_its_letters_and_hides_what_is_under_it() -> None:
    short, under = lettering("AB", 30, WHITE, outline=2)
    assert short.shape == under.shape and short.max() == 255 and under.min() == 0 and under.max() == 255
    assert lettering("ABAB", 30, WHITE, outline=2)[0].shape[1] > 1.6 * short.shape[1]
