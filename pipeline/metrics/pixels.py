"""Measures on pixels: how a picture differs from its photo, and how drawn it looks. docs/metrics.md explains each.

Pictures are uint8 RGB HxWx3, at least 32 pixels a side unless said otherwise. Constants in pixels are for crops of 256.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.metrics import structural_similarity

from pipeline.media import arrays
from pipeline.media.images import Picture

EDGE_SIGMA_PX = 1.5  # finer detail is texture
EDGE_LOW, EDGE_HIGH = 30.0, 60.0  # Canny's thresholds at that scale, levels
EDGE_REACH_PX = 2  # edges at most this far apart are the same edge
LINE_WIDTH_PX = 8  # anything wider is an area
LINE_REACH_PX = 9  # distance from an edge up to which its sides are sampled
LINE_LENGTH_PX = 17  # anything shorter is a spot
LINE_DEPTH = 16  # levels by which a line is darker than both its sides
LINE_SIGMA_PX = 0.8  # finer detail is noise
PERIODS = (2, 4)  # of generators that enlarge by two, twice
PAN_MARGIN_PX = 32
ONE_COLOR_SHARE = 0.25


def compare(photo: Picture, drawn: Picture) -> dict[str, float]:
    """Measure how colors, structure and edges of a photo changed; both pictures have one size, at least 11x11.

    Returns:
        By name: SSIM, shares of edges (0 to 1), shifts of color (CIEDE2000, CIELAB) and `difference` (`input_difference`).
    """
    before, after = rgb2lab(photo), rgb2lab(drawn)
    shift = deltaE_ciede2000(before, after)  # type: ignore[no-untyped-call]
    lightness, red, yellow = (after - before).reshape(-1, 3).mean(0)
    similarity = structural_similarity(  # type: ignore[no-untyped-call]
        arrays.luma(photo), arrays.luma(drawn), data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    kept, invented = edge_shares(photo, drawn)
    return {
        "ssim": float(similarity),
        "edge_agreement": edge_agreement(kept, invented),
        "edges_invented": invented,
        "color_shift": float(shift.mean()),
        "color_shift_std": float(shift.std()),
        "lightness_shift": float(lightness),
        "red_shift": float(red),
        "yellow_shift": float(yellow),
        "input_difference": difference(photo, drawn),
    }


def difference(first: Picture, second: Picture) -> float:
    """Mean absolute difference of two pictures of one size, levels: 0 to 255."""
    return float(np.abs(first.astype(np.int16) - second).mean())


def describe(picture: Picture) -> dict[str, float]:
    """Measure how drawn a picture looks, without a photo to compare: its `flatness` and `line_strength`, by name."""
    return {"flatness": flatness(picture), "line_strength": line_strength(picture)}


def edges(picture: Picture) -> NDArray[np.bool_]:
    """Return a mask (HxW) of the edges of areas: Canny at a scale at which grain and foliage do not count."""
    soft = cv2.GaussianBlur(arrays.luma(picture), (0, 0), EDGE_SIGMA_PX)
    return np.asarray(cv2.Canny(soft, EDGE_LOW, EDGE_HIGH, L2gradient=True) > 0)


def edge_shares(photo: Picture, drawn: Picture) -> tuple[float, float]:
    """Share of the photo's edges that are kept, and share of the drawing's edges that are not in the photo.

    A photo without edges has all kept, a drawing without edges none invented.
    """
    before, after = edges(photo), edges(drawn)
    reach = np.ones((2 * EDGE_REACH_PX + 1,) * 2, np.uint8)
    near_before, near_after = (cv2.dilate(found.astype(np.uint8), reach) > 0 for found in (before, after))
    kept = float(near_after[before].mean()) if before.any() else 1.0
    invented = float(1 - near_before[after].mean()) if after.any() else 0.0
    return kept, invented


def edge_agreement(kept: float, invented: float) -> float:
    """Harmonic mean (F1) of the share of edges kept and the share not invented; 0 if both are 0."""
    return 2 * kept * (1 - invented) / (kept + 1 - invented) if kept + 1 - invented > 0 else 0.0


def flatness(picture: Picture) -> float:
    """Gini index of gradient magnitudes (Hurley and Rickard 2009): how concentrated the changes between pixels are.

    0: the same change everywhere; 1: all of it in one place, or a picture of one color. Independent of contrast and
    brightness.
    """
    gray = arrays.luma(picture).astype(np.float64)
    across, down = gray[:-1, 1:] - gray[:-1, :-1], gray[1:, :-1] - gray[:-1, :-1]
    change = np.sort(np.hypot(across, down).ravel())
    total = change.sum()
    if total == 0:
        return 1.0
    places = np.arange(1, change.size + 1)
    return float(1 - 2 * (change / total * (change.size - places + 0.5) / change.size).sum())


def line_maps(picture: Picture) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Masks (HxW) of the edge pixels that carry a dark line, and of those that carry a bright one.

    Luma is sampled across each edge. A line is LINE_DEPTH darker (brighter) than the darker (brighter) of its two sides, so
    that a mere step from one area to another is none, and at least LINE_LENGTH_PX long.
    """
    gray = arrays.luma(picture).astype(np.float32)
    border = edges(picture)
    y, x = np.nonzero(border)
    dark, bright = np.zeros_like(border), np.zeros_like(border)
    if not x.size:
        return dark, bright
    wide = cv2.GaussianBlur(gray, (0, 0), EDGE_SIGMA_PX)
    across, down = (cv2.Sobel(wide, cv2.CV_32F, *order)[y, x] for order in ((1, 0), (0, 1)))
    length = np.hypot(across, down) + 1e-6
    places = np.arange(-LINE_REACH_PX, LINE_REACH_PX + 1, dtype=np.float32)
    columns = x[:, None] + places * (across / length)[:, None]
    rows = y[:, None] + places * (down / length)[:, None]
    fine = cv2.GaussianBlur(gray, (0, 0), LINE_SIGMA_PX)
    read = map_coordinates(fine, [rows, columns], order=1, mode="nearest")
    inner = np.abs(places) <= LINE_WIDTH_PX / 2
    left, right = (np.median(read[:, side & ~inner], axis=1) for side in (places < 0, places > 0))
    between = read[:, inner]
    dark[y, x] = np.minimum(left, right) - between.min(1) >= LINE_DEPTH
    bright[y, x] = between.max(1) - np.maximum(left, right) >= LINE_DEPTH
    return _long(dark), _long(bright)


