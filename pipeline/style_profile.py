"""Stage: choose how photos are turned into pseudo-targets: filter, line strength and color transform.

What params leave open (auto) is measured on the films. Each filter is tried on training photos and scored as results are
(`pipeline.metrics.validation_probe`), against training crops of the films, as validation crops must stay unseen. Line strength
matches the film's own lines, which image features hardly see; the color transform is fitted to the film's colors.

`style_profile.json` is the choice, `tried.json` the numbers behind it, `sheet.jpg` photos, candidates and film side by side.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from models.distances import jackknife
from pipeline.core import files, stage
from pipeline.core.manifest import Domain, Row
from pipeline.core.stage import Numbers
from pipeline.dataset import crop_files, evaluation_set
from pipeline.dataset.evaluation_set import EvaluationSet
from pipeline.filters import profile
from pipeline.filters.color_transfer import IDENTITY, ColorTransform, fit_transform, measure_colors
from pipeline.filters.profile import FilterName, StyleProfile
from pipeline.filters.pseudo_target import PseudoTargetFilter
from pipeline.media import images, sheets
from pipeline.media.images import Picture
from pipeline.metrics import pixels
from pipeline.metrics.validation_probe import ValidationProbe
from pipeline.networks import devices
from pipeline.params.schema import Params, load

Counts = tuple[int, int]
"""Of a picture: pixels of lines along its borders, and pixels of borders (`pipeline.metrics.pixels.line_counts`)."""

FILTERS: tuple[FilterName, ...] = ("l0", "abstraction", "kuwahara")
# Not darker: at 1 leftover texture becomes black specks. Few, so that another episode seldom changes the choice.
LINE_STRENGTHS = (0.0, 0.25, 0.5, 0.75)
TRIED = "tried.json"
_PHOTOS = 16
_FILM_CROPS = 24  # in each half
_MEASURED_CROPS = 200  # for colors and lines, which are cheap to measure
_SHEET_PHOTOS = 6
_SAME_SCORE = 0.03  # scores closer than this are equal: another choice of photos changes them more


def choose_crops(dataset: Path) -> EvaluationSet:
    """Choose training photos and training film crops; half of the film's shots stand in for unseen ones.

    Args:
        dataset: the folder data/split.
    """
    photos, film = _spread_crops(dataset, "photo", _PHOTOS), _spread_crops(dataset, "anime", 2 * _FILM_CROPS)
    shots = list(dict.fromkeys(evaluation_set.group_of(row) for row in film))
    halves: tuple[list[Row], list[Row]] = ([], [])
    for index, row in enumerate(film):
        # A film of a single shot is divided by crops.
        halves[(shots.index(evaluation_set.group_of(row)) if len(shots) > 1 else index) % 2].append(row)
    return EvaluationSet(photos, halves[0], halves[1])


def choose_filter(scores: Mapping[FilterName, Numbers]) -> FilterName:
    """Choose the filter of the best score; of equal ones the one with the best style score, which looks most drawn.

    Args:
        scores: what the validation probe measured for each filter. Where there is no score (too few crops, a film like the
            photos) the choice is l0, as most films have flat areas.
    """
    if any("score" not in numbers for numbers in scores.values()):
        return "l0"
    best = max(numbers["score"] for numbers in scores.values())
    equal = [filter for filter, numbers in scores.items() if numbers["score"] >= best - _SAME_SCORE]
    return max(equal, key=lambda filter: scores[filter].get("style_score", 0.0))


def choose_line_strength(film: Sequence[Counts], photos: Mapping[float, Sequence[Counts]]) -> float:
    """Choose the line strength at which photos have as many lines as the more outlined half of the film's crops.

    Films outline figures and leave scenery without lines; photos get lines everywhere, so the outlined half is what to match.

    Args:
        film: line counts of film crops.
        photos: line strength -> line counts of the photos filtered with it; 0 must be among them.

    Returns:
        0 unless the film has significantly more lines than photos without any drawn (two standard errors).
    """
    error = math.hypot(*(_standard_error(counts) for counts in (film, photos[0.0])))
    if lines_percent(film) - lines_percent(photos[0.0]) <= 2 * error:
        return 0.0
    wanted = lines_percent(outlined_half(film))
    return min(photos, key=lambda strength: abs(lines_percent(photos[strength]) - wanted))


def outlined_half(counts: Sequence[Counts]) -> list[Counts]:
    """Return the half of some pictures that have the most lines per border (of an odd number, the larger half)."""
    return sorted(counts, key=lambda lines: lines[0] / max(1, lines[1]), reverse=True)[: (len(counts) + 1) // 2]


def lines_percent(counts: Sequence[Counts]) -> float:
    """Return how much of the borders of several pictures carries lines, percent, weighted by the length of borders."""
    return 100 * sum(lines for lines, _ in counts) / max(1, sum(borders for _, borders in counts))


def _standard_error(counts: Sequence[Counts]) -> float:
    return jackknife([[lines_percent([*counts[:index], *counts[index + 1 :]]) for index in range(len(counts))]])


def run(params: Params, out: Path, data: Path = stage.DATA) -> dict[str, float]:
    """Choose what params.pseudo_targets leaves open; write style_profile.json, tried.json and sheet.jpg."""
    section, dataset = params.pseudo_targets, data / "split"
    if section.filter == "none" or ("auto" not in (section.filter, section.line_strength) and not section.color_transform):
        _write_profile(out, section.filter, section.line_strength, IDENTITY)
        return {}
    crops = choose_crops(dataset)
    photos, film = ([crop_files.read_crop(row) for row in rows] for rows in (crops.photos, crops.unseen + crops.seen))
    transform = IDENTITY
    if section.color_transform:
        colors = {domain: measure_colors(_iterate_crops(dataset, domain)) for domain in ("photo", "anime")}
        transform = fit_transform(colors["photo"], colors["anime"], section.color_transform)
    candidates = {filter: PseudoTargetFilter(filter, section.strength, section.radius_px, 0.0, transform) for filter in FILTERS}
    tried: dict[str, Numbers] = {}
    filter: FilterName
    if section.filter == "auto":
        probe = ValidationProbe(crops, params.perceptual.weights, devices.pick_device())
        scores = {
            name: probe(partial(_apply_each, candidate))
            for name, candidate in stage.progress(candidates.items(), "try", "filters")
        }
        filter = choose_filter(scores)
        measured: dict[str, float] = {name: numbers["score"] for name, numbers in scores.items() if "score" in numbers}
        stage.log.info("filter %s, by score: %s", filter, _listed(measured) or "none can be measured")
        tried.update({str(name): numbers for name, numbers in scores.items()})
    else:
        filter = section.filter
    line_strength = section.line_strength
    if line_strength == "auto":
        # In this process: it takes seconds, and each worker would first import torch.
        of_photos = {
            strength: [pixels.line_counts(replace(candidates[filter], line_strength=strength)(photo)) for photo in photos]
            for strength in stage.progress(LINE_STRENGTHS, "line strength", "values")
        }
        of_film = [pixels.line_counts(crop) for crop in _iterate_crops(dataset, "anime")]
        line_strength = choose_line_strength(of_film, of_photos)
        tried["lines_percent"] = {
            "film": lines_percent(of_film),
            "film_outlined_half": lines_percent(outlined_half(of_film)),
        } | {f"strength_{strength:g}": lines_percent(counts) for strength, counts in of_photos.items()}
        stage.log.info(
            "line strength %g, by the percentage of edges with lines: %s", line_strength, _listed(tried["lines_percent"])
        )
    _write_profile(out, filter, line_strength, transform)
    files.write_json(out / TRIED, tried)
    chosen = [replace(candidate, line_strength=line_strength) for candidate in candidates.values()]
    _write_sheet(out / "sheet.jpg", photos, film, chosen)
    return {f"{name}_{key}": value for name, numbers in tried.items() for key, value in numbers.items()}


def _listed(numbers: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {number:.3g}" for name, number in numbers.items())


def _spread_crops(dataset: Path, domain: Domain, count: int) -> list[Row]:
    return evaluation_set.spread_over_shots(evaluation_set.sample_crops(dataset, domain, "train"), count)


def _apply_each(candidate: PseudoTargetFilter, photos: Sequence[Picture]) -> list[Picture]:
    return [candidate(photo) for photo in photos]


def _iterate_crops(dataset: Path, domain: Domain) -> Iterator[Picture]:
    return (crop_files.read_crop(row) for row in _spread_crops(dataset, domain, _MEASURED_CROPS))


def _write_profile(out: Path, filter: object, line_strength: object, transform: ColorTransform) -> None:
    values = {"filter": filter, "line_strength": line_strength, "color_transform": transform}
    files.write_json(out / profile.FILE, StyleProfile.model_validate(values).model_dump(mode="json"))


def _write_sheet(
    path: Path, photos: Sequence[Picture], film: Sequence[Picture], candidates: Sequence[PseudoTargetFilter]
) -> None:
    rows = list(zip(photos, film, strict=False))[:_SHEET_PHOTOS]
    pictures = [picture for photo, crop in rows for picture in (photo, *(candidate(photo) for candidate in candidates), crop)]
    captions = ["photo", *(candidate.filter for candidate in candidates), "film"] * len(rows)
    images.write(path, sheets.contact_sheet(pictures, captions, columns=2 * (len(candidates) + 2), cell_px=256))


if __name__ == "__main__":
    stage.main("style_profile", run, load)
