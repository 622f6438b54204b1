"""Evaluation of generators into a folder, for the stage and for the commands."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from pipeline.core import files, manifest, stage
from pipeline.core.errors import UserError, log
from pipeline.dataset.evaluation_set import choose, group_of, spread_over_shots
from pipeline.evaluation import outputs
from pipeline.evaluation.advice import PRETRAINED, advice
from pipeline.evaluation.page import Pictures, render_page
from pipeline.evaluation.sizes import build_style_scorer, measure_sizes, read_whole_photos
from pipeline.inference.scaled_stylizer import ScaledStylizer
from pipeline.inference.torch_stylizer import TorchStylizer
from pipeline.metrics import pixels
from pipeline.metrics.baselines import BASELINES, Stylize
from pipeline.metrics.comparison import Table, measure, tabulate
from pipeline.metrics.reference import Reference
from pipeline.params.schema import Params

FLICKER_PHOTOS = 2
RESERVED_NAMES = frozenset({"photo", "result", "film", PRETRAINED, *BASELINES})
"""Names of table rows that no model may have."""


def evaluate_generator(
    params: Params,
    out: Path,
    data: Path,
    generator: TorchStylizer,
    title: str = "the trained generator",
    others: Mapping[str, TorchStylizer] | None = None,
) -> dict[str, float]:
    """Measure a generator on the validation photos of `data`, and write tables, pictures and a page to the folder `out`.

    Args:
        data: the folder data/ of the project, whose data set is params.dataset.
        others: more models by name, to be measured for the same table.

    Returns:
        The metrics of the generator by name, those that say most first; undefined ones are left out.

    Raises:
        UserError: there are no crops to measure.
    """
    crops = choose(data.parent / params.dataset, params.evaluate.max_photos, params.evaluate.max_film)
    redraws: dict[str, Stylize] = {"result": generator.stylize_batch}
    redraws |= {name: other.stylize_batch for name, other in (others or {}).items()}
    if params.evaluate.baselines:
        redraws |= BASELINES
    reference = Reference(crops, params.perceptual.weights, generator.device)
    compared = measure(reference, redraws, [row.id for row in spread_over_shots(crops.photos, params.evaluate.grid)])
    table = tabulate(reference, compared)
    if params.evaluate.flicker_frames > 1:
        moving = [compared.pairs[row.id][0] for row in spread_over_shots(crops.photos, FLICKER_PHOTOS)]
        flicker = [pixels.flicker(photo, generator.stylize_batch, params.evaluate.flicker_frames) for photo in moving]
        table["result"]["flicker"] = float(np.mean(flicker))
        table["photo"]["flicker"] = 0.0

    sizes = _measure_sizes(params, data, generator, reference)
    result, gains = compared.measured["result"], [0.0] * len(crops.photos)
    if reference.scale and reference.scale.usable:
        gains = reference.scale.gains(torch.cat(result.style_features))
    scored = [
        row.model_copy(update={"scores": {**scores, "gain": gain}})
        for row, scores, gain in zip(crops.photos, result.scores, gains, strict=True)
    ]
    shown = spread_over_shots(scored, params.evaluate.grid)
    manifest.write(out, scored)
    if sizes:
        outputs.write_sizes(out, sizes)
    outputs.write_tables(out, table, {row.id: row.scores for row in scored})
    outputs.write_pictures(out, {row.id: compared.pairs[row.id] for row in shown})
    photo_of = {name: photo for name, (photo, _) in compared.pairs.items()}
    side_by_side = outputs.write_side_by_side(out, photo_of, compared.redrawn)
    photos, shots = (len({group_of(row) for row in rows}) for rows in (crops.photos, crops.unseen))
    findings = advice(table, photos, shots, generator.metadata)
    for finding in findings:
        if finding.level == "bad":
            log.warning("%s: %s", finding.title, finding.text)
    page = render_page(title, table, Pictures(scored, shown, compared.pairs, side_by_side), findings, generator.metadata)
    (out / outputs.PAGE).write_text(page, "utf-8")
    metrics = _metrics(table, len(crops.photos))
    return metrics | {f"{name}_{size}px": value for size, row in sizes.items() for name, value in row.items()}


def _measure_sizes(params: Params, data: Path, generator: TorchStylizer, reference: Reference) -> dict[int, dict[str, float]]:
    """Measure whole photos at several sizes, redrawn as in stage predict; nothing if there are none, or none are wanted."""
    photos, working_px = read_whole_photos(data.parent / params.dataset, params.evaluate.size_photos), params.predict.working_px
    if not photos:
        return {}
    stylizer = generator if working_px is None else ScaledStylizer(generator, working_px)
    return measure_sizes(photos, stylizer, build_style_scorer(photos, reference))


def _metrics(table: Table, photos: int) -> dict[str, float]:
    """Select the metrics of the result, those that say most first, and the photos' and the film's values to compare with."""
    result, metrics = table["result"], {"photos": float(photos)}
    first = ("score", "style_score", "style_score_error", "content_similarity")
    metrics |= {name: result[name] for name in first if name in result}
    metrics |= {name: value for name, value in result.items() if name not in metrics}
    if "lead" in table.get(PRETRAINED, {}):
        metrics |= {"training_gain": -table[PRETRAINED]["lead"], "training_gain_error": table[PRETRAINED]["lead_error"]}
    for name in ("kid_vgg19", "flatness", "line_strength"):
        metrics |= {f"{name}_{row}": table[row][name] for row in ("photo", "film") if name in table[row]}
    return metrics


def evaluate_files(
    params: Params, model: Path, others: Sequence[Path], out: Path, overwrite: bool, device: str | None = None
) -> dict[str, float]:
    """Evaluate a generator's file on the data set in data/, into the folder `out`; on failure `out` is left as it was.

    Args:
        others: files of more generators, to be measured for the same table.
        overwrite: replace an earlier evaluation in `out`.

    Returns:
        The metrics of the generator, which are also written to metrics.json.

    Raises:
        UserError: a file is not a generator, there are no crops, or `out` exists and may not be replaced.
    """
    files.check_replaceable(out, outputs.TABLE, "genga evaluate", overwrite)
    stylizers = {name: TorchStylizer.from_file(path, device) for name, path in name_models(model, others).items()}
    with files.replacing_folder(out) as partial:
        metrics = evaluate_generator(params, partial, stage.DATA, TorchStylizer.from_file(model, device), str(model), stylizers)
        files.write_json(partial / stage.METRICS, metrics)
    return metrics


def name_models(model: Path, others: Sequence[Path]) -> dict[str, Path]:
    """Return the files of `others` by name: the end of the path, without suffix, just long enough to tell all models apart.

    Raises:
        UserError: a model is listed twice, or its name is that of another row of the table.
    """
    paths = [path.with_suffix("").parts for path in (model, *others)]
    for length in range(1, max(map(len, paths)) + 1):
        names = ["/".join(parts[-length:]) for parts in paths]
        if len(set(names)) == len(names):
            break
    else:
        twice = next(path for index, path in enumerate((model, *others)) if paths.index(paths[index]) < index)
        raise UserError(f"{twice} is named twice: name each model once")
    if taken := RESERVED_NAMES & set(names[1:]):
        raise UserError(f"a model may not be called {', '.join(sorted(taken))}: rename its file")
    return dict(zip(names[1:], others, strict=True))
