"""`genga sweep`: compare the DVC experiments of this repository on one page.

It reads what stage `evaluate` wrote in each experiment, from git and DVC's cache; nothing is run or checked out.
"""

import fnmatch
import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.commands.experiments import WORKSPACE, Experiment, Pictures, read_experiments, read_pictures
from pipeline.commands.sweep_charts import Point, draw_scores
from pipeline.core import files, stage
from pipeline.core.errors import UserError
from pipeline.web.charts import Chart
from pipeline.web.metric_columns import COLUMNS, Column, Row
from pipeline.web.render import format_number, format_param, render

MAX_PARAMS = 6  # columns for parameters; recipes differ in dozens
MAX_PICTURED = 24  # experiments whose pictures are shown, the best by score
_MAX_NAME, _TERMINAL_COLUMNS = 32, 120
MARKER = '<meta name="generator" content="genga sweep">'
"""Identifies a page of genga sweep: no other file is ever overwritten."""


@dataclass(frozen=True)
class Sweep:
    """The content of the page."""

    params: Sequence[str]  # varied parameters that have a column
    more_params: Sequence[str]  # those that have none
    columns: Sequence[Column]
    rows: Sequence[Row]
    missing: Sequence[Experiment]  # those without metrics
    missing_params: Sequence[str]  # what was varied with those
    best: Row | None
    apply: str  # the command that applies the best experiment
    indistinguishable: int  # other experiments whose style_score is within one standard error of the best one's
    chart: Chart | None
    ordered: Sequence[Row]  # by the varied parameters
    pictures: Mapping[str, Pictures] = field(default_factory=dict)  # by the name of the experiment
    hidden: int = 0  # experiments whose pictures are not shown


def varied_params(experiments: Sequence[Experiment]) -> list[str]:
    """List the keys whose values differ between experiments, in the order of params.yaml; those without params do not count."""
    all_params = [experiment.params for experiment in experiments if experiment.params]
    keys = dict.fromkeys(key for params in all_params for key in params)
    return [key for key in keys if len({json.dumps(params.get(key), sort_keys=True, default=str) for params in all_params}) > 1]


def sort_key(value: Any) -> tuple[int, float, str]:
    """Return a sorting key for a value of a parameter: numbers by size, then all else by its text, then missing values."""
    if value is None:
        return 2, 0.0, ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return 0, float(value), ""
    return 1, 0.0, format_param(value)


def sort_by_params(experiments: Sequence[Experiment], keys: Sequence[str]) -> list[Experiment]:
    """Sort experiments by the values of parameters (the first key decides first), then by name."""
    return sorted(experiments, key=lambda exp: ([sort_key(exp.params.get(key)) for key in keys], exp.name))


def select(experiments: Sequence[Experiment], patterns: Sequence[str]) -> list[Experiment]:
    """Select the workspace and the experiments whose names match any pattern (`*`, `?`, `[ab]`); all if there is no pattern.

    Raises:
        UserError: a pattern matches nothing.
    """
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(exp.name, pattern) for exp in experiments):
            names = ", ".join(exp.name for exp in experiments[1:]) or "none"
            raise UserError(f"no experiment is called {pattern}; there are: {names}")
    return [
        exp
        for exp in experiments
        if not patterns or exp.rev is None or any(fnmatch.fnmatchcase(exp.name, pattern) for pattern in patterns)
    ]


def compare(experiments: Sequence[Experiment]) -> Sweep:
    """Compare experiments, without their pictures.

    Args:
        experiments: the workspace first.

    Raises:
        UserError: there is no experiment, or none has been evaluated.
    """
    workspace, *swept = experiments
    if not swept:
        raise UserError(
            "no experiments are based on this commit: dvc exp run --queue -S 'loss.style_weight=1,5,25' evaluate, then dvc "
            "queue start; or --all for those of other commits"
        )
    evaluated = [exp for exp in swept if exp.metrics]
    if not evaluated:
        raise UserError("no experiment has metrics:\n  " + "\n  ".join(f"{exp.name} {exp.problem}" for exp in swept))
    same = [exp.name for exp in evaluated if (exp.metrics, exp.params) == (workspace.metrics, workspace.params)]
    shown = [*([workspace] if workspace.metrics and not same else []), *evaluated]
    # The workspace may differ in more than was swept; a single experiment can only be compared with the workspace.
    keys = varied_params(evaluated if len(evaluated) > 1 else shown)
    notes = dict.fromkeys(same, "is the same as the workspace")
    if others := [key for key in varied_params(shown) if key not in keys]:
        values = (f"{key} {format_param(workspace.params.get(key))}" for key in others)
        notes[WORKSPACE] = "differs from all others in " + ", ".join(values)
    ordered = sort_by_params(shown, keys)
    params = keys[:MAX_PARAMS]
    rows = {
        exp.name: Row(exp.name, exp.metrics, [exp.params.get(key) for key in params], notes.get(exp.name, ""))
        for exp in ordered
    }
    best = max(evaluated, key=_score)
    return Sweep(
        params=params,
        more_params=keys[MAX_PARAMS:],
        columns=[column for column in COLUMNS if any(column.name in exp.metrics for exp in shown)],
        rows=sorted(rows.values(), key=lambda row: row.name != WORKSPACE),
        missing=[exp for exp in [*swept, workspace] if not exp.metrics],
        missing_params=varied_params(swept)[:MAX_PARAMS],
        best=rows[best.name] if "score" in best.metrics else None,
        apply=f"dvc exp apply {shlex.quote(best.name)}",
        indistinguishable=sum(_indistinguishable(exp, best) for exp in shown if exp is not best),
        chart=_chart([exp for exp in ordered if exp is not workspace or not others], keys),
        ordered=[*rows.values()],
    )


