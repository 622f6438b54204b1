"""Which stages run again when a module of a folder changes: one JSON object for each folder of code.

    python -m benchmarks.rerun [--confirm PROJECT]

Computed from dvc.yaml, whose dependencies a test compares with the import closure of each stage. `value` counts the stages that
depend on the folder itself; stages after them run again only if outputs change, and `baseline` counts those too. With --confirm
a module of each folder is edited in a project that `dvc repro` has completed, and `dvc status` is asked; the file is restored.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML

from benchmarks.output import print_result

ROOT = Path(__file__).parent.parent


class Rerun(NamedTuple):
    """The stages that a change of a folder of code affects."""

    folder: str
    direct: list[str]
    """Stages that depend on the folder; they run again."""
    later: list[str]
    """Stages that read their outputs, directly or not; they run again if these change."""


def load_stages(project: Path) -> dict[str, dict[str, Any]]:
    """The stages of dvc.yaml; one that runs for each source counts as one."""
    tree = YAML(typ="safe", pure=True).load((project / "dvc.yaml").read_text("utf-8"))
    return {name: stage.get("do", stage) for name, stage in tree["stages"].items()}


def code_folders(stages: dict[str, dict[str, Any]], project: Path) -> list[str]:
    """List all folders of code: those that stages depend on, and the others."""
    named = {dep for stage in stages.values() for dep in stage["deps"] if re.match(r"(pipeline/\w+|models)$", dep)}
    return sorted(named | {path.parent.relative_to(project).as_posix() for path in project.glob("pipeline/*/__init__.py")})


def affected(folder: str, stages: dict[str, dict[str, Any]], values: dict[str, Any]) -> Rerun:
    """Follow a change of a folder through the stages; `values` are those of params.yaml, to which dependencies may refer."""

    def path(text: str) -> str:
        first_film = str(next(iter(values.get("films", {}).values()), "*"))
        text = text.replace("${item}", first_film).replace("${key}", "*")
        return re.sub(r"\$\{([\w.]+)\}", lambda found: str(_lookup(values, found[1])), text)

    def meet(dep: str, out: str) -> bool:
        return f"{path(dep)}/".startswith(f"{path(out)}/") or f"{path(out)}/".startswith(f"{path(dep)}/")

    direct = [name for name, stage in stages.items() if folder in stage["deps"]]
    changed, waiting = set(direct), list(direct)
    while waiting:
        outs = [out if isinstance(out, str) else next(iter(out)) for out in stages[waiting.pop()]["outs"]]
        found = {
            name
            for name, stage in stages.items()
            if name not in changed and any(meet(dep, out) for dep in stage["deps"] for out in outs)
        }
        changed |= found
        waiting += found
    return Rerun(folder, direct, [name for name in stages if name in changed and name not in direct])


def confirm(folder: str, project: Path) -> list[str]:
    """Edit the first module of a folder in a completed project, and ask `dvc status` which stages it affects.

    Raises:
        RuntimeError: the project has not been completed, so that other dependencies have changed too.
    """
    file = next(path for path in sorted((project / folder).rglob("*.py")) if path.name != "__init__.py")
    content = file.read_bytes()
    try:
        file.write_bytes(content + b"\n# edited by benchmarks.rerun\n")
        done = subprocess.run(["dvc", "status", "--json"], cwd=project, capture_output=True, text=True, check=True)
    finally:
        file.write_bytes(content)
    stages: dict[str, Any] = json.loads(done.stdout)
    for name, entries in stages.items():
        deps = [dep for entry in entries if isinstance(entry, dict) for dep in entry.get("changed deps", {})]
        if deps != [folder]:
            raise RuntimeError(f"{name} is not up to date in {project} ({', '.join(deps)}): run dvc repro there first")
    return sorted({name.split("@")[0] for name in stages})


def _lookup(values: Any, key: str) -> Any:
    for part in key.split("."):
        values = values[part]
    return values


def main(arguments: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--confirm", type=Path, metavar="PROJECT", help="a clone of this project in which dvc repro has run")
    project = parser.parse_args(None if arguments is None else list(arguments)).confirm
    stages = load_stages(ROOT)
    values = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text("utf-8"))
    for folder in code_folders(stages, ROOT):
        rerun = affected(folder, stages, values)
        notes = f"{folder}: {', '.join(rerun.direct) or 'none'}; if outputs change: {', '.join(rerun.later) or 'none'}"
        if project is not None:
            # Stages of footage have no status in a project without footage.
            expected = sorted(name for name in rerun.direct if not name.endswith("footage") or values["footage"])
            notes += f"; dvc status says {'the same' if confirm(folder, project) == expected else 'otherwise'}"
        print_result("stages_rerun", len(rerun.direct), "stages", len(rerun.direct) + len(rerun.later), notes=notes)


if __name__ == "__main__":
    main()
