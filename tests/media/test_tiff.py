"""TIFF that Pillow scrambles or does not open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from pipeline.core.errors import UserError
from pipeline.media import images
from tests.conftest import scene

PICTURE = scene(2, 60, 40)
WHITE = {"u1": 255, "u2": 65535, "u4": 2**32 - 1, "f2": 1, "f4": 1, "f8": 1}


def write(path: Path, picture: NDArray[np.uint8], dtype: str, **options: Any) -> Path:
    pixels = (picture / 255 * WHITE[dtype]).astype(dtype)
    planes = options.get("planarconfig") == "separate"
    photometric = "rgb" if picture.ndim == 3 else "minisblack"
    tifffile.imwrite(path, np.moveaxis(pixels, -1, 0) if planes else pixels, photometric=photometric, **options)
    return path


@pytest.mark.parametrize("dtype", WHITE)
@pytest.mark.parametrize("planarconfig", ["contig", "separate"])
def test_any_numbers_in_any_order(dtype: str, planarconfig: str, tmp_path: Path) -> None:
    result = images.read(write(tmp_path / "a.tif", PICTURE, dtype, planarconfig=planarconfig)).astype(int)
    assert np.abs(result - PICTURE).max() <= 1


@pytest.mark.parametrize("dtype", WHITE)
def test_gray_and_compressed(dtype: str, tmp_path: Path) -> None:
    gray = np.ascontiguousarray(PICTURE[..., 1])
    result = images.read(write(tmp_path / "a.tif", gray, dtype, compression="zlib")).astype(int)
    assert np.abs(result - gray[..., None]).max() <= 1


@pytest.mark.parametrize("dtype", ["u4", "f2", "f4"])
@pytest.mark.parametrize("planarconfig", ["contig", "separate"])
@pytest.mark.parametrize("opacity", ["unassalpha", "assocalpha"])
def test_what_is_transparent_is_white(opacity: str, planarconfig: str, dtype: str, tmp_path: Path) -> None:
    alpha = np.tile(np.linspace(0, 255, 60).astype(np.uint8), (40, 1))[..., None]
    share = alpha / 255
    colors = (PICTURE * share).astype(np.uint8) if opacity == "assocalpha" else PICTURE
    path = write(tmp_path / "a.tif", np.dstack([colors, alpha]), dtype, planarconfig=planarconfig, extrasamples=[opacity])
    assert np.abs(images.read(path) - (PICTURE * share + 255 * (1 - share))).max() <= 2
    photo = images.read_photo(path)
    assert photo.alpha is not None and np.abs(photo.alpha.astype(int) - alpha[..., 0]).max() <= 1


@pytest.mark.parametrize("planarconfig", ["contig", "separate"])
def test_orientation_and_size_are_minded(planarconfig: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", PICTURE, "f4", planarconfig=planarconfig, extratags=[(274, "H", 1, 3, False)])
    assert np.abs(images.read(path).astype(int) - PICTURE[::-1, ::-1]).max() <= 1
    with pytest.raises(UserError, match=r"60x40 .*over the limit"):
        images.read(path, max_megapixels=0.002)


def test_numbers_without_a_known_white_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.linspace(-1, 40, 48, dtype="f4").reshape(4, 4, 3), photometric="rgb")
    with pytest.raises(UserError, match="what white is is not known"):
        images.read(tmp_path / "a.tif")


def test_thousands_of_channels_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((900, 8, 8), "u2"), photometric="rgb", planarconfig="separate")
    with pytest.raises(UserError, match="neither gray nor RGB"):
        images.read(tmp_path / "a.tif")


def test_the_cases_are_right(shared: Path) -> None:
    """A ramp from left to right each; Pillow made two tones of the first, and noise of the second."""
    for name in ("u32_grey.tif", "rgb16_planar.tif"):
        row = images.read(shared / "cases/photos" / name)[24].astype(int)
        assert (np.diff(row[:, 0]) >= 0).all() and np.ptp(row[:, 0]) > 240, name
