"""Both variants against slow references written as the published codes loop; byte for byte."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import edge_smooth
from pipeline.core import manifest
from pipeline.core.errors import UserError
from pipeline.core.manifest import Row
from pipeline.media import images
from pipeline.media.images import Picture
from pipeline.params.data import EdgeSmoothParams
from pipeline.params.schema import Params
from tests.conftest import run_stage, scene


def params_of(variant: str = "blend", low: float = 100, high: float = 200, dilate: int = 5, blur: int = 5) -> EdgeSmoothParams:
    return EdgeSmoothParams.model_validate(
        {
            "variant": variant,
            "canny_low": low,
            "canny_high": high,
            "reference_px": 256,
            "dilate_px": dilate,
            "blur_px": blur,
        }
    )


def reflected(index: int, size: int) -> int:
    """Reflect-101: dcb|abcd|cba."""
    if size == 1:
        return 0
    index = abs(index) % (2 * size - 2)
    return min(index, 2 * size - 2 - index)


def blurred_at(plane: Picture, y: int, x: int, weights: Sequence[int]) -> int:
    """One pixel of a Gaussian in exact whole numbers, truncated."""
    size, half = len(weights), len(weights) // 2
    total = 0
    for dy in range(size):
        for dx in range(size):
            value = plane[reflected(y + dy - half, plane.shape[0]), reflected(x + dx - half, plane.shape[1])]
            total += int(weights[dy]) * int(weights[dx]) * int(value)
    return total // sum(map(int, weights)) ** 2


def slow_blend(picture: Picture, low: float, high: float, dilate: int = 5, weights: Sequence[int] = (1, 4, 6, 4, 1)) -> Picture:
    """CartoonGAN's smoothing as it is published everywhere: 5x5 binomial at each dilated pixel, truncated to uint8."""
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    dilated = cv2.dilate(cv2.Canny(gray, low, high), np.ones((dilate, dilate), np.uint8))
    result = picture.copy()
    for y, x in np.argwhere(dilated > 0):
        for channel in range(3):
            result[y, x, channel] = blurred_at(picture[..., channel], y, x, weights)
    return result


def slow_overlay(picture: Picture, low: float, high: float) -> Picture:
    """White laid over with the opacity of the blurred, dilated edges."""
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    dilated = cv2.dilate(cv2.Canny(gray, low, high), np.ones((3, 3), np.uint8))
    result, weights = picture.copy(), (1, 4, 6, 4, 1)
    for y in range(picture.shape[0]):
        for x in range(picture.shape[1]):
            opacity = blurred_at(np.asarray(dilated, np.uint8), y, x, weights)
            for channel in range(3):
                value = int(picture[y, x, channel])
                result[y, x, channel] = value + ((255 - value) * opacity + 127) // 255
    return result


@pytest.mark.parametrize("seed", range(6))
def test_blend_is_the_published_loop_byte_for_byte(seed: int) -> None:
    picture = scene(seed, 96, 80) if seed % 2 else np.random.default_rng(seed).integers(0, 256, (64, 48, 3)).astype(np.uint8)
    assert np.array_equal(edge_smooth.smooth_edges(picture, params_of()), slow_blend(picture, 100, 200))


@pytest.mark.parametrize("blur", [3, 7, 11])
def test_blend_with_other_kernels_is_the_same_loop(blur: int) -> None:
    picture = scene(blur, 48, 40)
    weights = [int(weight) for weight in edge_smooth.gaussian_kernel(blur)]
    assert np.array_equal(
        edge_smooth.smooth_edges(picture, params_of(dilate=3, blur=blur)), slow_blend(picture, 100, 200, 3, weights)
    )


