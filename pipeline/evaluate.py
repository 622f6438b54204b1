"""Stage: what the trained generator does to validation photos, in numbers and in pictures.

Means over the validation squares, each with its range, the direction that is better, and what it cannot see. None of them
says whether a picture is good: look at grid.jpg.

content_distance (0 up; 1 is as much as the layer holds; lower, but not 0)
    Things lost or invented: L1 of VGG19 conv4_4 of output and photo. Blind: strong lines and shading, which anime wants,
    count as loss; 0 is the photo itself.
style_distance (0 up; 1 is as much as the film's own statistics; lower)
    Texture, line and colour together: which VGG19 channels go together, the mean over the outputs against that over
    validation anime, relative L1. Each picture's Gram matrix is taken as cosines between channels: raw Grams follow contrast
    (measured against a film of soft contrast, a blur of the photo came 61 % of the way, with cosines 6 %). Blind: where things
    are; variety, as only the mean over pictures counts; strength of contrast; holes and halos of the right texture.
style_distance_photo, style_distance_film
    The ends of the scale: the same for the untouched photos, and for as many training anime squares.
style_nearness (0 the photos, 1 as near as the film is to itself; may leave that range; higher)
    The way gone between the ends. Blind: as style_distance; colour alone moves it, and subjects that the film has and the
    photos lack keep it low. Left out where the photos are as near as the film.
color_shift, color_shift_std (CIEDE2000, 0 to about 100, 1 is just noticeable; lower, though a look wants some)
    How far each pixel's colour moved: mean and spread over a picture's pixels. Blind: which way; flattening counts too.
lightness_shift, red_shift, yellow_shift (CIELAB units, signed; near 0)
    A cast: brighter, redder (greener below 0), yellower (bluer). Blind: opposite shifts in different places cancel out.
input_difference (0 to 255 levels; neither end)
    Mean absolute difference from the photo. Under 2 the output is the photo. Blind: what kind of difference.
ssim (-1 to 1, 1 is equal; neither end)
    Structure of luminance kept (Wang et al. 2004, Gaussian window). Blind: colour; a line moved by a pixel costs more than
    a line lost.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.metrics import structural_similarity
from torch import Tensor

from models.losses import gram
from models.perceptual import Vgg19Features, feature_scale
from pipeline import images, manifest, shards, stage
from pipeline.faults import Fault
from pipeline.images import Picture
from pipeline.manifest import Row
from pipeline.params import Params
from pipeline.stylize import Stylizer
from pipeline.vgg import load_vgg19

CONTENT_TAP = "conv4_4"
STYLE_TAPS = ("relu1_2", "relu2_2", "relu3_2", "relu4_2")
"""Fixed, whatever the loss was trained with: runs stay comparable."""
BATCH_PIXELS = 4 * 256 * 256
GRID = "grid.jpg"
GRID_CELL_PX = 256
TABLE = "photos.csv"
SAME_LEVELS = 2.0

log = logging.getLogger("genga")

Grams = dict[str, Tensor]


def compare(photo: Picture, drawn: Picture) -> dict[str, float]:
    """What can be read off the pixels of a photo and its redrawing, both of one size (at least 11x11)."""
    before, after = rgb2lab(photo), rgb2lab(drawn)
    shift = deltaE_ciede2000(before, after)  # type: ignore[no-untyped-call]
    lightness, red, yellow = (after - before).reshape(-1, 3).mean(0)
    similarity = structural_similarity(  # type: ignore[no-untyped-call]
        images.luma(photo), images.luma(drawn), data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    return {
        "color_shift": float(shift.mean()),
        "color_shift_std": float(shift.std()),
        "lightness_shift": float(lightness),
        "red_shift": float(red),
        "yellow_shift": float(yellow),
        "input_difference": float(np.abs(photo.astype(np.int16) - drawn).mean()),
        "ssim": float(similarity),
    }


def style_distance(grams: Grams, film: Grams) -> float:
    """Mean over layers of |a set's mean cosines - the film's|, as a share of the film's own magnitude."""
    return float(np.mean([float((grams[tap] - film[tap]).abs().sum() / film[tap].abs().sum()) for tap in STYLE_TAPS]))


def style_nearness(drawn: float, photo: float, film: float) -> float | None:
    """The way gone from the photos' style distance (0) to the film's own (1); None where there is no way to go."""
    return (photo - drawn) / (photo - film) if photo > film else None


def cosines(grams: Tensor) -> Tensor:
    """Gram matrices N x C x C as cosines between channels: 1 on the diagonal, 0 for a silent channel."""
    lengths = torch.diagonal(grams, dim1=1, dim2=2).sqrt()
    return grams / (lengths[:, :, None] * lengths[:, None, :]).clamp_min(1e-12)


class StyleMean:
    """The running mean, over pictures, of the cosines between the channels of each style tap."""

    def __init__(self) -> None:
        """Start empty."""
        self._sums: Grams = {}
        self._count = 0

    def add(self, features: Mapping[str, Tensor]) -> None:
        """Take in a batch's features."""
        for tap in STYLE_TAPS:
            total = cosines(gram(features[tap])).sum(0)
            self._sums[tap] = self._sums[tap] + total if tap in self._sums else total
        self._count += len(features[STYLE_TAPS[0]])

    def mean(self) -> Grams:
        """Tap -> C x C."""
        return {tap: total / self._count for tap, total in self._sums.items()}


