"""Stage: what the trained generator does to validation photos, in numbers and in pictures.

    python -m pipeline.evaluate

Writes metrics.json (the result), table.csv (result, photos, baselines and film side by side), scale.csv (for dvc plots),
photos.csv and manifest.jsonl (each picture), grid.jpg (photo and result), side_by_side.jpg (every way), pictures/ and
pictures.csv (some photos and results, each by itself, for genga sweep), and index.html, to be opened from disk.
docs/metrics.md tells what each metric means and what it is blind to. `genga evaluate MODEL` does the same for any generator.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from pipeline.core import files, manifest, stage
from pipeline.core.errors import UserError
from pipeline.core.manifest import Row
from pipeline.dataset import crop_files
from pipeline.dataset.evaluation_set import EvaluationSet, choose, group_of, spread_over_shots
from pipeline.inference.torch_stylizer import TorchStylizer
from pipeline.media import images, sheets
from pipeline.media.images import Picture
from pipeline.metrics import pixels
from pipeline.metrics.baselines import BASELINES, Stylize
from pipeline.metrics.comparison import Measured, Table, measure, tabulate
from pipeline.metrics.feature_extractor import find_inception
from pipeline.params.schema import Params, load
from pipeline.web import evaluation_advice, evaluation_page

GRID, BESIDE = "grid.jpg", "side_by_side.jpg"
GRID_CELL_PX = 256
PHOTOS, TABLE, SCALE, PAGE = "photos.csv", "table.csv", "scale.csv", "index.html"
FLICKER_PHOTOS = 2
PICTURES, LISTED = "pictures", "pictures.csv"

RESERVED = frozenset({"photo", "result", "film", "pseudo_target", *BASELINES})
"""Names of rows that every table may have."""

log = logging.getLogger("genga")


def gather(params: Params, data: Path) -> EvaluationSet:
    """Choose what is measured, the same on every run."""
    chosen = choose(data.parent / params.dataset, params.evaluate.max_photos, params.evaluate.max_film)
    return replace(chosen, pseudo_targets=_pseudo_targets(data, chosen.photos)) if params.evaluate.baselines else chosen


def _pseudo_targets(data: Path, photos: Sequence[Row]) -> dict[str, Row]:
    """Id of a photo -> its pseudo-target; empty where one is missing."""
    try:
        paired = crop_files.paired_rows(data, photos, "pseudo_targets")
        crop_files.read_crop(paired[0], data.parent)  # shards may have been packed without
    except UserError:
        return {}
    return {row.id: found for row, found in zip(photos, paired, strict=True)}


def run_in(
    params: Params,
    out: Path,
    data: Path,
    stylizer: TorchStylizer | None = None,
    title: str = "the trained generator",
    others: Mapping[str, TorchStylizer] | None = None,
) -> dict[str, float]:
    """Measure into `out`.

    Args:
        stylizer: what to measure, if not the generator of stage train.
        others: name -> another model, to stand beside it in the table.
    """
    material = gather(params, data)
    stylizer = stylizer or TorchStylizer.from_file(data / "train" / "generator.safetensors")
    if taken := RESERVED & set(others or {}):
        raise UserError(f"a model may not be called {', '.join(sorted(taken))}: rename its file")
    redraws: dict[str, Stylize] = {
        "result": stylizer.stylize_batch,
        **{name: other.stylize_batch for name, other in (others or {}).items()},
    }
    if params.evaluate.baselines:
        redraws |= BASELINES
    inception = find_inception(stylizer.device) if params.evaluate.inception else None
    looked_at = [row.id for row in spread_over_shots(material.photos, params.evaluate.grid)]
    measured = measure(material, redraws, params.perceptual.weights, stylizer.device, inception, looked_at)
    table, scale = tabulate(material, measured)
    if params.evaluate.flicker_frames > 1:
        clips = spread_over_shots(material.photos, FLICKER_PHOTOS)
        values = [
            pixels.flicker(measured.kept[row.id][0], stylizer.stylize_batch, params.evaluate.flicker_frames) for row in clips
        ]
        table["result"]["flicker"] = float(np.mean(values))
        table["photo"]["flicker"] = 0.0

    result, gains = measured.subjects["result"], [0.0] * len(material.photos)
    if scale and scale.usable:
        gains = scale.gains(torch.cat(result.style_features))
    scored = [
        row.model_copy(update={"scores": {**scores, "gain": gain}})
        for row, scores, gain in zip(material.photos, result.scores, gains, strict=True)
    ]
    shown = spread_over_shots(scored, params.evaluate.grid)
    beside = _beside(measured)
    manifest.write(out, scored)
    _write_csv(out / PHOTOS, "id", {row.id: row.scores for row in scored})
    _write_csv(out / TABLE, "name", table)
    _write_csv(out / SCALE, "name", _scale(table))
    images.write(
        out / GRID,
        sheets.contact_sheet([one for row in shown for one in measured.kept[row.id]], columns=4, cell_px=GRID_CELL_PX),
    )
    images.write(out / BESIDE, beside)
    _write_pictures(out, {row.id: measured.kept[row.id] for row in shown})
    advice = evaluation_advice.advice(table, _count(material.photos), _count(material.unseen), stylizer.metadata)
    for one in advice:
        if one.level == "bad":
            log.warning("%s: %s", one.title, one.text)
    pictures = evaluation_advice.Pictures(scored, shown, measured.kept, beside)
    page = evaluation_page.page(evaluation_advice.evaluation(title, table, pictures, advice, stylizer.metadata))
    (out / PAGE).write_text(page, "utf-8")
    return _metrics(table, len(material.photos))


def _beside(measured: Measured) -> Picture:
    """A row a photo: itself, the result, and what every other way makes of it."""
    ways = [name for name in measured.subjects if name != "photo"]
    cells = [[measured.kept[photo][0], *(drawn[way] for way in ways)] for photo, drawn in measured.beside.items()]
    captions = ["photo", *ways] * len(cells)
    return sheets.contact_sheet([one for row in cells for one in row], captions, columns=1 + len(ways), cell_px=GRID_CELL_PX)


def _write_pictures(out: Path, pairs: Mapping[str, tuple[Picture, Picture]]) -> None:
    """Photo and result as files, and the list of them: the photo's id, and where both lie in the folder."""
    (out / PICTURES).mkdir()
    with (out / LISTED).open("w", encoding="utf-8", newline="") as file:
        listed = csv.writer(file, lineterminator="\n")
        listed.writerow(["id", "photo", "result"])
        for index, (name, pair) in enumerate(pairs.items()):
            files = [f"{PICTURES}/{index}_{what}.jpg" for what in ("photo", "result")]
            for path, picture in zip(files, pair, strict=True):
                images.write(out / path, picture)
            listed.writerow([name, *files])


