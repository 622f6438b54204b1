"""Measures what several models make of the same photos: the numbers of stage evaluate."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.distances import fid, lpips
from pipeline.core import stage
from pipeline.core.errors import log
from pipeline.dataset import crop_files
from pipeline.media.images import Picture
from pipeline.metrics import pixels, sharpness
from pipeline.metrics.baselines import Stylize
from pipeline.metrics.reference import MIN_PICTURES, Reference, batches
from pipeline.metrics.style_score import combined_score, content_similarity

SAME_LEVELS = 2.0  # mean difference from the photo under which a result counts as unchanged

Table = Mapping[str, Mapping[str, float]]
"""Row -> column -> value; columns that are undefined for a row are left out."""


@dataclass
class Measurements:
    """Measurements of a set of pictures: the photos, film crops, or what a model made of the photos."""

    style_features: list[Tensor] = field(default_factory=list)
    scores: list[dict[str, float]] = field(default_factory=list)  # of each picture
    power: NDArray[np.float64] | float = 0.0  # sum of the power spectra

    def add(self, pictures: Sequence[Picture], reference: Reference) -> None:
        """Add pictures of one size, and measure each on its own."""
        self.style_features.append(reference.style_features(pictures))
        for picture in pictures:
            self.power = self.power + pixels.spectrum(picture)
            self.scores.append(pixels.describe(picture))
            blur = sharpness.edge_blur_px(picture)
            if blur is not None:
                self.scores[-1]["edge_blur_px"] = blur

    def compare(self, photos: Sequence[Picture], pictures: Sequence[Picture], distances: Sequence[float]) -> None:
        """Measure how `pictures`, which were added last, differ from their photos; `distances` are the LPIPS of each pair."""
        for scores, photo, picture, distance in zip(self.scores[-len(photos) :], photos, pictures, distances, strict=True):
            scores |= {"lpips": distance, **pixels.compare(photo, picture)}
            scores["one_color"] = float(pixels.one_color(photo, picture))

    def compare_with_result(self, results: Sequence[Picture], pictures: Sequence[Picture], distances: Sequence[float]) -> None:
        """Measure how `pictures`, added last, differ from the result's (`distances`: LPIPS), as student from teacher."""
        for scores, result, picture, distance in zip(self.scores[-len(results) :], results, pictures, distances, strict=True):
            scores |= {"from_result": pixels.difference(result, picture), "from_result_lpips": distance}

    def means(self) -> dict[str, float]:
        """Return the mean of each measure, by name, over the pictures that have it; {} without pictures."""
        names = dict.fromkeys(name for scores in self.scores for name in scores)
        return {name: float(np.mean([scores[name] for scores in self.scores if name in scores])) for name in names}

    def checkerboard(self) -> float:
        """Compute `pixels.checkerboard` of all pictures together, of which there must be some."""
        return pixels.checkerboard(np.asarray(self.power))


@dataclass
class Comparison:
    """All measurements of an evaluation."""

    measured: dict[str, Measurements]
    """By row of the table: "photo", "result", baselines and other models."""
    film: Measurements
    """Of crops that were not trained on."""
    pairs: dict[str, tuple[Picture, Picture]]
    """Id of a photo -> photo and result."""
    redrawn: dict[str, dict[str, Picture]]
    """Id of a photo -> row of the table -> picture, for the photos to be shown."""


def measure(reference: Reference, models: Mapping[str, Stylize], shown: Collection[str] = ()) -> Comparison:
    """Stylize every photo by every model and measure the results.

    Args:
        models: name -> function that stylizes a list of photos; the first has to be named "result".
        shown: ids of photos of which every model's picture is kept in `redrawn`.
    """
    crops = reference.crops
    found = Comparison({name: Measurements() for name in ("photo", *models)}, Measurements(), {}, {name: {} for name in shown})
    for part in stage.progress(batches(crops.photos), "photos", "batches"):
        rows, photos = crops.photos[part], reference.photos[part]
        photo_features = reference.content_features(photos)
        found.measured["photo"].add(photos, reference)
        found.measured["photo"].compare(photos, photos, [0.0] * len(photos))
        results, result_features = list[Picture](), photo_features
        for name, stylize in models.items():
            pictures = stylize(photos)
            features = reference.content_features(pictures)
            found.measured[name].add(pictures, reference)
            found.measured[name].compare(photos, pictures, lpips(photo_features, features).tolist())
            if name == "result":  # the first of all
                results, result_features = pictures, features
            else:
                distances = lpips(result_features, features).tolist()
                found.measured[name].compare_with_result(results, pictures, distances)
            for row, picture in zip(rows, pictures, strict=True):
                if row.id in found.redrawn:
                    found.redrawn[row.id][name] = picture
        found.pairs |= {row.id: (photo, result) for row, photo, result in zip(rows, photos, results, strict=True)}
    for part in batches(crops.unseen):
        found.film.add([crop_files.read_crop(row) for row in crops.unseen[part]], reference)
    return found


def tabulate(reference: Reference, found: Comparison) -> dict[str, dict[str, float]]:
    """Compute the table, row -> column -> value: a row for each set of pictures and the film; undefined values are left out."""
    scale = reference.scale
    if scale is None:
        log.warning("fewer than %d photos or film crops: no style score; raise split.val, or give more pictures", MIN_PICTURES)
    elif not scale.usable:
        log.warning(
            "the photos are as close to the film as the film is to itself: the style score means nothing and is left out"
        )
    table = {name: _row(name, reference, found) for name in found.measured}
    table["film"] = found.film.means()
    if scale:
        film = {"kid_vgg19": scale.film, **_frechet_distance(reference.seen.features, reference)}
        table["film"] = film | table["film"] | ({"style_score": 1.0} if scale.usable else {})
    return table


def _row(name: str, reference: Reference, found: Comparison) -> dict[str, float]:
    measured, scale, row = found.measured[name], reference.scale, dict[str, float]()
    features = torch.cat(measured.style_features)
    score = scale.score(features) if scale else None
    if score:
        row |= {"kid_vgg19": score.kid, "kid_vgg19_error": score.kid_error, **_frechet_distance(features, reference)}
    row |= measured.means()
    row["checkerboard"] = measured.checkerboard() / found.measured["photo"].checkerboard()
    similarity = content_similarity(row["lpips"], reference.photo_distance)
    if similarity is not None:
        row["content_similarity"] = similarity
    if scale and score and score.value is not None:
        row |= {"style_score": score.value, "style_score_error": score.error}
        if similarity is not None:
            failed = row["one_color"] > 0.5 or (name != "photo" and row["input_difference"] < SAME_LEVELS)
            row["score"] = combined_score(score.value, similarity, failed)
        if name not in ("photo", "result"):
            row["lead"], row["lead_error"] = scale.lead(features, torch.cat(found.measured["result"].style_features))
    return row


def _frechet_distance(features: Tensor, reference: Reference) -> dict[str, float]:
    """Return {"fid_vgg19": Frechet distance to unseen film crops}; {} unless there are more pictures than features."""
    unseen = reference.unseen.features
    enough = min(len(features), len(unseen)) > features.shape[1]
    return {"fid_vgg19": fid(features, unseen)} if enough else {}