def _long(found: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Remove the pieces that are shorter than a line."""
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(found.astype(np.uint8), connectivity=8)
    # Length from end to end: the outline of a spot may have as many pixels.
    enough = np.hypot(statistics[:, cv2.CC_STAT_WIDTH], statistics[:, cv2.CC_STAT_HEIGHT]) >= LINE_LENGTH_PX
    enough[0] = False
    return np.asarray(enough[labels])


def line_strength(picture: Picture) -> float:
    """Percentage of edge pixels that carry a dark line, minus that with a bright line; 0 without edges.

    Lines that were drawn are dark; texture, highlights and narrow objects are dark as often as bright.
    """
    lines, borders = line_counts(picture)
    return 100 * lines / max(1, borders)


def line_counts(picture: Picture) -> tuple[int, int]:
    """Number of edge pixels with a dark line minus those with a bright one, and number of all edge pixels."""
    dark, bright = line_maps(picture)
    return int(dark.sum()) - int(bright.sum()), int(edges(picture).sum())


def spectrum(picture: Picture) -> NDArray[np.float64]:
    """Power spectrum of a picture's luma under a Hann window, H x W, frequency 0 first."""
    gray = arrays.luma(picture).astype(np.float64)
    height, width = gray.shape
    window = np.hanning(height)[:, None] * np.hanning(width)[None, :]
    return np.asarray(np.abs(np.fft.fft2((gray - gray.mean()) * window)) ** 2)


def checkerboard(power: NDArray[np.float64], periods: Sequence[int] = PERIODS) -> float:
    """Ratio of the power at the frequencies of an upsampler's grid to that around them; 1: no grid.

    Odena, Dumoulin, Olah 2016 explain such grids. The power of several pictures of one size may be summed first.

    Args:
        power: what `spectrum` returns; H and W at least 64.
    """
    height, width = power.shape
    near, far = 1, 6
    ratios = []
    for row, column in sorted({(y / n, x / n) for n in periods for y in range(n) for x in range(n)} - {(0.0, 0.0)}):
        y, x = round(row * height), round(column * width)
        # Horizontal and vertical edges fill the axes of the spectrum: on an axis, compare along the axis only.
        tall, wide = (near if row == 0 else far), (near if column == 0 else far)
        patch = power[np.ix_(np.arange(y - tall, y + tall + 1) % height, np.arange(x - wide, x + wide + 1) % width)]
        inner = patch[tall - near : tall + near + 1, wide - near : wide + near + 1]
        level = (patch.sum() - inner.sum()) / (patch.size - inner.size)
        ratios.append(inner.mean() / level if level > 0 else 1.0)
    return float(np.exp(np.mean(np.log(np.maximum(ratios, 1e-12)))))


def one_color(photo: Picture, drawn: Picture) -> bool:
    """Whether a drawing has lost nearly all color contrast of the photo: it is blank, or in shades of one color."""
    before, after = (arrays.lab(picture).reshape(-1, 3).std(0).sum() for picture in (photo, drawn))
    return bool(after < ONE_COLOR_SHARE * before)


def flicker(photo: Picture, draw: Callable[[list[Picture]], list[Picture]], frames: int) -> float:
    """Mean absolute difference of successive drawn frames after motion compensation, levels.

    The frames are a window that slides over the photo by one pixel right and down, so that the motion is known exactly and the
    photo's own flicker is 0. `draw` gets all at once, at most 33; the result is 0 if there are fewer than two.
    """
    margin = min(PAN_MARGIN_PX, min(photo.shape[:2]) // 4)
    height, width = photo.shape[0] - margin, photo.shape[1] - margin
    steps = range(min(frames, margin + 1))
    drawn = [
        frame.astype(np.int16)
        for frame in draw([np.ascontiguousarray(photo[step : step + height, step : step + width]) for step in steps])
    ]
    # Without a margin, where the network sees less of the picture than it did one frame before.
    inner = slice(margin // 2, -(margin // 2))
    moved = [np.abs(now[:-1, :-1] - before[1:, 1:])[inner, inner].mean() for before, now in pairwise(drawn)]
    return float(np.mean(moved)) if moved else 0.0
