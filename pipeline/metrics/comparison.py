"""Photos redrawn in several ways, each measured in the same way: the numbers of stage evaluate."""

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
from pipeline.metrics.baselines import Redraw
from pipeline.metrics.feature_extractor import LIKE_TAPS, FeatureExtractor, FilmFeatureExtractor, Inception
from pipeline.metrics.style_score import Sample, Scale, StyleScore, combined_score, content_similarity

BATCH_PIXELS = 4 * 256 * 256
SAME_LEVELS = 2.0
FEWEST = 3

Table = Mapping[str, Mapping[str, float]]
"""Row -> column -> value; what has no meaning for a row is not in it."""

log = logging.getLogger("genga")


@dataclass
class Subject:
    """One way to redraw the photos, and what was measured on what it drew."""

    near: list[Tensor] = field(default_factory=list)
    inception: list[Tensor] = field(default_factory=list)
    scores: list[dict[str, float]] = field(default_factory=list)
    power: NDArray[np.float64] | None = None

    def add(self, pictures: Sequence[Picture], ruler: FilmFeatureExtractor, inception: Inception | None) -> None:
        """Take in what needs no photo to compare with."""
        levelled = ruler.level(pictures)
        self.near.append(ruler(levelled))
        if inception:
            self.inception.append(inception(levelled))
        for picture in pictures:
            power = pixels.spectrum(picture)
            self.power = power if self.power is None else self.power + power
            self.scores.append(pixels.describe(picture))
            blur = sharpness.edge_blur_px(picture)
            if blur is not None:
                self.scores[-1]["edge_blur_px"] = blur

    def compare(self, photos: Sequence[Picture], pictures: Sequence[Picture], distances: Sequence[float]) -> None:
        """Take in how the pictures added last differ from their photos."""
        for scores, photo, picture, distance in zip(self.scores[-len(photos) :], photos, pictures, distances, strict=True):
            scores |= {"lpips": distance, **pixels.compare(photo, picture)}
            scores["one_color"] = float(pixels.one_color(photo, picture))

    def stand_beside(self, results: Sequence[Picture], pictures: Sequence[Picture], distances: Sequence[float]) -> None:
        """Take in how the pictures added last differ from the result's: of a student, how well it learnt from its teacher."""
        for scores, result, picture, distance in zip(self.scores[-len(results) :], results, pictures, distances, strict=True):
            scores |= {"from_result": pixels.difference(result, picture), "from_result_lpips": distance}

    def means(self) -> dict[str, float]:
        """The mean of each number over the pictures that have it."""
        names = dict.fromkeys(name for scores in self.scores for name in scores)
        return {name: float(np.mean([scores[name] for scores in self.scores if name in scores])) for name in names}


