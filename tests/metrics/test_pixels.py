"""What is read off pixels, against known colors, drawings and damages."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.media import arrays
from pipeline.media.images import Picture
from pipeline.metrics import baselines, pixels
from tests.conftest import scene

SIDE = 128


def flat(*color: int, side: int = SIDE) -> Picture:
    return np.full((side, side, 3), color, np.uint8)


def noise(seed: int, spread: float = 40) -> Picture:
    return np.clip(np.random.default_rng(seed).normal(128, spread, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)


def blur(picture: Picture) -> Picture:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 3), np.uint8)


def photo(seed: int = 0) -> Picture:
    """Soft shapes with grain."""
    soft = cv2.GaussianBlur(scene(seed, SIDE, SIDE), (0, 0), 1.5).astype(np.float64)
    return np.clip(soft + np.random.default_rng(seed).normal(0, 5, soft.shape), 0, 255).astype(np.uint8)


def test_a_picture_compared_with_itself() -> None:
    found = pixels.compare(photo(), photo())
    assert found.pop("ssim") == pytest.approx(1) and found.pop("edge_agreement") == 1
    assert all(value == pytest.approx(0, abs=1e-9) for value in found.values()) and len(found) == 7
    assert not pixels.one_color(photo(), photo())


def test_shifts_have_the_signs_and_sizes_of_cielab() -> None:
    white = pixels.compare(flat(0, 0, 0, side=32), flat(255, 255, 255, side=32))
    assert white["lightness_shift"] == pytest.approx(100, abs=0.01)
    assert white["color_shift"] == pytest.approx(100, abs=0.01) and white["color_shift_std"] == pytest.approx(0, abs=1e-6)
    assert white["input_difference"] == 255
    # sRGB red is Lab (53.24, 80.09, 67.20), blue (32.30, 79.19, -107.86): Lindbloom.
    red = pixels.compare(flat(0, 0, 0, side=32), flat(255, 0, 0, side=32))
    assert [red[key] for key in ("lightness_shift", "red_shift", "yellow_shift")] == pytest.approx(
        [53.24, 80.09, 67.20], abs=0.05
    )
    blue = pixels.compare(flat(0, 0, 0, side=32), flat(0, 0, 255, side=32))
    assert blue["yellow_shift"] == pytest.approx(-107.86, abs=0.05)


def test_edges_lost_and_invented() -> None:
    plain, crop = flat(200, 200, 200), flat(200, 200, 200)
    cv2.rectangle(crop, (40, 40), (90, 90), (60, 60, 60), -1)
    assert pixels.edge_shares(crop, plain) == (0.0, 0.0)
    assert pixels.edge_shares(plain, crop) == (1.0, 1.0)
    assert pixels.edge_shares(plain, plain) == (1.0, 0.0)
    assert pixels.edge_agreement(*pixels.edge_shares(crop, plain)) == 0
    for step, expected in ((1, 1.0), (12, 0.3)):
        moved = np.roll(crop, step, (0, 1))
        kept, invented = pixels.edge_shares(crop, moved)
        assert (kept == 1 and invented == 0) if expected == 1 else (kept < expected and invented > 1 - expected)


def slow_gini(picture: Picture) -> float:
    """Mean absolute difference of all pairs over twice the mean."""
    gray = arrays.luma(picture).astype(np.float64)
    change = np.hypot(gray[:-1, 1:] - gray[:-1, :-1], gray[1:, :-1] - gray[:-1, :-1]).ravel()
    return float(np.abs(change[:, None] - change[None]).mean() / (2 * change.mean()))


@given(st.integers(0, 10**6))
def test_flatness_is_the_gini_index(seed: int) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    assert pixels.flatness(picture) == pytest.approx(slow_gini(picture), abs=1e-9)


def test_drawings_are_flat_and_blur_and_grain_are_not() -> None:
    drawing = scene(3, SIDE, SIDE)
    blurred, grainy = blur(drawing), photo(3)
    assert pixels.flatness(flat(9, 9, 9)) == 1
    assert pixels.flatness(drawing) > 0.85
    assert max(pixels.flatness(one) for one in (grainy, noise(0))) < 0.6
    assert pixels.flatness(blurred) < pixels.flatness(drawing) - 0.1
    dim = (drawing.astype(np.float64) * 0.5).astype(np.uint8)
    assert pixels.flatness(dim) == pytest.approx(pixels.flatness(drawing), abs=0.01)


@pytest.mark.parametrize("angle", [0, 20, 45, 77, 90, 150])
def test_dark_lines_count_at_every_angle_and_bright_ones_negatively(angle: int) -> None:
    found = []
    for color in ((20, 20, 20), (250, 250, 250)):
        picture = flat(140, 150, 140)
        x, y = 50 * np.cos(np.radians(angle)), 50 * np.sin(np.radians(angle))
        cv2.line(picture, (round(64 - x), round(64 - y)), (round(64 + x), round(64 + y)), color, 3)
        found.append(pixels.line_strength(picture))
    assert found[0] > 90 and found[1] == pytest.approx(-found[0], abs=3)


@pytest.mark.parametrize("left", [60, 120])
def test_an_edge_with_a_line_counts_whatever_its_sides_and_a_step_does_not(left: int) -> None:
    step = flat(left, left, left)
    cv2.rectangle(step, (40, 30), (90, 100), (190, 180, 200), -1)
    assert pixels.line_strength(step) == 0 and pixels.line_strength(blur(step)) == 0
    inked = step.copy()
    cv2.rectangle(inked, (40, 30), (90, 100), (25, 20, 20), 3)
    assert pixels.line_strength(inked) > 90
    half = np.where(np.arange(SIDE)[None, :, None] < 65, inked, step).astype(np.uint8)
    assert 60 < pixels.line_strength(half) < 73, "a line has two edges, a step one"


def test_spots_areas_faint_lines_and_grain_are_no_lines() -> None:
    spots, area, faint = flat(200, 200, 200), flat(200, 200, 200), flat(200, 200, 200)
    for x in range(12, SIDE, 24):
        cv2.circle(spots, (x, x), 3, (0, 0, 0), -1)
    cv2.rectangle(area, (40, 30), (80, 90), (0, 0, 0), -1)
    cv2.line(faint, (10, 64), (118, 64), (188, 188, 188), 2)
    assert [pixels.line_strength(one) for one in (spots, area, faint)] == [0, 0, 0]
    assert abs(pixels.line_strength(noise(1, 8))) < 3
    inked = scene(4, SIDE, SIDE)
    assert pixels.line_strength(inked) > 30
    assert pixels.line_strength(255 - inked) == pytest.approx(-pixels.line_strength(inked), abs=3)


@pytest.mark.slow
def test_lines_are_found_in_large_pictures() -> None:
    large = cv2.resize(scene(2, 320, 320), (1600, 1600), interpolation=cv2.INTER_NEAREST)
    large[::24, :] = large[:, ::24] = 0
    assert (
        pixels.edges(np.asarray(large, np.uint8)).sum() > 2 * 32767 and pixels.line_strength(np.asarray(large, np.uint8)) > 20
    )


def test_a_grid_is_heard_and_content_is_not() -> None:
    plain = photo(5)
    quiet = pixels.checkerboard(pixels.spectrum(plain))
    assert quiet == pytest.approx(1, abs=0.6)
    for period in (2, 4):
        grid = plain.astype(np.int16)
        grid[::period, ::period] += 12
        loud = pixels.checkerboard(pixels.spectrum(np.clip(grid, 0, 255).astype(np.uint8)))
        assert loud > 3 * quiet, period
    white = sum(pixels.spectrum(noise(seed)) for seed in range(20))
    assert isinstance(white, np.ndarray) and pixels.checkerboard(white) == pytest.approx(1, abs=0.15)
    # Level and upright edges are loud along the axes, and are no grid.
    wall = flat(220, 220, 220)
    wall[37:] = 90
    wall[:, 81:] = 30
    walls = pixels.spectrum(np.clip(wall + np.random.default_rng(0).normal(0, 2, wall.shape), 0, 255).astype(np.uint8))
    assert pixels.checkerboard(walls) < 2


def test_one_color_is_alarmed_and_a_flattened_picture_is_not() -> None:
    colorful = scene(6, SIDE, SIDE)
    assert pixels.one_color(colorful, flat(120, 130, 200))
    assert pixels.one_color(colorful, (colorful * 0.1 + 200).astype(np.uint8))
    assert not pixels.one_color(colorful, blur(colorful))
    assert not pixels.one_color(flat(5, 5, 5), flat(5, 5, 5))


def test_flicker_sees_what_sticks_to_the_screen_and_not_what_moves() -> None:
    picture = photo(7)
    assert pixels.flicker(picture, lambda clip: clip, 5) == 0
    inverted = pixels.flicker(picture, lambda clip: [255 - frame for frame in clip], 5)
    assert inverted == 0

    def stuck(clip: list[Picture]) -> list[Picture]:
        pattern = np.random.default_rng(0).integers(0, 21, clip[0].shape)
        return [np.clip(frame.astype(np.int16) + pattern, 0, 255).astype(np.uint8) for frame in clip]

    # The mean difference of two uniform numbers of 0 to 20 is 20 / 3, about.
    assert pixels.flicker(picture, stuck, 5) == pytest.approx(20 / 3, rel=0.1)
    levels = iter(range(0, 100, 10))
    jumping = pixels.flicker(picture, lambda clip: [np.full_like(frame, next(levels)) for frame in clip], 5)
    assert jumping == 10


@pytest.mark.parametrize("name", baselines.BASELINES)
def test_baselines_redraw_and_lines_are_drawn_by_one(name: str) -> None:
    pictures = [photo(8), photo(9)]
    drawn = baselines.BASELINES[name](pictures)
    assert all(one.shape == other.shape and one.dtype == np.uint8 for one, other in zip(pictures, drawn, strict=True))
    assert all(pixels.flatness(one) > pixels.flatness(other) for one, other in zip(drawn, pictures, strict=True))
    again = baselines.BASELINES[name](pictures[:1])
    assert (again[0] == drawn[0]).all()
