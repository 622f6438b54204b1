"""Stage: what photos are to be turned into before the network learns from them: flat areas or brushwork, with ink or without.

Where params leave it to the film, all are tried on some of the photos that are trained on, and judged as results are later
(`pipeline.metrics.validation_probe`), by film crops that are trained on too: val crops stay unseen. Ink follows the film's own lines, as
features hardly see them; the palette is the film's as far as params want it.

`style_profile.json` is the choice, `tried.json` the numbers behind it, `sheet.jpg` the photos, what was tried, and the film.
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
from pipeline.dataset import evaluation_set, shards
from pipeline.dataset.evaluation_set import Material
from pipeline.filters import color_transfer, profile
from pipeline.filters.color_transfer import IDENTITY, ColorTransform
from pipeline.filters.profile import Filter, StyleProfile
from pipeline.filters.pseudo_target import PseudoTarget, redraw
from pipeline.media import images, sheets
from pipeline.media.images import Picture
from pipeline.metrics import pixels
from pipeline.metrics.validation_probe import ValidationProbe
from pipeline.networks import devices
from pipeline.params.schema import Params, load

Counts = tuple[int, int]  # of a picture: lines, borders

FILTERS: tuple[Filter, ...] = ("l0", "abstraction", "kuwahara")
# Not darker: at 1 what texture is left becomes black specks. Few, so that another episode seldom moves the choice.
INKS = (0.0, 0.25, 0.5, 0.75)
TRIED = "tried.json"
_PHOTOS = 16
_FILM = 24  # crops for either half
_MANY = 200
_DOMAINS: tuple[Domain, Domain] = ("photo", "anime")
_SHOWN = 6
_LEVEL = 0.03  # of scores: less than other photos would make of it


def gather(listed: Path) -> Material:
    """Photos and film crops to try on, all of the train split; the film's shots are dealt to its two halves by turns."""
    photos = evaluation_set.spread_over_shots(evaluation_set.needed(listed, "photo", "train", 10**9), _PHOTOS)
    film = evaluation_set.spread_over_shots(evaluation_set.needed(listed, "anime", "train", 10**9), 2 * _FILM)
    shots = {shot: place for place, shot in enumerate(dict.fromkeys(evaluation_set.group(row) for row in film))}
    halves: tuple[list[Row], list[Row]] = ([], [])
    for place, row in enumerate(film):
        # A film of one shot is dealt out by crops.
        halves[(shots[evaluation_set.group(row)] if len(shots) > 1 else place) % 2].append(row)
    return Material(photos, halves[0], halves[1])


def choose_filter(tried: Mapping[Filter, Numbers]) -> Filter:
    """The one with the best score; of those that share it, the one nearest to the film, as it looks the most drawn.

    Without scores (too few crops, a film like the photos) flat areas, as most films have.
    """
    if any("score" not in numbers for numbers in tried.values()):
        return "l0"
    best = max(numbers["score"] for numbers in tried.values())
    level = [filter for filter, numbers in tried.items() if numbers["score"] >= best - _LEVEL]
    return max(level, key=lambda filter: tried[filter].get("style_score", 0.0))


def choose_ink(film: Sequence[Counts], photos: Mapping[float, Sequence[Counts]]) -> float:
    """The ink with which photos carry as many lines as the film's inked crops: 0 unless it has surely more than bare photos.

    Films ink figures and leave scenery bare. Photos are inked all over, so that half of the film tells which has more lines.

    Args:
        film: `metrics.line_counts` of film crops.
        photos: those of the redrawn photos, by ink; 0 among them.
    """
    error = math.hypot(*(_error(part) for part in (film, photos[0.0])))
    if strength(film) - strength(photos[0.0]) <= 2 * error:
        return 0.0
    wanted = strength(inked_half(film))
    return min(photos, key=lambda ink: abs(strength(photos[ink]) - wanted))