def _batches(rows: Sequence[Row], what: str) -> Iterator[tuple[list[Row], list[Picture]]]:
    """Rows and their pictures, so many at once as BATCH_PIXELS allows."""
    size = max(1, BATCH_PIXELS // max(rows[0].width_px * rows[0].height_px, 1))
    chunks = [list(rows[start : start + size]) for start in range(0, len(rows), size)]
    for chunk in stage.progress(chunks, what, "batches"):
        yield chunk, [crop_files.read_crop(row) for row in chunk]


@dataclass
class Measured:
    """Everything that was read off the pictures."""

    subjects: dict[str, Subject]  # "photo", "result", baselines, other models
    film: dict[str, Subject]  # "unseen", "seen"
    apart: float  # mean LPIPS of a photo and another photo
    kept: dict[str, tuple[Picture, Picture]]  # photo and result
    beside: dict[str, dict[str, Picture]]  # photo -> way -> picture, for some photos


def measure(
    material: EvaluationSet,
    redraws: Mapping[str, Redraw],
    weights: str,
    device: torch.device,
    wish: Inception | None,
    shown: Collection[str] = (),
) -> Measured:
    """Redraw every photo in every way and measure all of it; keep what each way made of the photos whose ids are `shown`."""
    ruler = FeatureExtractor(weights, LIKE_TAPS, device)
    film_rows = {"unseen": material.unseen, "seen": material.seen}
    near = FilmFeatureExtractor(
        weights,
        sharpness.common_px(
            (crop_files.read_crop(row) for row in material.photos),
            (crop_files.read_crop(row) for rows in film_rows.values() for row in rows),
        ),
        device,
    )
    subjects = {name: Subject() for name in ("photo", *redraws, *(["pseudo_target"] if material.pseudo_targets else []))}
    kept: dict[str, tuple[Picture, Picture]] = {}
    beside: dict[str, dict[str, Picture]] = {name: {} for name in shown}
    apart: list[float] = []
    before: dict[str, Tensor] | None = None
    for chunk, photos in _batches(material.photos, "photos"):
        features = ruler(photos)
        subjects["photo"].add(photos, near, wish)
        subjects["photo"].compare(photos, photos, [0.0] * len(photos))
        shifted = {tap: torch.cat([now[-1:] if before is None else before[tap], now[:-1]]) for tap, now in features.items()}
        apart += lpips(features, shifted).tolist()
        before = {tap: now[-1:].clone() for tap, now in features.items()}
        results, seen = list[Picture](), features
        for name, subject in subjects.items():
            if name == "photo":
                continue
            if name == "pseudo_target":
                pictures = [crop_files.read_crop(material.pseudo_targets[row.id]) for row in chunk]
            else:
                pictures = redraws[name](photos)
            found = ruler(pictures)
            subject.add(pictures, near, wish)
            subject.compare(photos, pictures, lpips(features, found).tolist())
            if name == "result":  # the first of all
                results, seen = pictures, found
            elif results:
                subject.stand_beside(results, pictures, lpips(seen, found).tolist())
            for row, picture in zip(chunk, pictures, strict=True):
                if row.id in beside:
                    beside[row.id][name] = picture
            if name == "result":
                kept |= {row.id: (photo, result) for row, photo, result in zip(chunk, photos, pictures, strict=True)}
    film = {name: Subject() for name in film_rows}
    for name, rows in film_rows.items():
        for _, crops in _batches(rows, f"film, {name}"):
            film[name].add(crops, near, wish)
    return Measured(subjects, film, float(np.mean(apart)), kept, beside)


def distances(
    material: EvaluationSet, measured: Measured
) -> tuple[dict[str, dict[str, float]], dict[str, StyleScore], Scale | None]:
    """Distances to the film of each subject, and its place on the scale; no scale where there are too few pictures."""
    film, subjects = measured.film, measured.subjects
    near = {name: torch.cat(subject.near) for name, subject in (film | subjects).items()}
    if min(len(material.photos), len(material.unseen), len(material.seen)) < FEWEST:
        log.warning("fewer than %d photos or film crops: no style score; raise split.val, or give more pictures", FEWEST)
        return {name: {} for name in subjects}, {}, None
    scale = Scale(
        Sample(near["photo"], [group_of(row) for row in material.photos]),
        Sample(near["seen"], [group_of(row) for row in material.seen]),
        Sample(near["unseen"], [group_of(row) for row in material.unseen]),
    )
    if not scale.usable:
        log.warning(
            "the photos are as near to the film as the film is to itself: the style score means nothing and is left out"
        )
    places = {name: scale.place(near[name]) for name in subjects}
    inception = _inception(film | subjects)
    table: dict[str, dict[str, float]] = {}
    for name in [*subjects, "film"]:
        source = "seen" if name == "film" else name
        row = {"kid_vgg19": scale.film if name == "film" else places[name].kid}
        if name != "film":
            row["kid_vgg19_error"] = places[name].kid_error
        for prefix, sets in (("vgg19", near), ("inception", inception)):
            if source in sets and min(len(sets[source]), len(sets["unseen"])) > sets[source].shape[1]:
                row[f"fid_{prefix}"] = fid(sets[source], sets["unseen"])
        if source in inception:
            x, y = inception[source], inception["unseen"]
            row["kid_inception"] = kid(kernel(x, x), kernel(y, y), kernel(x, y))
        table[name] = row
    return table, places, scale


def _inception(subjects: Mapping[str, Subject]) -> dict[str, Tensor]:
    return {name: torch.cat(subject.inception) for name, subject in subjects.items() if subject.inception}


def tabulate(material: EvaluationSet, measured: Measured) -> tuple[dict[str, dict[str, float]], Scale | None]:
    """A row of numbers for each subject and for the film; what has no meaning for a row is not in it."""
    table, places, scale = distances(material, measured)
    quiet = pixels.checkerboard(_power(measured.subjects["photo"]))
    for name, subject in measured.subjects.items():
        row = {**table[name], **subject.means()}
        row["checkerboard"] = pixels.checkerboard(_power(subject)) / quiet
        similarity = content_similarity(row["lpips"], measured.apart)
        if similarity is not None:
            row["content_similarity"] = similarity
        place = places.get(name)
        if place and place.value is not None:
            row |= {"style_score": place.value, "style_score_error": place.error}
            if similarity is not None:
                failed = row["one_color"] > 0.5 or (name != "photo" and row["input_difference"] < SAME_LEVELS)
                row["score"] = combined_score(place.value, similarity, failed)
            if scale and name not in ("photo", "result"):
                ours, theirs = (torch.cat(measured.subjects[one].near) for one in ("result", name))
                row["lead"], row["lead_error"] = scale.lead(theirs, ours)
        table[name] = row
    table["film"] = {**table.get("film", {}), **measured.film["unseen"].means()}
    if scale and scale.usable:
        table["film"]["style_score"] = 1.0
    return table, scale


def _power(subject: Subject) -> NDArray[np.float64]:
    if subject.power is None:
        raise ValueError("no pictures were measured")
    return subject.power
