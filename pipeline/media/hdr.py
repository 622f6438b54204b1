"""Tone mapping of HDR and wide gamut to Rec. 709, with the curves of ITU-R.

Light is in cd/m2 (nits) as a reference display emits it, and reference white (203 nits, BT.2408) becomes white. A frame without
brighter parts comes out as an SDR film would have shown it; highlights are compressed as BT.2390 describes, as far as each
frame needs it. Colors outside Rec. 709 are clipped (BT.2407, Annex 2).
"""

import functools
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Transfer = Literal["pq", "hlg", "gamma"]

WHITE_NITS = 203.0  # ITU-R BT.2408, table 1
_PEAK_NITS = 1000.0  # of HLG's nominal display, and assumed for small pictures
_PEAK_PERCENTILE = 99.9  # of a frame's light: single bright pixels may clip
_PQ_NITS = 10000.0
_SDR_GAMMA = 2.4  # ITU-R BT.1886
_HLG_GAMMA = 1.2  # ITU-R BT.2100, table 5, at 1000 nits
_NODES = 2048  # of the curve by which highlights are compressed
_SAMPLES = 1 << 17  # pixels that a frame's peak is measured on
# Compensates for the chroma that log curves and wider primaries take, fitted on drawn scenes; for small pictures only.
_CHROMA_GAIN: dict[Transfer, float] = {"pq": 3.2, "hlg": 1.5, "gamma": 1.3}

