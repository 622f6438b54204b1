"""Measures what several models make of the same photos: the numbers of stage evaluate."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.distances import fid, kernel, kid, lpips
from pipeline.core import stage
from pipeline.core.manifest import Row
from pipeline.dataset import crop_files
from pipeline.dataset.evaluation_set import EvaluationSet, group_of
from pipeline.media.images import Picture
from pipeline.metrics import pixels, sharpness
from pipeline.metrics.baselines import Stylize
from pipeline.metrics.feature_extractor import CONTENT_LAYERS, FeatureExtractor, Inception, StyleFeatureExtractor
from pipeline.metrics.style_score import Sample, Scale, StyleScore, combined_score, content_similarity

BATCH_PIXELS = 4 * 256 * 256
SAME_LEVELS = 2.0  # mean difference from the photo under which a result counts as unchanged
MIN_PICTURES = 3

Table = Mapping[str, Mapping[str, float]]
"""Row -> column -> value; columns that are undefined for a row are left out."""

log = logging.getLogger("genga")


@dataclass
class Subject:
    """Measurements of one set of pictures: the photos, film crops, or what a model made of the photos."""

    style_features: list[Tensor] = field(default_factory=list)
    inception: list[Tensor] = field(default_factory=list)
    scores: list[dict[str, float]] = field(default_factory=list)
    power: NDArray[np.float64] | None = None

    def add(self, pictures: Sequence[Picture], extractor: StyleFeatureExtractor, inception: Inception | None) -> None:
        """Measure pictures on their own."""
        equalized = extractor.equalize_blur(pictures)
        self.style_features.append(extractor(equalized))
        if inception:
            self.inception.append(inception(equalized))
        for picture in pictures:
            power = pixels.spectrum(picture)
            self.power = power if self.power is None else self.power + power
            self.scores.append(pixels.describe(picture))
            blur = sharpness.edge_blur_px(picture)
            if blur is not None:
                self.scores[-1]["edge_blur_px"] = blur

    def compare(self, photos: Sequence[Picture], pictures: Sequence[Picture], distances: Sequence[float]) -> None:
        """Measure how the pictures added last differ from their photos; `distances` are LPIPS."""
        for scores, photo, picture, distance in zip(self.scores[-len(photos) :], photos, pictures, distances, strict=True):
            scores |= {"lpips": distance, **pixels.compare(photo, picture)}
            scores["one_color"] = float(pixels.one_color(photo, picture))

    def compare_with_result(self, results: Sequence[Picture], pictures: Sequence[Picture], distances: Sequence[float]) -> None:
        """Measure how the pictures added last differ from the result's, as a student's do from its teacher's."""
        for scores, result, picture, distance in zip(self.scores[-len(results) :], results, pictures, distances, strict=True):
            scores |= {"from_result": pixels.difference(result, picture), "from_result_lpips": distance}

    def means(self) -> dict[str, float]:
        """Average each number over the pictures that have it."""
        names = dict.fromkeys(name for scores in self.scores for name in scores)
        return {name: float(np.mean([scores[name] for scores in self.scores if name in scores])) for name in names}


