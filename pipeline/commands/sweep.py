"""`genga sweep`: the experiments of this repository, compared on one page.

DVC knows them (`dvc exp show`), git keeps their parameters, DVC's cache what they made. Nothing is checked out and nothing is
run: the page is made of what each experiment's stage `evaluate` wrote.
"""

from __future__ import annotations

import fnmatch
import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.commands.experiments import WORKSPACE, Experiment, Pictures, pictures_of, read
from pipeline.commands.sweep_charts import Point, charts
from pipeline.core import files, stage
from pipeline.core.errors import UserError
from pipeline.web import sweep_page
from pipeline.web.evaluation_page import COLUMNS
from pipeline.web.sweep_page import Cell, Chart, Row, Shot, Sweep, Waiting, said

SHOWN_PARAMS = 6  # columns; of recipes against each other dozens differ
SHOWN_PICTURES = 24  # experiments, the best by score


def varied(experiments: Sequence[Experiment]) -> list[str]:
    """Keys whose values are not the same in all experiments, in the order of params.yaml."""
    told = [one.params for one in experiments if one.params]
    keys = dict.fromkeys(key for params in told for key in params)
    return [key for key in keys if len({json.dumps(params.get(key), sort_keys=True, default=str) for params in told}) > 1]


def order(value: Any) -> tuple[int, float, str]:
    """Sorts values of a parameter: numbers by size, then words, then what is not there."""
    if value is None:
        return 2, 0.0, ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return 0, float(value), ""
    return 1, 0.0, said(value)


def in_order(experiments: Sequence[Experiment], keys: Sequence[str]) -> list[Experiment]:
    """By the values of the varied parameters, the first of them first."""
    return sorted(experiments, key=lambda one: ([order(one.params.get(key)) for key in keys], one.name))


def choose(experiments: Sequence[Experiment], patterns: Sequence[str]) -> list[Experiment]:
    """Those whose names match a pattern, all of them where there is none; the workspace stays first.

    Raises:
        UserError: a pattern matches none.
    """
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(one.name, pattern) for one in experiments):
            names = ", ".join(one.name for one in experiments[1:]) or "none"
            raise UserError(f"no experiment is called {pattern}; there are: {names}")
    return [
        one
        for one in experiments
        if not patterns or one.state == "workspace" or any(fnmatch.fnmatchcase(one.name, pattern) for pattern in patterns)
    ]


def compare(experiments: Sequence[Experiment], shots: Mapping[str, Pictures]) -> Sweep:
    """Everything that the page says.

    Args:
        experiments: the workspace first.
        shots: pictures by the name of the experiment.

    Raises:
        UserError: there is no experiment, or none has been evaluated.
    """
    here, *swept = experiments
    if not swept:
        raise UserError(
            "no experiments grow from this commit: dvc exp run --queue -S 'loss.style_weight=1,5,25' evaluate, then dvc queue "
            "start; or --all for those of other commits"
        )
    measured = [one for one in swept if one.metrics]
    if not measured:
        raise UserError(
            "none of the experiments can be compared:\n  " + "\n  ".join(f"{one.name} {one.trouble}" for one in swept)
        )
    twins = [one.name for one in measured if (one.metrics, one.params) == (here.metrics, here.params)]
    shown = [*([here] if here.metrics and not twins else []), *measured]
    # More than what was swept may lie otherwise in the workspace; with one experiment there is nothing else to compare it with.
    keys = varied(measured if len(measured) > 1 else shown)
    columns = keys[:SHOWN_PARAMS]
    notes = {name: "is what lies in the workspace" for name in twins}
    if others := [key for key in varied(shown) if key not in keys]:
        notes[WORKSPACE] = "differs from all others in " + ", ".join(f"{key} {said(here.params.get(key))}" for key in others)
    rows = {
        one.name: Row(one.name, [one.params.get(key) for key in columns], one.metrics, notes.get(one.name, "")) for one in shown
    }
    ordered = in_order(shown, keys)
    best = max(measured, key=lambda one: one.metrics.get("score", -math.inf))
    return Sweep(
        params=columns,
        more_params=keys[SHOWN_PARAMS:],
        columns=[column for column in COLUMNS if any(column.name in one.metrics for one in shown)],
        rows=[rows[one.name] for one in sorted(ordered, key=lambda one: one is not here)],
        waiting=[_waiting(one, varied(swept)) for one in swept if not one.metrics]
        + ([Waiting(WORKSPACE, "", here.trouble)] if not here.metrics else []),
        best=rows[best.name] if "score" in best.metrics else None,
        apply=f"dvc exp apply {shlex.quote(best.name)}",
        close=sum(_within(one, best) for one in shown if one is not best),
        charts=_charts([one for one in ordered if one is not here or not others], keys),
        shots=_shots([one.name for one in ordered if one.name in shots], shots),
    )


def _within(experiment: Experiment, best: Experiment) -> bool:
    """Whether its style score lies within the standard error of the best one's."""
    told = ("style_score", "style_score_error")
    if "style_score" not in experiment.metrics or any(name not in best.metrics for name in told):
        return False
    return abs(experiment.metrics["style_score"] - best.metrics["style_score"]) <= best.metrics["style_score_error"]


def _waiting(experiment: Experiment, keys: Sequence[str]) -> Waiting:
    told = ", ".join(f"{key}={said(experiment.params[key])}" for key in keys[:SHOWN_PARAMS] if key in experiment.params)
    return Waiting(experiment.name, told, experiment.trouble)


def _charts(experiments: Sequence[Experiment], keys: Sequence[str]) -> list[Chart]:
    """Of one varied parameter or two: by the one that has more values, a line for each value of the other."""
    if not 1 <= len(keys) <= 2:
        return []
    by, *lines = sorted(keys, key=lambda key: -len({said(one.params.get(key)) for one in experiments}))
    line = lines[0] if lines else None
    points = [
        Point(one.params.get(by), None if line is None else one.params.get(line), one.metrics)
        for one in in_order(experiments, [by, *lines])
    ]
    return charts(by, line, points)


def _shots(names: Sequence[str], shots: Mapping[str, Pictures]) -> list[Shot]:
    """A row of pictures a photo, experiments across."""
    found: dict[str, Shot] = {}
    for name in names:
        for photo, (original, _) in shots[name].items():
            found.setdefault(
                photo, Shot(photo, original, [Cell(each, shots[each].get(photo, (b"", b""))[1]) for each in names])
            )
    return list(found.values())


def run(out: Path, patterns: Sequence[str] = (), all_commits: bool = False, project: Path = Path()) -> Sweep:
    """Write the page.

    Raises:
        UserError: there is nothing to compare, or `out` is something else.
    """
    if out.suffix != ".html":
        raise UserError(f"{out}: give the page a name that ends in .html")
    if out.exists() and not (out.is_file() and sweep_page.MARK.encode() in out.read_bytes()[:2000]):
        raise UserError(f"{out} was not written by genga sweep and stays: give another name")
    found = choose(read(project, all_commits), patterns)
    compare(found, {})  # what is wrong is said before pictures are fetched
    judged = sorted((one for one in found if one.metrics), key=lambda one: -one.metrics.get("score", -math.inf))
    best = judged[:SHOWN_PICTURES]
    shots = {one.name: made for one in stage.progress(best, "pictures", "experiments") if (made := pictures_of(one, project))}
    sweep = replace(compare(found, shots), left_out=len(judged) - len(best))
    out.parent.mkdir(parents=True, exist_ok=True)
    files.replace_text(out, sweep_page.page(sweep))
    return sweep
