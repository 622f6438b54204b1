"""Stills whose colors are stated by codes: converted like those with a profile, HDR like that of films."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipeline.media import hdr, images
from pipeline.media.images import Picture
from tests.conftest import scene

P3, BT2020, SRGB_TRANSFER, PQ, HLG = 12, 9, 13, 16, 18


def tagged(picture: Picture, format: str, primaries: int, transfer: int) -> bytes:
    """Encode a picture without changing its values, and write the codes into the file."""
    encoded = io.BytesIO()
    options: dict[str, object] = {"quality": -1} if format == "HEIF" else {"quality": 100, "subsampling": "4:4:4"}
    Image.fromarray(picture).save(encoded, format, **({} if format == "PNG" else options))
    content = encoded.getvalue()
    if format == "PNG":
        chunk = b"cICP" + bytes((primaries, transfer, 0, 1))
        return content[:33] + struct.pack(">I", 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + content[33:]
    before, mark, after = content.partition(b"colrnclx")
    assert mark, format
    return before + mark + struct.pack(">HH", primaries, transfer) + after[4:]


def read(tmp_path: Path, content: bytes) -> NDArray[np.int16]:
    (tmp_path / "a").write_bytes(content)
    return images.read(tmp_path / "a").astype(np.int16)


@pytest.mark.parametrize("format", ["PNG", "HEIF", "AVIF"])
def test_wide_gamut_is_converted(format: str, tmp_path: Path) -> None:
    """sRGB's red in Display P3 is (234, 51, 35): it comes back as sRGB's red, and grays stay."""
    picture = np.zeros((32, 64, 3), np.uint8)
    picture[:, :32], picture[:, 32:] = (234, 51, 35), 120
    result = read(tmp_path, tagged(picture, format, P3, SRGB_TRANSFER))
    assert np.abs(result[16, 8] - (255, 0, 0)).max() <= 4 and np.abs(result[16, 56] - 120).max() <= 2
    plain = read(tmp_path, tagged(picture, format, 1, SRGB_TRANSFER))
    assert np.abs(plain - picture).max() <= 6, "sRGB stays as it is"


@pytest.mark.parametrize("format", ["PNG", "HEIF", "AVIF"])
@pytest.mark.parametrize(("transfer", "white"), [(PQ, 0.58), (HLG, 0.75)])
def test_hdr_is_tone_mapped(format: str, transfer: int, white: float, tmp_path: Path) -> None:
    """Reference white (58 % of PQ, 75 % of HLG: BT.2408) becomes white, black stays, in between it rises."""
    ramp = np.broadcast_to(np.linspace(0, 255 * white, 64).astype(np.uint8)[None, :, None], (32, 64, 3))
    result = read(tmp_path, tagged(np.ascontiguousarray(ramp), format, BT2020, transfer))[16, :, 1]
    assert result[0] <= 2 and result[-1] >= 247
    assert (np.diff(result) >= -2).all()


def test_a_picture_is_mapped_as_a_film_of_the_same_values(tmp_path: Path) -> None:
    picture = scene(3, 64, 48)
    expected = hdr.to_sdr(picture.astype(np.uint16) * 257, "pq", BT2020)
    np.testing.assert_array_equal(read(tmp_path, tagged(picture, "PNG", BT2020, PQ)), expected)


def test_transparency_goes_with_it(tmp_path: Path) -> None:
    picture = np.full((16, 16, 4), (234, 51, 35, 255), np.uint8)
    picture[:, 8:, 3] = 0
    result = read(tmp_path, tagged(picture, "PNG", P3, SRGB_TRANSFER))
    assert np.abs(result[4, 2] - (255, 0, 0)).max() <= 2 and result[4, 12].tolist() == [255, 255, 255]


def test_the_case_is_right(shared: Path) -> None:
    assert np.abs(images.read(shared / "cases/photos/cicp_p3.png")[0, 0] - np.array((255, 0, 0))).max() <= 2