def inked_half(counts: Sequence[Counts]) -> list[Counts]:
    """The half of some pictures on whose borders most lines run."""
    return sorted(counts, key=lambda one: one[0] / max(1, one[1]), reverse=True)[: (len(counts) + 1) // 2]


def strength(counts: Sequence[Counts]) -> float:
    """The line_strength of several pictures as of one: those with few borders say little."""
    return 100 * sum(lines for lines, _ in counts) / max(1, sum(borders for _, borders in counts))


def _error(counts: Sequence[Counts]) -> float:
    return jackknife([[strength([*counts[:place], *counts[place + 1 :]]) for place in range(len(counts))]])


def run(params: Params, out: Path, data: Path = stage.DATA) -> dict[str, float]:
    """Choose what params.pseudo_targets leaves to the film; write style_profile.json, and what was tried."""
    section = params.pseudo_targets
    if section.filter == "none" or ("auto" not in (section.filter, section.line_strength) and not section.color_transform):
        _write(out, section.filter, section.line_strength, IDENTITY)
        return {}
    found = gather(data / "split")
    photos, film = ([shards.read(row) for row in rows] for rows in (found.photos, found.unseen + found.seen))
    grade = _grade(data / "split", section.color_transform)
    targets = {filter: PseudoTarget(filter, section.strength, section.radius_px, 0.0, grade) for filter in FILTERS}
    told: dict[str, Numbers] = {}
    filter: Filter
    if section.filter == "auto":
        trial = ValidationProbe(found, params.perceptual.weights, devices.pick_device())
        tried = {
            name: trial(partial(_redraw, target=target)) for name, target in stage.progress(targets.items(), "try", "filters")
        }
        filter, told = choose_filter(tried), {str(name): numbers for name, numbers in tried.items()}
    else:
        filter = section.filter
    ink = section.line_strength
    if ink == "auto":
        # Not in processes: a few seconds of work, and a process would first import torch.
        of_photos = {
            one: [pixels.line_counts(redraw(photo, replace(targets[filter], line_strength=one))) for photo in photos]
            for one in stage.progress(INKS, "line_strength", "inks")
        }
        of_film = [pixels.line_counts(crop) for crop in _many(data / "split", "anime")]
        ink = choose_ink(of_film, of_photos)
        told["line_strength"] = {"film": strength(of_film), "film_inked_half": strength(inked_half(of_film))} | {
            f"strength_{one:g}": strength(counts) for one, counts in of_photos.items()
        }
    _write(out, filter, ink, grade)
    files.write_json(out / TRIED, told)
    _show(out / "sheet.jpg", photos, film, [replace(target, line_strength=ink) for target in targets.values()])
    return {f"{name}_{key}": value for name, numbers in told.items() for key, value in numbers.items()}


def _grade(listed: Path, share: float) -> ColorTransform:
    """The way to the film's palette."""
    if not share:
        return IDENTITY
    photos, film = (color_transfer.measure(_many(listed, domain)) for domain in _DOMAINS)
    return color_transfer.color_transform_towards(photos, film, share)


def _many(listed: Path, domain: Domain) -> Iterator[Picture]:
    """More crops than are tried on: colours and lines are soon measured, and a film has many scenes."""
    rows = evaluation_set.spread_over_shots(evaluation_set.needed(listed, domain, "train", 10**9), _MANY)
    return (shards.read(row) for row in rows)


def _write(out: Path, filter: object, ink: object, grade: ColorTransform) -> None:
    found = StyleProfile.model_validate({"filter": filter, "line_strength": ink, "color_transform": grade})
    files.write_json(out / profile.FILE, found.model_dump(mode="json"))


def _redraw(pictures: Sequence[Picture], target: PseudoTarget) -> list[Picture]:
    return [redraw(picture, target) for picture in pictures]


def _show(path: Path, photos: Sequence[Picture], film: Sequence[Picture], targets: Sequence[PseudoTarget]) -> None:
    rows = list(zip(photos, film, strict=False))[:_SHOWN]
    pictures = [one for photo, crop in rows for one in (photo, *(redraw(photo, target) for target in targets), crop)]
    captions = ["photo", *(target.filter for target in targets), "film"] * len(rows)
    images.write(path, sheets.contact_sheet(pictures, captions, columns=2 * (len(targets) + 2), cell_px=256))


if __name__ == "__main__":
    stage.main("style_profile", run, load)
