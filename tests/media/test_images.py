"""Reading and writing pictures: as viewers show them, and back."""

from __future__ import annotations

import io
import warnings
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from pipeline.core.errors import UserError
from pipeline.media import images
from pipeline.media.images import Picture

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def noise(height: int, width: int, seed: int = 0) -> Picture:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def scene(height: int = 60, width: int = 80) -> Picture:
    """Smooth colors, so that lossy formats come close."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // width, y * 255 // height, np.full_like(x, 128)], -1).astype(np.uint8)


def encoded(picture: Picture, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format, **options)
    return buffer.getvalue()


# Writing and reading back


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".webp", ".JPG"])
def test_lossy_formats_come_close(tmp_path: Path, suffix: str) -> None:
    images.write(tmp_path / f"a{suffix}", scene())
    back = images.read(tmp_path / f"a{suffix}")
    assert np.abs(back.astype(int) - scene()).mean() < 2


def test_jpeg_keeps_full_chroma_resolution(tmp_path: Path) -> None:
    stripes = np.zeros((16, 16, 3), np.uint8)
    stripes[:, ::2] = RED
    stripes[:, 1::2] = BLUE
    images.write(tmp_path / "a.jpg", stripes)
    assert np.abs(images.read(tmp_path / "a.jpg").astype(int) - stripes).max() < 40


def test_writing_replaces_the_file_and_leaves_no_other(tmp_path: Path) -> None:
    for seed in (1, 2):
        images.write(tmp_path / "a.png", noise(4, 4, seed))
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    np.testing.assert_array_equal(images.read(tmp_path / "a.png"), noise(4, 4, 2))


def test_a_failed_write_keeps_the_old_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images.write(tmp_path / "a.png", noise(4, 4))

    def full(self: Path, data: bytes) -> None:
        with self.open("wb") as file:
            file.write(data[:8])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        images.write(tmp_path / "a.png", noise(4, 4, 9))
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    np.testing.assert_array_equal(images.read(tmp_path / "a.png"), noise(4, 4))


def test_unknown_suffix_and_wrong_arrays_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"not \.xyz"):
        images.write(tmp_path / "a.xyz", noise(2, 2))
    for wrong in (noise(2, 2).astype(np.float32), noise(2, 2)[..., 0], noise(2, 2)[..., :2]):
        with pytest.raises(ValueError, match="expected uint8"):
            images.write(tmp_path / "a.png", wrong)  # type: ignore[arg-type]


# What viewers do


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    upright = np.zeros((20, 30, 3), np.uint8)
    upright[:10, :15], upright[:10, 15:], upright[10:, :15], upright[10:, 15:] = RED, GREEN, BLUE, WHITE
    # The stored picture is the inverse of what the tag asks for (EXIF 2.32, table of orientation).
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.transpose(1, 0, 2), 6: np.rot90(upright, 1), 7: np.rot90(upright.transpose(1, 0, 2), 2),
        8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(images.read(tmp_path / "a.png"), upright)


def swapped_profile() -> bytes:
    """sRGB's profile with red and green primaries exchanged: a reader that ignores it shows the wrong color."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = {bytes(data[at : at + 4]): at for at in range(132, 132 + 12 * int.from_bytes(data[128:132], "big"), 12)}
    red, green = tags[b"rXYZ"], tags[b"gXYZ"]
    data[red + 4 : red + 12], data[green + 4 : green + 12] = data[green + 4 : green + 12], data[red + 4 : red + 12]
    return bytes(data)


def test_icc_profile_is_applied(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), RED).save(tmp_path / "a.png", icc_profile=swapped_profile())
    assert np.abs(images.read(tmp_path / "a.png")[0, 0].astype(int) - GREEN).max() <= 2


def test_icc_profile_is_applied_under_transparency_and_palettes(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (*RED, 255)).save(tmp_path / "a.png", icc_profile=swapped_profile())
    Image.new("RGB", (4, 4), RED).quantize(4).save(tmp_path / "p.png", icc_profile=swapped_profile())
    for name in ("a.png", "p.png"):
        assert np.abs(images.read(tmp_path / name)[0, 0].astype(int) - GREEN).max() <= 2, name