def _count(rows: Sequence[Row]) -> int:
    return len({group_of(row) for row in rows})


def _scale(table: Table) -> Table:
    """What dvc plots draws: the rows that have a place on the scale."""
    keys = ("style_score", "content_similarity", "score")
    placed = {name: {key: row[key] for key in keys if key in row} for name, row in table.items() if "style_score" in row}
    return placed or {"photo": {"style_score": 0.0}}


def _metrics(table: Table, photos: int) -> dict[str, float]:
    """metrics.json: the result's numbers, the most telling first, and the ends of their scales."""
    result, found = table["result"], {"photos": float(photos)}
    first = ("score", "style_score", "style_score_error", "content_similarity")
    found |= {name: result[name] for name in first if name in result}
    found |= {name: value for name, value in result.items() if name not in found}
    for name in ("kid_vgg19", "flatness", "line_strength"):
        found |= {f"{name}_{end}": table[end][name] for end in ("photo", "film") if name in table[end]}
    return found


def _write_csv(path: Path, key: str, rows: Table) -> None:
    """A row a name; an empty field where a name has no such number."""
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow([key, *columns])
        table.writerows(
            [name, *(f"{row[column]:.6g}" if column in row else "" for column in columns)] for name, row in rows.items()
        )


def judge_files(
    params: Params, model: Path, others: Sequence[Path], out: Path, overwrite: bool, device: str | None = None
) -> dict[str, float]:
    """Measure a generator's file, and others beside it, on data/ as it lies, into the folder `out`: whole or not at all.

    Raises:
        UserError: a file is no generator, there are no crops, or `out` is there already and is not to be replaced.
    """
    if out.exists() and not overwrite:
        raise UserError(f"{out} exists already: give another folder, or --overwrite")
    if out.exists() and not (out / TABLE).is_file():
        raise UserError(f"{out} was not written by genga evaluate and stays: give another folder")
    rivals = {name: TorchStylizer.from_file(path, device) for name, path in name_models(model, others).items()}
    with files.replacing_folder(out) as temporary:
        found = run_in(params, temporary, stage.DATA, TorchStylizer.from_file(model, device), str(model), rivals)
        files.write_json(temporary / stage.METRICS, found)
    return found


def name_models(model: Path, others: Sequence[Path]) -> dict[str, Path]:
    """A row's name for each other model: as much of its path's end as tells them all apart."""
    paths = [path.with_suffix("").parts for path in (model, *others)]
    for length in range(1, max(map(len, paths)) + 1):
        names = ["/".join(parts[-length:]) for parts in paths]
        if len(set(names)) == len(names):
            return dict(zip(names[1:], others, strict=True))
    raise UserError(f"{model} is named twice: name each model once")


def run(params: Params, out: Path) -> Mapping[str, float]:
    """Measure the trained generator."""
    return run_in(params, out, stage.DATA)


if __name__ == "__main__":
    stage.main("evaluate", run, load)
