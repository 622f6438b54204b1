"""DVC's experiments, as its own `dvc exp show` knows them, and what each one made. Nothing is checked out, nothing is run."""

from __future__ import annotations

import csv
import io
import logging
import math
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ruamel.yaml import YAML

from pipeline.core.errors import UserError

State = Literal["workspace", "done", "running", "queued", "failed"]

WORKSPACE = "workspace"
METRICS = "data/evaluate/metrics.json"
LISTED = "data/evaluate/pictures.csv"
GENERATOR = "data/train/generator.safetensors"
_STATES: dict[str, State] = {"queued": "queued", "running": "running", "failed": "failed"}  # what DVC says; all else is done
_PATIENCE = 5  # looks at a queue in which an experiment is just beginning or ending
_PAUSE_S = 1.0
MAX_COMPLAINT = 300  # characters

Pictures = dict[str, tuple[bytes, bytes]]
"""A photo's id -> photo and result, as JPEG."""

log = logging.getLogger("genga")


@dataclass(frozen=True)
class Experiment:
    """What DVC knows of one, or of the project as it lies."""

    name: str
    rev: str | None  # where what it made can be opened; None is the project's folder
    state: State
    params: Mapping[str, Any]  # by dotted key
    metrics: Mapping[str, float]  # of stage evaluate; none where there are none
    trouble: str = ""  # why there are none, and the remedy


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested sections as dotted keys, in their order; lists stay whole."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            found |= flatten(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def of_states(states: Sequence[Any]) -> list[Experiment]:
    """Experiments as `dvc exp show --json` tells of them, the workspace first."""
    found = [_of_state(WORKSPACE, None, "workspace", states[0].get("data") or {})] if states else []
    for baseline in states[1:]:
        for one in baseline.get("experiments") or []:
            revision = one["revs"][0]
            rev = str(revision["rev"])
            name = str(one.get("name") or revision.get("name") or rev[:7])
            state = _STATES.get(str((one.get("executor") or {}).get("state")), "done")
            made = _of_state(name, rev, state, revision.get("data") or {})
            if state == "failed":
                made = replace(made, trouble=_failure(name, (one["executor"].get("local") or {}).get("log")))
            if revision.get("error") and state == "done":
                made = replace(made, trouble=f"DVC cannot read it: {revision['error'].get('msg', '')}")
            found.append(made)
    return found


def _of_state(name: str, rev: str | None, state: State, data: Mapping[str, Any]) -> Experiment:
    params = _told(data.get("params"), "params.yaml")
    # Of one that is queued, running or failed, DVC tells the numbers that lay in the workspace when it began.
    numbers = _told(data.get("metrics"), METRICS) if state in ("done", "workspace") else {}
    metrics = {
        key: float(value)
        for key, value in numbers.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }
    trouble = {
        "running": "is running: dvc queue status",
        "queued": "waits: dvc queue start",
    }.get(state, "")
    if not trouble and not metrics and state != "failed":
        trouble = f"has no {METRICS}: run stage evaluate in it, or fetch it (dvc pull) if it is another machine's"
    return Experiment(name, rev, state, flatten(params), metrics, trouble)


def _failure(name: str, log_file: str | None) -> str:
    """What the log of one that failed says: the first complaint of a stage, else the last of DVC."""
    remedy = f"dvc queue logs {shlex.quote(name)} tells all"
    try:
        lines = Path(log_file or "").read_text("utf-8", "replace").splitlines() if log_file else []
    except OSError:
        lines = []
    said = [line for line in lines if ": error: " in line] or [line for line in lines if line.startswith("ERROR: ")][-1:]
    return f"failed: {said[0][:MAX_COMPLAINT]} ({remedy})" if said else f"failed: {remedy}"


def _told(files: Any, name: str) -> Mapping[str, Any]:
    """What DVC read of a file; nothing where it could not."""
    data = ((files or {}).get(name) or {}).get("data")
    return data if isinstance(data, Mapping) else {}


