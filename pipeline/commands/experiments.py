"""DVC experiments: their parameters, metrics and pictures, read without running or checking out anything."""

import csv
import io
import json
import math
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.core.errors import UserError, log

WORKSPACE = "workspace"
METRICS = "data/evaluate/metrics.json"
SCORES = "data/evaluate/scores.json"  # the few metrics that DVC's tables show
PICTURE_LIST = "data/evaluate/pictures.csv"
GENERATOR = "data/train/generator.safetensors"
MAX_LOG_LINE = 300  # characters
_ATTEMPTS = 5  # at reading a queue in which an experiment is starting or ending
_PAUSE_S = 1.0

Pictures = dict[str, tuple[bytes, bytes]]
"""Photo id -> photo and result, as JPEG files."""


@dataclass(frozen=True)
class Experiment:
    """An experiment, or the workspace."""

    name: str
    rev: str | None  # git revision; None is the workspace
    params: Mapping[str, Any]  # by dotted key
    metrics: Mapping[str, float]  # of stage evaluate; empty if there are none
    problem: str = ""  # why there are no metrics, and what to do


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested mappings to dotted keys (each after `prefix`), in order; lists and empty mappings stay as they are."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) and value else {f"{prefix}{key}": value}
    return flat


def parse_states(states: Sequence[Any]) -> list[Experiment]:
    """Convert the parsed output of `dvc exp show --json` to experiments, the workspace first, without commits."""
    if not states:
        return []
    experiments = [_experiment(WORKSPACE, None, states[0].get("data"))]
    for baseline in states[1:]:
        for entry in baseline.get("experiments") or []:
            revision, executor = entry["revs"][0], entry.get("executor") or {}
            rev = str(revision["rev"])
            name = str(entry.get("name") or revision.get("name") or rev[:7])
            match executor.get("state"):
                case "running":
                    problem = "is running: dvc queue status"
                case "queued":
                    problem = "is queued: dvc queue start"
                case "failed":
                    problem = _failure(name, (executor.get("local") or {}).get("log"))
                case _:
                    error = revision.get("error")
                    problem = f"cannot be read by DVC: {error.get('msg', '')}" if error else ""
            experiments.append(_experiment(name, rev, revision.get("data"), problem))
    return experiments


def _experiment(name: str, rev: str | None, data: Mapping[str, Any] | None, problem: str = "") -> Experiment:
    def content(kind: str, file: str) -> Mapping[str, Any]:
        parsed = (((data or {}).get(kind) or {}).get(file) or {}).get("data")
        return parsed if isinstance(parsed, Mapping) else {}

    # For an experiment that is queued, running or failed, DVC reports the metrics of the workspace it was started from.
    metrics = {} if problem else _finite(content("metrics", SCORES))
    if not metrics and not problem:
        problem = f"has no {SCORES}: run stage evaluate in it, or fetch it (dvc pull) if it ran on another machine"
    return Experiment(name, rev, flatten(content("params", "params.yaml")), metrics, problem)