def test_a_broken_icc_profile_is_ignored(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), RED).save(tmp_path / "a.png", icc_profile=b"no profile at all")
    assert tuple(images.read(tmp_path / "a.png")[0, 0]) == RED


def test_cmyk(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8), (255, 255, 0, 0)).save(tmp_path / "a.jpg")
    blue = images.read(tmp_path / "a.jpg")[0, 0]
    assert blue[2] > 200 and blue[0] < 60 and blue[1] < 60


def test_transparency_is_laid_over_white(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    Image.new("RGBA", (4, 4), (0, 0, 0, 51)).save(tmp_path / "fifth.png")
    Image.new("LA", (4, 4), (0, 0)).save(tmp_path / "gray.png")
    Image.new("RGB", (4, 4), RED).save(tmp_path / "key.png", transparency=RED)
    for name, level in {"clear.png": 255, "fifth.png": 204, "gray.png": 255, "key.png": 255}.items():
        assert tuple(images.read(tmp_path / name)[0, 0]) == (level,) * 3, name


def test_palette_bilevel_and_gray_modes(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), (10, 20, 30)).quantize(8).save(tmp_path / "p.gif")
    Image.new("1", (4, 4), 1).save(tmp_path / "one.png")
    Image.new("L", (4, 4), 77).save(tmp_path / "l.png")
    assert tuple(images.read(tmp_path / "p.gif")[0, 0]) == (10, 20, 30)
    assert tuple(images.read(tmp_path / "one.png")[0, 0]) == WHITE
    assert tuple(images.read(tmp_path / "l.png")[0, 0]) == (77,) * 3


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_gray_is_scaled_not_truncated(tmp_path: Path, suffix: str) -> None:
    deep = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    Image.fromarray(deep).save(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(images.read(tmp_path / f"a{suffix}")[..., 1], np.arange(256).reshape(16, 16))


def test_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), color) for color in (RED, GREEN, BLUE)]
    for name in ("a.gif", "a.webp"):
        options: dict[str, object] = {"lossless": True} if name.endswith("webp") else {}
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **options)  # type: ignore[arg-type]
        assert tuple(images.read(tmp_path / name)[0, 0]) == RED, name


# What is no picture


def test_errors_name_file_and_cause(tmp_path: Path) -> None:
    whole = encoded(noise(64, 64), "JPEG")
    files = {
        "text.jpg": (b"Dear diary", "is not a picture"),
        "empty.png": (b"", "is empty"),
        "cut.jpg": (whole[: len(whole) // 2], "is damaged"),
        "cut.png": (encoded(noise(64, 64), "PNG")[:-3000], "is damaged"),
        "cut.gif": (encoded(noise(64, 64), "GIF")[:-2000], "is damaged"),
    }
    for name, (content, words) in files.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=words) as caught:
            images.read(tmp_path / name)
        assert name in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(UserError, match="does not exist"):
        images.read(tmp_path / "none.png")
    with pytest.raises(UserError, match="folder"):
        images.read(tmp_path)


def test_the_limit_is_checked_before_decoding(tmp_path: Path) -> None:
    images.write(tmp_path / "a.png", noise(100, 200))
    assert images.read(tmp_path / "a.png", max_megapixels=0.02).shape == (100, 200, 3)
    with pytest.raises(UserError, match=r"200x100 .*over the limit of 0\.019"):
        images.read(tmp_path / "a.png", max_megapixels=0.019)
    header = encoded(noise(8, 8), "PNG")
    huge = bytearray(header)
    huge[16:24] = (60000).to_bytes(4, "big") * 2
    huge[29:33] = zlib.crc32(bytes(huge[12:29])).to_bytes(4, "big")
    (tmp_path / "bomb.png").write_bytes(huge)
    with pytest.raises(UserError, match="60000x60000"):
        images.read(tmp_path / "bomb.png")


@given(
    st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "AVIF"]),
    st.integers(0, 10_000),
    st.integers(1, 60),
    st.booleans(),
)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_files_give_a_picture_or_a_user_error(tmp_path: Path, format: str, seed: int, count: int, cut: bool) -> None:
    random = np.random.default_rng(seed)
    data = np.frombuffer(encoded(scene(24, 24), format), np.uint8).copy()
    data[random.integers(0, len(data), count)] = random.integers(0, 256, count)
    path = tmp_path / "damaged"
    path.write_bytes(data[: random.integers(0, len(data))].tobytes() if cut else data.tobytes())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            picture = images.read(path)
        except UserError as fault:
            assert str(path) in str(fault)
        else:
            assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3