def _score(experiment: Experiment) -> float:
    return experiment.metrics.get("score", -math.inf)


def _indistinguishable(experiment: Experiment, best: Experiment) -> bool:
    """Return whether the style_scores differ by at most the best one's error (approximate: both are of the same photos)."""
    difference = experiment.metrics.get("style_score", math.inf) - best.metrics.get("style_score", math.nan)
    return abs(difference) <= best.metrics.get("style_score_error", -1.0)


def _chart(experiments: Sequence[Experiment], keys: Sequence[str]) -> Chart | None:
    """Draw the scores over one varied parameter or two: over that with more values, a line for each value of the other."""
    if not 1 <= len(keys) <= 2:
        return None
    x, *lines = sorted(keys, key=lambda key: -len({format_param(exp.params.get(key)) for exp in experiments}))
    line = lines[0] if lines else None
    points = [
        Point(exp.params.get(x), None if line is None else exp.params.get(line), exp.metrics)
        for exp in sort_by_params(experiments, [x, *lines])
    ]
    return draw_scores(x, line, points)


def terminal_table(sweep: Sweep) -> list[str]:
    """Format the scores as lines for a terminal of 120 columns, the best first; parameters that do not fit are left out."""
    fixed = ["score", "style_score", "+-", "content_similarity"]
    keys = list(sweep.params)
    while True:
        rows = [["experiment", *keys, *fixed]]
        for row in sorted(sweep.rows, key=lambda row: -row.metrics.get("score", -math.inf)):
            numbers = [row.metrics.get(name.replace("+-", "style_score_error")) for name in fixed]
            texts = ["-" if number is None else f"{number:.3f}" for number in numbers]
            values = dict(zip(sweep.params, row.params, strict=True))
            rows.append([row.name[:_MAX_NAME], *(format_param(values[key])[:_MAX_NAME] for key in keys), *texts])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        if sum(widths) + 2 * len(widths) <= _TERMINAL_COLUMNS or not keys:
            return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        keys.pop()


def describe_best(sweep: Sweep, best: Row) -> str:
    """Describe the best experiment in one line, and how many others are as good as it."""
    close = f"; {sweep.indistinguishable} of the others are within its error: choose by eye" if sweep.indistinguishable else ""
    return f"best by score: {best.name} ({best.metrics['score']:.3f}){close}; to apply it: {sweep.apply}"


def render_page(sweep: Sweep) -> str:
    """Return the page as HTML, with the pictures in it."""
    figures = []
    if best := sweep.best:
        scores = ("score", "style_score", "content_similarity")
        figures = [(format_number(best.metrics[name]), f"its {name}") for name in scores if name in best.metrics]
        figures = [(best.name, "best by score"), *figures]
    return render(
        "sweep.html",
        marker=MARKER,
        key_figures=figures,
        row_kind="experiment",
        highlighted=best.name if best else None,
        pictured=[row for row in sweep.ordered if row.name in sweep.pictures],
        photos={name: photo for found in sweep.pictures.values() for name, (photo, _) in found.items()},
        **vars(sweep),
    )


def run(out: Path, patterns: Sequence[str] = (), all_commits: bool = False, project: Path = Path()) -> Sweep:
    """Compare the experiments of a project and write the page to `out`; return its content.

    Raises:
        UserError: there is nothing to compare, or `out` does not end in .html or is a file that genga sweep did not write.
    """
    if out.suffix != ".html":
        raise UserError(f"{out}: the page needs a name that ends in .html")
    if out.exists() and not (out.is_file() and MARKER.encode() in out.read_bytes()[:2000]):
        raise UserError(f"{out} was not written by genga sweep and is not replaced: choose another name")
    experiments = select(read_experiments(project, all_commits), patterns)
    sweep = compare(experiments)
    ranked = sorted((exp for exp in experiments if exp.metrics), key=_score, reverse=True)
    found = {exp.name: read_pictures(exp, project) for exp in stage.progress(ranked[:MAX_PICTURED], "pictures", "experiments")}
    pictures = {name: own for name, own in found.items() if own}
    sweep = replace(sweep, pictures=pictures, hidden=len(ranked[MAX_PICTURED:]))
    out.parent.mkdir(parents=True, exist_ok=True)
    files.replace_text(out, render_page(sweep))
    return sweep
