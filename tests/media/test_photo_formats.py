"""Photographs in the wild: color spaces, bit depths, kinds of transparency, animations, files that are no pictures."""

from __future__ import annotations

import io
import os
import struct
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from pipeline.core.errors import UserError
from pipeline.frames import quality
from pipeline.media import images

# Columns: red, green, blue primary in CIE XYZ, adapted to D50 (as ICC profiles hold them).
SRGB = np.array([[0.43607, 0.38506, 0.14308], [0.2225, 0.71688, 0.06062], [0.01393, 0.0971, 0.71417]])
DISPLAY_P3 = np.array([[0.51512, 0.29198, 0.1571], [0.2412, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]])
ADOBE_RGB = np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]])
ADOBE_GAMMA = 563 / 256
PURPLE = (120, 40, 200)


def fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes], version: int = 0x04300000) -> bytes:
    """An ICC profile of some tags (ICC.1:2010, section 7)."""
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">II", 128 + 4 + 12 * len(tags) + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(">I4xI", 128 + len(table) + len(body), version) + kind + space + connection
    head += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp"
    return (head.ljust(68, b"\0") + fixed(0.9642, 1, 0.8249)).ljust(128, b"\0") + table + body


def matrix_profile(primaries: NDArray[np.float64], curve: bytes) -> bytes:
    def point(xyz: NDArray[np.float64]) -> bytes:
        return b"XYZ \0\0\0\0" + fixed(*xyz)

    text = "a test".encode("utf-16-be")
    words = b"mluc\0\0\0\0" + struct.pack(">II4sII", 1, 12, b"enUS", len(text), 28) + text
    tags = {b"desc": words, b"wtpt": point(np.array([0.9642, 1, 0.8249]))}
    tags |= {name + b"XYZ": point(xyz) for name, xyz in zip((b"r", b"g", b"b"), primaries.T, strict=True)}
    return profile(b"mntr", b"RGB ", b"XYZ ", tags | {name + b"TRC": curve for name in (b"r", b"g", b"b")})


SRGB_CURVE = b"para\0\0\0\0\0\3\0\0" + fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
ADOBE_CURVE = b"para\0\0\0\0\0\0\0\0" + fixed(ADOBE_GAMMA)


def linear(levels: NDArray[np.uint8]) -> NDArray[np.float64]:
    value = levels / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def curved(light: NDArray[np.float64]) -> NDArray[np.float64]:
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def colors() -> NDArray[np.uint8]:
    """All corners of the cube a little inside, and colors between. 16x16x3."""
    return np.random.default_rng(0).integers(20, 236, (16, 16, 3)).astype(np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
@pytest.mark.parametrize("wide", ["display-p3", "adobe-rgb"])
def test_wide_color_spaces_are_converted_to_srgb(tmp_path: Path, wide: str, suffix: str) -> None:
    wanted = colors()
    if wide == "display-p3":
        tag = matrix_profile(DISPLAY_P3, SRGB_CURVE)
        stored = curved(linear(wanted) @ (np.linalg.inv(DISPLAY_P3) @ SRGB).T)
    else:
        tag = matrix_profile(ADOBE_RGB, ADOBE_CURVE)
        stored = np.clip(linear(wanted) @ (np.linalg.inv(ADOBE_RGB) @ SRGB).T, 0, 1) ** (1 / ADOBE_GAMMA)
    levels = np.rint(stored * 255).astype(np.uint8)
    path = tmp_path / f"wide{suffix}"
    Image.fromarray(levels).save(path, icc_profile=tag, lossless=True)  # WebP's option, which the others pass over
    away = np.abs(images.read(path).astype(int) - wanted)
    # A level of the stored picture is several of sRGB in dark saturated colors.
    assert away.mean() < 0.6 and away.max() <= 6
    assert np.abs(levels.astype(int) - wanted).mean() > 3, "without its profile it would be another picture"


def cmyk_profile() -> bytes:
    """A printing press whose cyan is red: paper white, black where K is, else red where C is (lut8Type, Lab)."""
    nodes = bytearray()
    for index in range(16):
        cyan, black = index >> 3, index & 1
        nodes += bytes((0, 128, 128) if black else (138, 208, 195) if cyan else (255, 128, 128))
    ramp = bytes(range(256))
    table = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1) + ramp * 4 + bytes(nodes) + ramp * 3
    words = b"desc\0\0\0\0" + struct.pack(">I", 7) + b"a test\0" + bytes(78)
    white = b"XYZ \0\0\0\0" + fixed(0.9642, 1, 0.8249)
    return profile(b"prtr", b"CMYK", b"Lab ", {b"desc": words, b"wtpt": white, b"A2B0": table}, 0x02400000)


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_cmyk_is_converted_with_and_without_a_profile(tmp_path: Path, suffix: str) -> None:
    cyan = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    cyan.save(tmp_path / f"plain{suffix}")
    cyan.save(tmp_path / f"with_profile{suffix}", icc_profile=cmyk_profile())
    red, green, blue = (int(v) for v in images.read(tmp_path / f"plain{suffix}")[4, 4])
    assert red < 20 and green > 150 and blue > 200
    red, green, blue = (int(v) for v in images.read(tmp_path / f"with_profile{suffix}")[4, 4])
    assert red > 220 and green < 60 and blue < 60