# Finding


def test_find_lists_pictures_sorted_and_skips_hidden_files(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", "sub/c d é.webp", ".hidden.jpg", ".trash/x.jpg", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [path.relative_to(tmp_path).as_posix() for path in images.find(tmp_path)] == ["a.jpg", "b.PNG", "sub/c d é.webp"]
    assert images.find(tmp_path / "a.jpg") == [tmp_path / "a.jpg"]
    with pytest.raises(UserError, match="holds no pictures"):
        images.find(tmp_path / "folder.png")
    with pytest.raises(UserError, match="does not exist"):
        images.find(tmp_path / "nowhere")


# What a file holds besides


def test_alpha_is_read_and_written(tmp_path: Path) -> None:
    alpha = np.arange(256, dtype=np.uint8).reshape(16, 16)
    picture = np.dstack([scene(16, 16), alpha])
    for suffix, error in ((".png", 0), (".tif", 0), (".webp", 0), (".avif", 2)):
        images.write(tmp_path / f"a{suffix}", picture)
        photo = images.read_photo(tmp_path / f"a{suffix}")
        assert photo.alpha is not None, suffix
        assert np.abs(photo.alpha.astype(int) - alpha).max() <= error, suffix
        shown = alpha > 100
        assert np.abs(photo.picture.astype(int) - picture[..., :3])[shown].mean() <= (0 if suffix in (".png", ".tif") else 4), (
            suffix
        )
    images.write(tmp_path / "a.jpg", picture)
    assert images.read(tmp_path / "a.jpg")[0, 0].min() > 240  # nothing of it is seen: white
    images.write(tmp_path / "whole.png", np.dstack([scene(), np.full((60, 80), 255, np.uint8)]))
    assert images.read_photo(tmp_path / "whole.png").alpha is None


def test_gray_with_alpha_keeps_its_values(tmp_path: Path) -> None:
    Image.new("LA", (4, 4), (90, 128)).save(tmp_path / "a.png")
    photo = images.read_photo(tmp_path / "a.png")
    assert photo.alpha is not None and (photo.alpha == 128).all() and (photo.picture == 90).all()


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_color_is_scaled(tmp_path: Path, suffix: str) -> None:
    """Written by OpenCV, which Pillow cannot do."""
    deep = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    for channels in (3, 4):
        cv2.imwrite(str(tmp_path / f"a{suffix}"), np.dstack([deep, deep[::-1], deep.T, deep[::-1]][:channels]))
        photo = images.read_photo(tmp_path / f"a{suffix}")
        expected = np.dstack([deep.T, deep[::-1], deep]) // 257
        assert np.abs(photo.picture.astype(int) - expected).max() <= 1
        assert (photo.alpha is None) == (channels == 3)


def test_heic_is_read(tmp_path: Path) -> None:
    picture = scene(64, 96)
    Image.fromarray(picture).save(tmp_path / "a.heic", quality=95)
    photo = images.read_photo(tmp_path / "a.heic")
    assert photo.picture.shape == picture.shape
    assert np.abs(photo.picture.astype(int) - picture).mean() < 3
    whole = (tmp_path / "a.heic").read_bytes()
    (tmp_path / "cut.heic").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"cut\.heic"):
        images.read(tmp_path / "cut.heic")


def test_lab_is_read(tmp_path: Path) -> None:
    Image.new("LAB", (4, 4), (137, 128, 128)).save(tmp_path / "a.tif")
    assert np.abs(images.read(tmp_path / "a.tif")[0, 0].astype(int) - 128).max() <= 3