def read(project: Path, all_commits: bool = False) -> list[Experiment]:
    """Every experiment that grew from the present commit (or from any), the workspace first.

    Raises:
        UserError: no DVC or git repository here, or no commit yet.
    """
    with _repository(project) as repo:
        from dvc.exceptions import NotDvcRepoError
        from dvc.scm import NoSCM

        if isinstance(repo.scm, NoSCM):
            raise UserError("DVC works without git here, and so without experiments: git init, commit, then dvc exp run")
        for look in range(_PATIENCE):
            try:
                states = repo.experiments.show(all_commits=all_commits)
                break
            except NotDvcRepoError:  # the folder of one that is just beginning or ending (DVC 3.67)
                if look == _PATIENCE - 1:
                    raise UserError("an experiment of the queue is just beginning or ending: try again") from None
                time.sleep(_PAUSE_S)
        found = of_states([asdict(state) for state in states])
        if not found:
            raise UserError("git has no commit here yet: git add, git commit, then dvc exp run")
        if found[0].metrics and _params_changed(repo):
            found[0] = replace(found[0], metrics={}, trouble="has another params.yaml than it was trained by: dvc repro")
    return [_doubted(one, project) for one in found]


@contextmanager
def _repository(project: Path) -> Iterator[Any]:
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo

    try:
        repo = Repo(str(project))
    except NotDvcRepoError:
        raise UserError(f"{project.resolve()} is no DVC repository: run from the project's folder") from None
    with repo:
        yield repo


def _params_changed(repo: Any) -> bool:
    """Whether params.yaml says other than what the workspace's training or evaluation was made by."""
    from dvc.dependency.param import ParamsDependency

    stages = [one for one in repo.index.stages if getattr(one, "name", "") in ("pretrain", "train", "evaluate")]
    return any(dep.workspace_status() for one in stages for dep in one.deps if isinstance(dep, ParamsDependency))


def _doubted(experiment: Experiment, project: Path) -> Experiment:
    """Without its numbers where they are of another generator: an experiment that ran `train` alone has those of before."""
    if experiment.rev is None or not experiment.metrics:
        return experiment
    files = _files(experiment, project)
    lock = YAML(typ="safe", pure=True).load(files.read_bytes("dvc.lock"))
    judged = {dep.get("path"): dep.get("md5") for dep in (lock.get("stages", {}).get("evaluate") or {}).get("deps") or []}.get(
        GENERATOR
    )
    if not files.exists(GENERATOR) or judged is None or judged == files.info(GENERATOR).get("md5"):
        return experiment
    return replace(experiment, metrics={}, trouble="was trained but not evaluated: its numbers are of the generator before it")


def _files(experiment: Experiment, project: Path) -> Any:
    """The files of an experiment, those in DVC's cache too."""
    from dvc.api import DVCFileSystem

    return DVCFileSystem(url=str(project.resolve()), rev=experiment.rev)


def pictures_of(experiment: Experiment, project: Path) -> Pictures:
    """Photo and result (JPEG) by the photo's id, of those that stage evaluate wrote; nothing where they cannot be had."""
    try:
        if experiment.rev is None:
            return listed((project / LISTED).read_bytes(), lambda name: (project / name).read_bytes())
        files = _files(experiment, project)
        return listed(files.read_bytes(LISTED), files.read_bytes)
    except (OSError, KeyError, UnicodeDecodeError, csv.Error) as error:
        log.warning("%s: no pictures (%s): run stage evaluate in it again", experiment.name, error)
        return {}


def listed(table: bytes, read_bytes: Callable[[str], bytes]) -> Pictures:
    """The pictures that stage evaluate's list names."""
    folder = Path(LISTED).parent.as_posix()
    rows = csv.DictReader(io.StringIO(table.decode()))
    return {row["id"]: (read_bytes(f"{folder}/{row['photo']}"), read_bytes(f"{folder}/{row['result']}")) for row in rows}