def test_a_profile_of_another_color_space_is_ignored(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), PURPLE).save(tmp_path / "a.png", icc_profile=cmyk_profile())
    assert tuple(images.read(tmp_path / "a.png")[0, 0]) == PURPLE


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_a_channel_become_eight(tmp_path: Path, suffix: str) -> None:
    deep = np.random.default_rng(1).integers(0, 65536, (20, 30, 3)).astype(np.uint16)
    for name, picture in (("rgb", deep), ("gray", deep[..., 0])):
        done, data = cv2.imencode(suffix, picture)
        assert done
        (tmp_path / f"{name}{suffix}").write_bytes(data.tobytes())
    rgb = images.read(tmp_path / f"rgb{suffix}")
    assert np.abs(rgb - deep[..., ::-1] / 257).max() <= 1
    gray = images.read(tmp_path / f"gray{suffix}")
    assert np.abs(gray[..., 0] - deep[..., 0] / 257).max() <= 0.5 and (gray[..., 0] == gray[..., 2]).all()


def test_a_palette_with_transparency_is_laid_over_white(tmp_path: Path) -> None:
    palette = Image.new("P", (4, 2), 0)
    palette.putpalette([*PURPLE, 0, 200, 0])
    palette.putpixel((3, 1), 1)
    for name, key in (("key.png", 1), ("key.gif", 1), ("alphas.png", bytes([255, 0]))):
        palette.save(tmp_path / name, transparency=key)
        found = images.read(tmp_path / name)
        assert tuple(found[0, 0]) == PURPLE and tuple(found[1, 3]) == (255, 255, 255), name


@pytest.mark.parametrize("name", ["a.png", "a.gif", "a.webp", "a.tif", "a.avif"])
def test_the_first_frame_of_an_animation_is_read(tmp_path: Path, name: str) -> None:
    frames = [Image.new("RGB", (16, 16), color) for color in (PURPLE, (0, 255, 0), (255, 255, 0))]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    assert np.abs(images.read(tmp_path / name)[8, 8] - np.array(PURPLE)).max() <= 12
    with Image.open(tmp_path / name) as stored:
        assert getattr(stored, "n_frames", 1) == 3


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 1), (3, 9)])
def test_tiny_and_narrow_pictures_are_read_and_measured(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size, PURPLE).save(tmp_path / "a.png")
    picture = images.read(tmp_path / "a.png")
    assert picture.shape == (size[1], size[0], 3)
    assert quality.measure(picture).luma_std == 0


def test_lab_tiff_is_read(tmp_path: Path) -> None:
    Image.new("LAB", (4, 4), (138, 208, 195)).save(tmp_path / "lab.tif")
    red, green, blue = (int(v) for v in images.read(tmp_path / "lab.tif")[0, 0])
    assert red > 200 and green < 60 and blue < 60


@given(st.binary(max_size=120), st.sampled_from(["JPEG", "PNG", "WEBP", "TIFF"]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_invalid_exif_is_ignored(tmp_path: Path, junk: bytes, format: str) -> None:
    exif = b"Exif\0\0II*\0\x08\0\0\0" + junk
    buffer = io.BytesIO()
    if format == "TIFF":
        Image.new("RGB", (16, 8), PURPLE).save(buffer, format)
    else:
        Image.new("RGB", (16, 8), PURPLE).save(buffer, format, exif=exif)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sorted(images.read(tmp_path / "a.jpg", data=buffer.getvalue()).shape) == [3, 8, 16]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty: remove it"),
        (b"Dear diary", "is not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "is not a picture"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64), "is HEIC that cannot be decoded"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(64), "is HEIC"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "is JPEG XL"),
        (b"\xff\x0a" + bytes(40), "is JPEG XL"),
        (b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + bytes(64), "is a film, not a picture: name it under footage:"),
    ],
)
def test_files_that_are_no_pictures_are_identified(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "IMG_0001.jpg"
    path.write_bytes(data)
    for held in (None, data):
        with pytest.raises(UserError) as caught:
            images.read(path, data=held)
        assert f"{path} {words}" in str(caught.value) and "\n" not in str(caught.value)


def test_avif_without_a_decoder_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (16, 16), PURPLE).save(tmp_path / "a.avif")
    assert np.abs(images.read(tmp_path / "a.avif")[8, 8] - np.array(PURPLE)).max() <= 12
    monkeypatch.setattr("PIL.AvifImagePlugin.SUPPORTED", False)  # as Pillow is on systems without libavif
    with pytest.raises(UserError, match=r"is AVIF, which this Pillow does not decode: pip install --upgrade pillow"):
        images.read(tmp_path / "a.avif")


def test_find_survives_cyclic_links_and_takes_suffixes_in_any_case(tmp_path: Path) -> None:
    for name in ("A.JPG", "b.Png", "c.jPeG"):
        Image.new("RGB", (4, 4), PURPLE).save(tmp_path / name, "PNG")
    os.symlink(tmp_path, tmp_path / "round")
    os.symlink(tmp_path / "self.jpg", tmp_path / "self.jpg")
    os.symlink(tmp_path / "gone.jpg", tmp_path / "dangling.jpg")
    os.symlink(tmp_path / "A.JPG", tmp_path / "z.jpg")
    assert [path.name for path in images.find(tmp_path)] == ["A.JPG", "b.Png", "c.jPeG", "z.jpg"]


def test_unsupported_formats_are_found_only_on_request(tmp_path: Path) -> None:
    (tmp_path / "IMG_1.JXL").write_bytes(b"\0\0\0\x0cJXL \r\n\x87\n")
    with pytest.raises(UserError, match=r"holds no pictures: .*its 1 \.JXL cannot be decoded: convert them"):
        images.find(tmp_path)
    assert [path.name for path in images.find(tmp_path, include_unsupported=True)] == ["IMG_1.JXL"]
