"""HDR: curves against the standards' numbers, films against the SDR pictures that they were mastered from."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import UserError
from pipeline.media import hdr, video
from tests.conftest import no_loss, scene

CODES = {"pq": 16, "hlg": 18, "gamma": 14}
# Rec. 709 light to BT.2020's primaries (ITU-R BT.2087, table 3 of M2).
TO_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
LUMA = np.array([0.2627, 0.6780, 0.0593])


def mastered(picture: np.ndarray, kind: hdr.Transfer, white_nits: float = 203.0) -> np.ndarray:
    """R'G'B' of an HDR master whose display shows an SDR picture's light, white at `white_nits`."""
    nits = (picture / 255) ** 2.4 @ TO_2020.T * white_nits
    if kind == "pq":  # SMPTE ST 2084, equations 5.1 and 5.2
        y = (nits / 10000) ** 0.1593017578125
        return np.asarray(((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375)
    if kind == "gamma":
        return np.asarray((nits / white_nits) ** (1 / 2.4))
    display = nits / 1000
    light = display @ LUMA
    scene_light = display * np.maximum(light, 1e-9)[..., None] ** ((1 - 1.2) / 1.2)
    log = 0.17883277 * np.log(np.maximum(12 * scene_light - 0.28466892, 1e-9)) + 0.55991073
    return np.asarray(np.where(scene_light <= 1 / 12, np.sqrt(3 * scene_light), log))  # ITU-R BT.2100, table 5


def write_hdr(path: Path, signals: list[np.ndarray], kind: hdr.Transfer, primaries: int = 9) -> Path:
    """R'G'B' (0 to 1) as lossless 10-bit 4:4:4 in BT.2020's matrix, video range."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(5))
        stream.height, stream.width = signals[0].shape[:2]
        stream.pix_fmt = "yuv444p10le"
        context = stream.codec_context
        context.colorspace, context.color_range, context.color_trc, context.color_primaries = 9, 1, CODES[kind], primaries
        for index, signal in enumerate(signals):
            luma = signal @ LUMA
            planes = [
                luma * 876 + 64,
                (signal[..., 2] - luma) / 1.8814 * 896 + 512,
                (signal[..., 0] - luma) / 1.4746 * 896 + 512,
            ]
            raw = av.VideoFrame(stream.width, stream.height, "yuv444p10le")
            for plane, values in zip(raw.planes, planes, strict=True):
                lines = np.zeros((plane.height, plane.line_size // 2), np.uint16)
                lines[:, : plane.width] = np.rint(values)
                plane.update(lines.tobytes())
            raw.pts, raw.time_base = index, Fraction(1, 5)
            raw.colorspace, raw.color_range, raw.color_trc, raw.color_primaries = 9, 1, CODES[kind], primaries
            container.mux(stream.encode(raw))
        container.mux(stream.encode())
    return path


def test_curves_agree_with_the_standards_tables() -> None:
    """BT.2408, table 1: reference white is 58 % of PQ and 75 % of HLG; BT.2100: PQ ends at 10,000 nits."""
    assert hdr.pq_nits(np.array([0.0, 0.58, 1.0])) == pytest.approx([0, 203, 10000], rel=0.01, abs=1e-9)
    assert hdr.hlg_scene_light(np.array([0.0, 0.5, 1.0])) == pytest.approx([0, 1 / 12, 1], abs=1e-6)
    assert 1000 * float(hdr.hlg_scene_light(np.array(0.75))) ** 1.2 == pytest.approx(203, rel=0.01)


@given(st.floats(0, 1))
def test_pq_signal_inverts_pq_nits(signal: float) -> None:
    assert float(hdr.pq_signal(hdr.pq_nits(np.array(signal)))) == pytest.approx(signal, abs=1e-6)


@given(st.floats(203, 10000))
def test_highlights_are_compressed_to_white(peak: float) -> None:
    nits = np.linspace(0, peak, 400)
    rolled = hdr.compress_highlights(nits, peak)
    assert rolled[-1] == pytest.approx(203, rel=1e-3)
    assert (np.diff(rolled) >= -1e-6).all()
    assert (rolled <= nits + 1e-6).all()
    knee = float(hdr.pq_nits(np.array(1.5 * hdr.pq_signal(np.array(203.0)) - 0.5 * hdr.pq_signal(np.array(peak)))))
    np.testing.assert_allclose(rolled[nits < knee], nits[nits < knee], rtol=1e-6)


@pytest.mark.parametrize("kind", ["pq", "hlg", "gamma"])
def test_sdr_mastered_as_hdr_comes_back(kind: hdr.Transfer, tmp_path: Path) -> None:
    colors = np.array([[r, g, b] for r in range(0, 256, 51) for g in range(0, 256, 51) for b in range(0, 256, 51)], np.uint8)
    patches = np.repeat(np.repeat(colors.reshape(12, 18, 3), 8, 0), 8, 1)
    pictures = [patches, scene(5)[:96, :144], np.random.default_rng(0).integers(30, 226, (96, 144, 3)).astype(np.uint8)]
    frames = list(video.frames(write_hdr(tmp_path / "a.mkv", [mastered(one, kind) for one in pictures], kind), no_loss))
    assert len(frames) == 3
    for frame, picture in zip(frames, pictures, strict=True):
        shown = frame.rgb()
        light = np.abs((shown / 255) ** 2.4 - (picture / 255) ** 2.4)
        assert light.max() <= 0.04, "what 10 bits leave of a color at the rim of Rec. 709"
        if picture is not patches:
            assert np.percentile(np.abs(shown.astype(int) - picture), [50, 99]).tolist() <= [1, 3]
        gray = picture @ [0.2126, 0.7152, 0.0722] * 219 / 255 + 16
        assert np.abs(frame.luma() - gray).mean() < 12
    small = pictures[1].reshape(48, 2, 72, 2, 3).mean(axis=(1, 3))
    assert np.abs(frames[1].thumbnail(72) - small).mean() < 12, "near enough to detect by"


@pytest.mark.parametrize("kind", ["pq", "hlg"])
def test_highlights_keep_their_shape_and_hue(kind: hdr.Transfer, tmp_path: Path) -> None:
    """A ramp to 900 nits, white and red: brighter stays brighter, nothing under the knee moves, red stays red."""
    ramp = np.repeat(np.linspace(0, 255, 256), 2)[None].repeat(64, 0)
    picture = np.stack([ramp, ramp, ramp], -1)
    picture[32:, :, 1:] *= 0.2
    frame = next(video.frames(write_hdr(tmp_path / "a.mkv", [mastered(picture, kind, 900)], kind), no_loss))
    shown = frame.rgb().astype(int)
    white, red = shown[8], shown[48]
    assert (np.diff(white[:, 0]) >= -1).all() and white[-1].min() >= 253
    assert (np.diff(white[260:440:40, 0]) > 0).all(), "highlights are not clipped"
    dark = (ramp[0] / 255) ** 2.4 * 900 < 80
    assert np.abs(white[dark, 0] - 255 * ((ramp[0, dark] / 255) ** 2.4 * 900 / 203) ** (1 / 2.4)).max() <= 3
    assert np.abs(red[-100:, 1] / red[-100:, 0] - 0.2).max() < 0.03
    assert (np.abs(np.diff(frame.luma()[8].astype(int))) <= 8).all()


def test_colors_outside_rec_709_are_clipped(tmp_path: Path) -> None:
    green = np.zeros((64, 64, 3))
    green[..., 1] = 0.55
    frame = next(video.frames(write_hdr(tmp_path / "a.mkv", [green], "pq"), no_loss))
    red_, green_, blue = frame.rgb()[32, 32].tolist()
    assert red_ == 0 and blue == 0 and green_ > 200


def test_dolby_vision_profile_5_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p5.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx265", rate=Fraction(5))
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p10le"
        stream.options = {"preset": "ultrafast", "x265-params": "log-level=none"}
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(scene(1, 128, 96), format="rgb24")))
        container.mux(stream.encode())
    assert list(video.frames(path, no_loss))
    data = path.read_bytes()
    assert data.count(b"hev1") >= 1
    path.write_bytes(data.replace(b"hev1", b"dvhe"))
    with pytest.raises(UserError, match=r"p5\.mp4 is Dolby Vision.*take a release"):
        next(video.frames(path, no_loss))