def _batches(rows: Sequence[Row], description: str) -> Iterator[tuple[list[Row], list[Picture]]]:
    """Yield rows and their pictures in batches of at most BATCH_PIXELS."""
    size = max(1, BATCH_PIXELS // max(rows[0].width_px * rows[0].height_px, 1))
    chunks = [list(rows[start : start + size]) for start in range(0, len(rows), size)]
    for chunk in stage.progress(chunks, description, "batches"):
        yield chunk, [crop_files.read_crop(row) for row in chunk]


@dataclass
class Measured:
    """All measurements of an evaluation."""

    subjects: dict[str, Subject]  # "photo", "result", baselines, other models
    film: dict[str, Subject]  # "unseen", "seen"
    photo_distance: float  # mean LPIPS between two photos
    kept: dict[str, tuple[Picture, Picture]]  # photo and result
    beside: dict[str, dict[str, Picture]]  # id of a photo -> model -> picture, for some photos


def measure(
    crops: EvaluationSet,
    models: Mapping[str, Stylize],
    weights: str,
    device: torch.device,
    inception: Inception | None,
    shown: Collection[str] = (),
) -> Measured:
    """Stylize every photo by every model and measure the results.

    Args:
        models: name -> function; the first is called result.
        weights: the parameter perceptual.weights.
        shown: ids of photos of which the results of every model are kept.
    """
    extract_content = FeatureExtractor(weights, CONTENT_LAYERS, device)
    film_rows = {"unseen": crops.unseen, "seen": crops.seen}
    extract_style = StyleFeatureExtractor(
        weights,
        sharpness.common_px(
            (crop_files.read_crop(row) for row in crops.photos),
            (crop_files.read_crop(row) for rows in film_rows.values() for row in rows),
        ),
        device,
    )
    subjects = {name: Subject() for name in ("photo", *models, *(["pseudo_target"] if crops.pseudo_targets else []))}
    kept: dict[str, tuple[Picture, Picture]] = {}
    beside: dict[str, dict[str, Picture]] = {name: {} for name in shown}
    photo_distances: list[float] = []
    before: dict[str, Tensor] | None = None
    for chunk, photos in _batches(crops.photos, "photos"):
        features = extract_content(photos)
        subjects["photo"].add(photos, extract_style, inception)
        subjects["photo"].compare(photos, photos, [0.0] * len(photos))
        shifted = {
            layer: torch.cat([now[-1:] if before is None else before[layer], now[:-1]]) for layer, now in features.items()
        }
        photo_distances += lpips(features, shifted).tolist()
        before = {layer: now[-1:].clone() for layer, now in features.items()}
        results, seen = list[Picture](), features
        for name, subject in subjects.items():
            if name == "photo":
                continue
            if name == "pseudo_target":
                pictures = [crop_files.read_crop(crops.pseudo_targets[row.id]) for row in chunk]
            else:
                pictures = models[name](photos)
            found = extract_content(pictures)
            subject.add(pictures, extract_style, inception)
            subject.compare(photos, pictures, lpips(features, found).tolist())
            if name == "result":  # the first of all
                results, seen = pictures, found
            elif results:
                subject.compare_with_result(results, pictures, lpips(seen, found).tolist())
            for row, picture in zip(chunk, pictures, strict=True):
                if row.id in beside:
                    beside[row.id][name] = picture
            if name == "result":
                kept |= {row.id: (photo, result) for row, photo, result in zip(chunk, photos, pictures, strict=True)}
    film = {name: Subject() for name in film_rows}
    for name, rows in film_rows.items():
        for _, film_crops in _batches(rows, f"film, {name}"):
            film[name].add(film_crops, extract_style, inception)
    return Measured(subjects, film, float(np.mean(photo_distances)), kept, beside)


def distances(
    crops: EvaluationSet, measured: Measured
) -> tuple[dict[str, dict[str, float]], dict[str, StyleScore], Scale | None]:
    """Compute distances to the film and style scores of all subjects; no scale where there are too few pictures."""
    film, subjects = measured.film, measured.subjects
    style_features = {name: torch.cat(subject.style_features) for name, subject in (film | subjects).items()}
    if min(len(crops.photos), len(crops.unseen), len(crops.seen)) < MIN_PICTURES:
        log.warning("fewer than %d photos or film crops: no style score; raise split.val, or give more pictures", MIN_PICTURES)
        return {name: {} for name in subjects}, {}, None
    scale = Scale(
        Sample(style_features["photo"], [group_of(row) for row in crops.photos]),
        Sample(style_features["seen"], [group_of(row) for row in crops.seen]),
        Sample(style_features["unseen"], [group_of(row) for row in crops.unseen]),
    )
    if not scale.usable:
        log.warning(
            "the photos are as close to the film as the film is to itself: the style score means nothing and is left out"
        )
    scores = {name: scale.score(style_features[name]) for name in subjects}
    inception = _inception(film | subjects)
    table: dict[str, dict[str, float]] = {}
    for name in [*subjects, "film"]:
        source = "seen" if name == "film" else name
        row = {"kid_vgg19": scale.film if name == "film" else scores[name].kid}
        if name != "film":
            row["kid_vgg19_error"] = scores[name].kid_error
        for prefix, sets in (("vgg19", style_features), ("inception", inception)):
            if source in sets and min(len(sets[source]), len(sets["unseen"])) > sets[source].shape[1]:
                row[f"fid_{prefix}"] = fid(sets[source], sets["unseen"])
        if source in inception:
            x, y = inception[source], inception["unseen"]
            row["kid_inception"] = kid(kernel(x, x), kernel(y, y), kernel(x, y))
        table[name] = row
    return table, scores, scale


def _inception(subjects: Mapping[str, Subject]) -> dict[str, Tensor]:
    return {name: torch.cat(subject.inception) for name, subject in subjects.items() if subject.inception}


def tabulate(crops: EvaluationSet, measured: Measured) -> tuple[dict[str, dict[str, float]], Scale | None]:
    """Compute a row of numbers for each subject and for the film, and the scale of the style score."""
    table, scores, scale = distances(crops, measured)
    photo_checkerboard = pixels.checkerboard(_power(measured.subjects["photo"]))
    for name, subject in measured.subjects.items():
        row = {**table[name], **subject.means()}
        row["checkerboard"] = pixels.checkerboard(_power(subject)) / photo_checkerboard
        similarity = content_similarity(row["lpips"], measured.photo_distance)
        if similarity is not None:
            row["content_similarity"] = similarity
        score = scores.get(name)
        if score and score.value is not None:
            row |= {"style_score": score.value, "style_score_error": score.error}
            if similarity is not None:
                failed = row["one_color"] > 0.5 or (name != "photo" and row["input_difference"] < SAME_LEVELS)
                row["score"] = combined_score(score.value, similarity, failed)
            if scale and name not in ("photo", "result"):
                features, of_result = (torch.cat(measured.subjects[key].style_features) for key in (name, "result"))
                row["lead"], row["lead_error"] = scale.lead(features, of_result)
        table[name] = row
    table["film"] = {**table.get("film", {}), **measured.film["unseen"].means()}
    if scale and scale.usable:
        table["film"]["style_score"] = 1.0
    return table, scale


def _power(subject: Subject) -> NDArray[np.float64]:
    if subject.power is None:
        raise ValueError("no pictures were measured")
    return subject.power