def _finite(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Select the finite numbers."""
    return {
        key: float(value)
        for key, value in metrics.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def _failure(name: str, log_file: str | None) -> str:
    """Quote the first error of a stage, or else the last of DVC, from the log of a failed experiment."""
    command = f"dvc queue logs {shlex.quote(name)}"
    try:
        lines = Path(log_file).read_text("utf-8", "replace").splitlines() if log_file else []
    except OSError:
        lines = []
    errors = [line for line in lines if ": error: " in line] or [line for line in lines if line.startswith("ERROR: ")][-1:]
    return f"failed: {errors[0][:MAX_LOG_LINE]} (see {command})" if errors else f"failed: see {command}"


def read_experiments(project: Path, all_commits: bool = False) -> list[Experiment]:
    """Read the experiments based on the current commit (or on any), the workspace first.

    Raises:
        UserError: `project` is not a DVC and git repository with a commit, or an experiment is just starting or ending.
    """
    from dvc.exceptions import NotDvcRepoError
    from dvc.scm import NoSCM

    with _repository(project) as repo:
        if isinstance(repo.scm, NoSCM):
            raise UserError("experiments need git, and this DVC repository has none: git init, commit, then dvc exp run")
        for attempt in range(_ATTEMPTS):
            try:
                states = repo.experiments.show(all_commits=all_commits)
                break
            except NotDvcRepoError:  # the folder of an experiment that is just starting or ending (DVC 3.67)
                if attempt == _ATTEMPTS - 1:
                    raise UserError("an experiment of the queue is just starting or ending: try again") from None
                time.sleep(_PAUSE_S)
        experiments = parse_states([asdict(state) for state in states])
        if not experiments:
            raise UserError("the git repository has no commit: git add, git commit, then dvc exp run")
        if experiments[0].metrics and _params_changed(repo):
            problem = "was trained with another params.yaml: dvc repro evaluate"
            experiments[0] = replace(experiments[0], metrics={}, problem=problem)
    return [_with_all_metrics(experiment, project) for experiment in experiments]


@contextmanager
def _repository(project: Path) -> Iterator[Any]:
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo

    try:
        repo = Repo(str(project))
    except NotDvcRepoError:
        raise UserError(f"{project.resolve()} is not a DVC repository: run from the project's folder") from None
    with repo:
        yield repo


def _params_changed(repo: Any) -> bool:
    """Return whether params.yaml has changed since the workspace was trained or evaluated."""
    from dvc.dependency.param import ParamsDependency

    stages = [stage for stage in repo.index.stages if getattr(stage, "name", "") in ("pretrain", "train", "evaluate")]
    return any(dep.workspace_status() for stage in stages for dep in stage.deps if isinstance(dep, ParamsDependency))


def _with_all_metrics(experiment: Experiment, project: Path) -> Experiment:
    """Add the metrics that DVC's tables do not show; drop all if they are of an earlier generator (only stage train ran)."""
    if not experiment.metrics:
        return experiment
    if experiment.rev is None:
        return replace(experiment, metrics=_finite(json.loads((project / METRICS).read_bytes())))
    with closing(_files(experiment, project)) as files:
        lock = YAML(typ="safe", pure=True).load(files.read_bytes("dvc.lock"))
        deps = (lock.get("stages", {}).get("evaluate") or {}).get("deps") or []
        evaluated = {dep.get("path"): dep.get("md5") for dep in deps}.get(GENERATOR)
        if not files.exists(GENERATOR) or evaluated is None or evaluated == files.info(GENERATOR).get("md5"):
            return replace(experiment, metrics=_finite(json.loads(files.read_bytes(METRICS))))
    return replace(experiment, metrics={}, problem="was trained but not evaluated: its metrics are of an earlier generator")


def _files(experiment: Experiment, project: Path) -> Any:
    """Open the files of an experiment, with those in DVC's cache."""
    from dvc.api import DVCFileSystem

    return DVCFileSystem(url=str(project.resolve()), rev=experiment.rev)


def read_pictures(experiment: Experiment, project: Path) -> Pictures:
    """Read the photos and results that stage evaluate wrote in an experiment; {}, with a warning, if that fails."""
    try:
        if experiment.rev is None:
            return parse_picture_list((project / PICTURE_LIST).read_bytes(), lambda name: (project / name).read_bytes())
        with closing(_files(experiment, project)) as files:
            return parse_picture_list(files.read_bytes(PICTURE_LIST), files.read_bytes)
    except (OSError, KeyError, UnicodeDecodeError, csv.Error) as error:
        log.warning("%s: no pictures (%s): run stage evaluate in it again", experiment.name, error)
        return {}


def parse_picture_list(table: bytes, read_bytes: Callable[[str], bytes]) -> Pictures:
    """Read the pictures listed in `table`, the content of pictures.csv; `read_bytes` takes a file's path in the project."""
    folder = Path(PICTURE_LIST).parent.as_posix()
    rows = csv.DictReader(io.StringIO(table.decode()))
    return {row["id"]: (read_bytes(f"{folder}/{row['photo']}"), read_bytes(f"{folder}/{row['result']}")) for row in rows}