class Ruler:
    """VGG19 on uint8 pictures of one size."""

    def __init__(self, weights: str, device: torch.device) -> None:
        """Load the weights that `perceptual.weights` names."""
        vgg = load_vgg19(weights)
        network = Vgg19Features(vgg.state_dict, (CONTENT_TAP, *STYLE_TAPS), feature_scale(vgg.family))
        self._network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._device = device

    def __call__(self, pictures: Sequence[Picture]) -> dict[str, Tensor]:
        """Tap -> N x C x h x w, in units of the tap's mean magnitude on photographs."""
        with torch.inference_mode():
            features: dict[str, Tensor] = self._network(images.to_model(torch.from_numpy(np.stack(pictures)).to(self._device)))
        return features


def draw_sample(rows: Sequence[Row], count: int) -> list[Row]:
    """At most `count` rows, at random by their ids alone: other rows coming or going change little of it."""
    return sorted(rows, key=lambda row: manifest.number(0, "evaluate", row.id))[:count]


def spread_over_shots(rows: Sequence[Row], count: int) -> list[Row]:
    """The first `count` rows, those of shots not yet shown before the others."""
    seen: set[str] = set()
    first: list[Row] = []
    later: list[Row] = []
    for row in rows:
        key = row.shot or row.parent or row.id
        (later if key in seen else first).append(row)
        seen.add(key)
    return (first + later)[:count]


def _batches(rows: Sequence[Row], what: str) -> Iterator[tuple[list[Row], list[Picture]]]:
    """Rows and their pictures, so many at once as BATCH_PIXELS allows."""
    size = max(1, BATCH_PIXELS // max(rows[0].width_px * rows[0].height_px, 1))
    chunks = [list(rows[start : start + size]) for start in range(0, len(rows), size)]
    for chunk in stage.progress(chunks, what, "batches"):
        yield chunk, [shards.read(Path(str(row.file))) for row in chunk]


def _needed(listed: Path, domain: manifest.Domain, split: manifest.Split, count: int) -> list[Row]:
    found = draw_sample([row for row in shards.listed(listed, domain, split) if row.file], count)
    if not found:
        more = "films" if domain == "anime" else "photos"
        raise Fault(f"no {domain} squares in the {split} split: give more {more}, or another split.val")
    return found


def run_in(params: Params, out: Path, data: Path, stylizer: Stylizer | None = None) -> Mapping[str, float]:
    """Measure into `out`; `stylizer` stands in for the trained generator."""
    listed = data.parent / params.squares
    photos = _needed(listed, "photo", "val", params.evaluate.max_photos)
    film = _needed(listed, "anime", "val", params.evaluate.max_photos)
    more_film = _needed(listed, "anime", "train", len(photos))
    stylizer = stylizer or Stylizer(data / "train" / "generator.safetensors")
    ruler = Ruler(params.perceptual.weights, stylizer.device)

    shown = {row.id for row in spread_over_shots(photos, params.evaluate.grid)}
    grams = {name: StyleMean() for name in ("drawn", "photo", "film", "more_film")}
    scored: list[Row] = []
    grid: list[Picture] = []
    for chunk, pictures in _batches(photos, "photos"):
        drawn = stylizer.batch(pictures)
        before, after = ruler(pictures), ruler(drawn)
        grams["photo"].add(before)
        grams["drawn"].add(after)
        content = (after[CONTENT_TAP] - before[CONTENT_TAP]).abs().mean((1, 2, 3)).tolist()
        for row, photo, result, distance in zip(chunk, pictures, drawn, content, strict=True):
            scored.append(row.model_copy(update={"scores": {"content_distance": distance, **compare(photo, result)}}))
            if row.id in shown:
                grid += [photo, result]
    for name, squares in (("film", film), ("more_film", more_film)):
        for _, pictures in _batches(squares, "anime"):
            grams[name].add(ruler(pictures))

    manifest.write(out, scored)
    _write_table(out / TABLE, scored)
    images.write(out / GRID, images.sheet(grid, columns=4, cell_px=GRID_CELL_PX))
    return _summary(scored, {name: mean.mean() for name, mean in grams.items()})


def _summary(scored: Sequence[Row], grams: Mapping[str, Grams]) -> dict[str, float]:
    means = {name: float(np.mean([row.scores[name] for row in scored])) for name in scored[0].scores}
    drawn, photo, own = (style_distance(grams[name], grams["film"]) for name in ("drawn", "photo", "more_film"))
    style = {"style_distance": drawn, "style_distance_photo": photo, "style_distance_film": own}
    nearness = style_nearness(drawn, photo, own)
    if nearness is None:
        log.warning("the photos are as near to the film as the film is to itself: style_nearness means nothing and is left out")
    else:
        style = {"style_nearness": nearness, **style}
    if means["input_difference"] < SAME_LEVELS:
        log.warning(
            "the output is almost the photo (%.2f of 255 levels apart): train longer, or raise loss.style_weight or "
            "loss.adversarial_weight against loss.content_weight",
            means["input_difference"],
        )
    return {"photos": len(scored), **style, **means}


def _write_table(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["id", *rows[0].scores])
        table.writerows([row.id, *(f"{value:.6g}" for value in row.scores.values())] for row in rows)


def run(params: Params, out: Path) -> Mapping[str, float]:
    """Measure the trained generator."""
    return run_in(params, out, stage.DATA)


if __name__ == "__main__":
    stage.main("evaluate", run)