# Chromaticities of red, green and blue by code of ITU-T H.273, table 2; the white point of all is D65.
_REC709 = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
PRIMARIES = {
    1: _REC709,
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
_D65 = (0.3127, 0.3290)
_REC2020 = 9
_TRANSFERS: dict[int, Transfer] = {16: "pq", 18: "hlg"}  # ITU-T H.273, table 3

Values = NDArray[np.float64]


def transfer(color_trc: int, color_primaries: int) -> Transfer | None:
    """Name the transfer function that needs tone mapping, from the codes of ITU-T H.273; None for Rec. 709 and similar ones.

    "gamma" is SDR with the primaries of BT.2020.
    """
    return _TRANSFERS.get(color_trc) or ("gamma" if color_primaries == _REC2020 else None)


def pq_nits(signal: Values) -> Values:
    """Convert a PQ signal, 0 to 1, to light in nits (EOTF of SMPTE ST 2084)."""
    root = np.power(np.clip(signal, 0, 1), 32 / 2523)
    return np.asarray(_PQ_NITS * np.power(np.maximum(root - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * root), 8192 / 1305))


def pq_signal(nits: Values) -> Values:
    """Convert light in nits to a PQ signal, 0 to 1 (inverse EOTF of SMPTE ST 2084)."""
    root = np.power(np.clip(nits, 0, _PQ_NITS) / _PQ_NITS, 1305 / 8192)
    return np.asarray(np.power((107 / 128 + 2413 / 128 * root) / (1 + 2392 / 128 * root), 2523 / 32))


def hlg_scene_light(signal: Values) -> Values:
    """Convert an HLG signal, 0 to 1, to scene light, 0 to 1 (inverse OETF of ITU-R BT.2100, table 5)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)


def compress_highlights(nits: Values, peak_nits: float) -> Values:
    """Compress light of up to `peak_nits` to at most reference white, 203 nits (EETF of ITU-R BT.2390, section 5.4.1)."""
    if peak_nits <= WHITE_NITS:
        return np.minimum(nits, WHITE_NITS)
    peak, white = pq_signal(np.array([peak_nits, WHITE_NITS])).tolist()
    limit = white / peak
    knee = 1.5 * limit - 0.5
    signal = np.minimum(pq_signal(nits) / peak, 1)
    t = np.maximum(signal - knee, 0) / max(1 - knee, 1e-9)
    hermite = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * limit
    return pq_nits(np.where(signal < knee, signal, hermite) * peak)


def to_sdr(coded: NDArray[np.uint16], kind: Transfer, color_primaries: int) -> NDArray[np.uint8]:
    """Tone-map R'G'B' as coded (uint16 HxWx3, full range) to Rec. 709, uint8 RGB HxWx3; primaries by code of ITU-T H.273."""
    light: Any = cv2.transform(_light(coded, kind), to_rec709(color_primaries))
    brightest = light.max(axis=2)
    step = max(1, round((brightest.size / _SAMPLES) ** 0.5))
    peak = float(np.percentile(brightest[::step, ::step], _PEAK_PERCENTILE))
    if peak > WHITE_NITS:
        # By the brightest channel, so that hues are kept. Nodes of the curve are spaced evenly in PQ.
        nodes = pq_nits(np.linspace(0, 1, _NODES))
        gain = np.interp(brightest, nodes, compress_highlights(nodes, peak) / np.maximum(nodes, 1e-6))
        light *= gain.astype(np.float32)[..., None]
    np.clip(light / np.float32(WHITE_NITS), 0, 1, out=light)
    return np.asarray(cv2.convertScaleAbs(cv2.pow(light, 1 / _SDR_GAMMA), alpha=255), np.uint8)


@functools.cache
def luma_table(kind: Transfer) -> NDArray[np.uint8]:
    """Build a table for `cv2.LUT` from 8-bit luma as coded (video range) to that of SDR; exact for grays."""
    signal = np.clip((np.arange(256) - 16) / 219, 0, 1)
    nits = hlg_scene_light(signal) ** _HLG_GAMMA * _PEAK_NITS if kind == "hlg" else _to_light(kind)(signal)
    shown = (compress_highlights(nits, _PEAK_NITS if kind != "gamma" else WHITE_NITS) / WHITE_NITS) ** (1 / _SDR_GAMMA)
    return np.asarray(np.rint(16 + 219 * shown), np.uint8)


@functools.cache
def chroma_table(kind: Transfer) -> NDArray[np.uint8]:
    """Build a table for `cv2.LUT` from 8-bit chroma as coded to roughly that of SDR."""
    return np.asarray(np.clip(np.rint((np.arange(256) - 128) * _CHROMA_GAIN[kind] + 128), 0, 255), np.uint8)


def _to_light(kind: Transfer) -> Any:
    """The function from signal to light: of the display in nits, but for HLG of the scene, 0 to 1."""
    return {"pq": pq_nits, "hlg": hlg_scene_light, "gamma": lambda signal: WHITE_NITS * signal**_SDR_GAMMA}[kind]


@functools.cache
def _light_table(kind: Transfer) -> NDArray[np.float32]:
    return np.asarray(_to_light(kind)(np.arange(65536) / 65535), np.float32)


def _light(coded: NDArray[np.uint16], kind: Transfer) -> NDArray[np.float32]:
    """Convert code values to display light of each primary, in nits."""
    light = _light_table(kind)[coded]
    if kind == "hlg":
        # The OOTF of ITU-R BT.2100, from scene light to display light.
        scene: Any = cv2.transform(light, np.array([[0.2627, 0.6780, 0.0593]]))
        light *= (_PEAK_NITS * cv2.pow(scene, _HLG_GAMMA - 1))[..., None]
    return np.asarray(light, np.float32)


@functools.cache
def to_rec709(color_primaries: int) -> Values:
    """Compute the 3x3 matrix from linear RGB with these primaries (BT.2020's for unknown codes) to that of Rec. 709 (sRGB)."""
    return np.linalg.inv(_to_xyz(_REC709)) @ _to_xyz(PRIMARIES.get(color_primaries, PRIMARIES[_REC2020]))


def _to_xyz(primaries: tuple[tuple[float, float], ...]) -> Values:
    """Compute the matrix from linear RGB to CIE XYZ (SMPTE RP 177)."""
    columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in primaries]).T
    x, y = _D65
    return np.asarray(columns * np.linalg.solve(columns, np.array([x / y, 1, (1 - x - y) / y])))