@given(st.integers(8, 256).map(lambda n: 4 * n), st.sampled_from([1, 3, 5, 9, 15]), st.sampled_from([3, 5, 7, 15]))
def test_kernel_sizes_scale_with_the_crop(side: int, dilate: int, blur: int) -> None:
    found = edge_smooth.scale_params(params_of(dilate=dilate, blur=blur), side)
    for size, meant, least in ((found.dilate_px, dilate, 1), (found.blur_px, blur, 3)):
        assert size % 2 == 1 and (size == least or abs(size - meant * side / 256) <= 1)
    assert edge_smooth.scale_params(params_of(dilate=dilate, blur=blur), 256) == params_of(dilate=dilate, blur=blur)


def test_kernel_sizes_that_grow_too_large_are_an_error() -> None:
    with pytest.raises(UserError, match=r"edge_smooth\.blur_px: 21 at 256 px is 85 at crop\.size_px 1024, over 63: lower it"):
        edge_smooth.scale_params(params_of(blur=21), 1024)


@pytest.mark.parametrize("seed", range(3))
def test_overlay_is_its_slow_reference_byte_for_byte(seed: int) -> None:
    picture = scene(seed, 64, 48)
    params = params_of("overlay", 30, 300, 3, 5)
    smoothed = edge_smooth.smooth_edges(picture, params)
    assert np.array_equal(smoothed, slow_overlay(picture, 30, 300))
    assert (smoothed >= picture).all() and (smoothed > picture).any(), "it paints pale halos"


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.sampled_from([3, 5, 7, 9, 15]), st.sampled_from([3, 5, 7, 11]))
def test_blend_touches_only_the_dilated_edges_and_stays_between_extremes(seed: int, blur: int, dilate: int) -> None:
    picture = scene(seed % 50, 96, 64)
    params = params_of(dilate=dilate, blur=blur)
    smoothed = edge_smooth.smooth_edges(picture, params)
    outside = edge_smooth.edge_mask(picture, params) == 0
    assert np.array_equal(smoothed[outside], picture[outside])
    assert (smoothed != picture).any()
    assert smoothed.max() <= picture.max() and smoothed.min() >= max(int(picture.min()) - 1, 0)


@pytest.mark.parametrize("size", [3, 5, 7, 9, 21, 63])
def test_kernels_are_opencvs_in_whole_parts(size: int) -> None:
    kernel = edge_smooth.gaussian_kernel(size)
    assert kernel.sum() == 256 and (kernel == np.rint(kernel)).all() and np.array_equal(kernel, kernel[::-1])
    assert np.abs(kernel / 256 - cv2.getGaussianKernel(size, 0).ravel()).max() < 0.012
    if size <= 7:
        assert np.array_equal(kernel / 256, cv2.getGaussianKernel(size, 0).ravel())


def test_the_blur_of_a_flat_picture_is_itself() -> None:
    flat = np.full((32, 32, 3), 255, np.uint8)
    for size in (3, 5, 7, 9, 63):
        assert np.array_equal(edge_smooth._blur(flat, edge_smooth.gaussian_kernel(size)), flat)


@pytest.mark.slow
def test_every_anime_crop_has_an_edge_smoothed_copy(committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for source in ("s", "other"):
        folder, about = (Path("data/crop") / part / "anime" / source for part in ("pictures", "about"))
        folder.mkdir(parents=True)
        about.mkdir(parents=True)
        rows = []
        for index in range(2):
            file = folder / f"{source}{index}.png"
            images.write(file, scene(index, 512, 512))
            rows.append(Row(id=file.stem, domain="anime", source=source, file=str(file), width_px=512, height_px=512))
        flat = Row(id="flat", domain="anime", source=source, reason="flat", width_px=512, height_px=512)
        manifest.write(about, [*rows, flat])
    folder = Path("data/crop/pictures/anime/s")
    written = manifest.read(run_stage("edge_smooth", committed, "s"))
    assert [row.id for row in written] == ["s0", "s1"]
    for row in written:
        crop = images.read(folder / f"{row.id}.png")
        twice = committed.edge_smooth.model_copy(update={"dilate_px": 11, "blur_px": 11})
        assert np.array_equal(images.read(Path(row.file or "")), edge_smooth.smooth_edges(crop, twice)), (
            "at 512 px, twice the sizes"
        )
