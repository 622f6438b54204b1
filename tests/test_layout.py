"""The rules of the house, told by a test and not by a reviewer."""

from __future__ import annotations

import ast
import graphlib
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.core import source_code
from pipeline.params.schema import Params, load

ROOT = Path(__file__).parent.parent
PACKAGES = ("pipeline", "models")


def yaml(name: str) -> Any:
    return YAML(typ="safe", pure=True).load((ROOT / name).read_text("utf-8"))


def stages() -> dict[str, Any]:
    return {name: stage.get("do", stage) for name, stage in yaml("dvc.yaml")["stages"].items()}


def module_of(stage: dict[str, Any]) -> str:
    found = re.fullmatch(r"python -m (pipeline\.\w+)( (\w+/)?(\$\{key\}|photos))?", stage["cmd"])
    assert found, stage["cmd"]
    return found[1]


STAGE_MODULES = {name: module_of(stage) for name, stage in stages().items()}


def modules() -> list[str]:
    """Every module of the project but the charters of folders."""
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")) if path.name != "__init__.py"]
    return [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]


MODULES = modules()
FOLDERS = sorted({path.parent for path in (ROOT / "pipeline").rglob("*.py")} - {ROOT / "pipeline"})


def folder_of(module: str) -> str:
    """What a stage's dependency on a module is called in dvc.yaml: a folder, or the stage's own file."""
    parts = module.split(".")
    if parts[0] == "models":
        return "models"
    return "/".join(parts[:2]) if len(parts) > 2 else f"{parts[0]}/{parts[1]}.py"


def arrows() -> dict[str, set[str]]:
    """Which folders of pipeline/ (and models/) each folder imports from; stages and cli.py count as one, the top."""
    found: dict[str, set[str]] = {}
    for module in MODULES:
        here = folder_of(module).removesuffix(".py") if module.count(".") > 1 or module.startswith("models") else "top"
        for name in source_code.imports(module):
            if name in MODULES:
                there = folder_of(name) if name.count(".") > 1 or name.startswith("models") else "top"
                if there != here:
                    found.setdefault(here, set()).add(there)
    return found


def test_what_these_tests_look_over_is_there() -> None:
    assert len(MODULES) > 100 and len(STAGE_MODULES) >= 18
    assert {name.split(".")[0] for name in MODULES} == set(PACKAGES)


def test_only_stages_and_the_command_line_lie_at_the_top() -> None:
    top = {name for name in MODULES if name.startswith("pipeline.") and name.count(".") == 1}
    assert top == set(STAGE_MODULES.values()) | {"pipeline.cli"}


def test_folders_have_a_charter_and_company() -> None:
    assert 10 <= len(FOLDERS) <= 16
    for folder in FOLDERS:
        charter = ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8")))
        assert charter and "\n" not in charter, folder
        assert len(list(folder.glob("*.py"))) > 2, f"{folder} holds a single module"


def test_imports_between_folders_run_one_way() -> None:
    found = arrows()
    assert sum(map(len, found.values())) > 20
    tuple(graphlib.TopologicalSorter({here: there - {"top"} for here, there in found.items()}).static_order())
    assert found.get("models", set()) == set()
    assert [here for here, there in found.items() if "top" in there] in ([], ["pipeline/commands"])
    assert not found.get("pipeline/core")


@pytest.mark.parametrize("module", STAGE_MODULES.values())
def test_a_stage_never_imports_a_stage(module: str) -> None:
    assert not source_code.imports(module) & set(STAGE_MODULES.values()) - {module}


@pytest.mark.parametrize("name", STAGE_MODULES)
def test_code_deps_of_a_stage_are_the_folders_of_its_import_closure(name: str) -> None:
    listed = [dep for dep in stages()[name]["deps"] if dep.split("/")[0] in PACKAGES]
    files = source_code.closure(STAGE_MODULES[name])
    assert len(files) > 5
    wanted = {folder_of(".".join(file.relative_to(ROOT).with_suffix("").parts)) for file in files}
    assert sorted(listed) == sorted(wanted)


@pytest.mark.parametrize("name", STAGE_MODULES)
def test_params_of_a_stage_are_those_it_reads(name: str) -> None:
    """`params.section` anywhere in a stage's closure; `workers` changes nothing in what comes out and is left out."""
    listed = {key.split(".")[0] for key in stages()[name].get("params", [])}
    read: set[str] = set()
    for file in source_code.closure(STAGE_MODULES[name]):
        read |= set(re.findall(r"\bparams\.(\w+)", file.read_text("utf-8"))) & set(Params.model_fields)
    # One module serves both kinds of source; a stage of it reads the one entry that it is made for.
    other = {"keyframes": "footage", "footage": "films"}.get(name)
    assert listed == read - {"workers", other}


def test_models_do_no_io() -> None:
    for path in (ROOT / "models").glob("*.py"):
        text = path.read_text("utf-8")
        assert not re.search(r"\bopen\(|\bPath\(|import logging|import urllib|load_state_dict_from_url|print\(", text), path


def test_outs_are_ignored_by_git() -> None:
    ignored = (ROOT / ".gitignore").read_text("utf-8").splitlines()
    outs = {"/".join(str(out).split("/")[:2]) for stage in stages().values() for out in stage["outs"]}
    assert len(outs) >= 10
    assert all(f"/{out}" in ignored for out in outs)


def test_pictures_are_named_once() -> None:
    """DVC looks at each file of a folder each time that one is named: who reads pictures names what is told of them."""
    pictures = {out for stage in stages().values() for out in stage["outs"] if "/pictures/" in out}
    assert len(pictures) == 7
    for name, stage in stages().items():
        for dep in stage["deps"]:
            assert not [out for out in pictures if f"{out}/".startswith(f"{dep}/") or dep.startswith(f"{out}/")], (name, dep)
    photographs = [name for name, stage in stages().items() if "${photos}" in stage["deps"]]
    assert photographs == ["photo_index"]


def test_stages_have_tests_and_one_name_everywhere() -> None:
    for name, module in STAGE_MODULES.items():
        short = module.split(".")[1]
        assert name in (short, "footage", f"{short}_footage", f"{short}_photos"), "the stage is called as its module"
        assert (ROOT / "tests" / f"test_{short}.py").exists()
        # What photographs are judged by stands under dedup, and what the style profile may choose under pseudo_targets.
        assert short in Params.model_fields or short in ("photo_index", "style_profile")


def test_every_parameter_is_described_and_committed_values_pass() -> None:
    def walk(model: Any, prefix: str) -> list[str]:
        bad = []
        for name, field in model.model_fields.items():
            if isinstance(field.annotation, type) and hasattr(field.annotation, "model_fields"):
                bad += walk(field.annotation, f"{prefix}{name}.")
            elif not field.description:
                bad.append(prefix + name)
        return bad

    assert not walk(Params, "")
    assert load(ROOT / "params.yaml")


def test_readme_describes_every_stage_in_its_table() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)`[^|]*\| (.+) \|$", readme, re.M)
    assert sorted(name for name, _ in rows) == sorted({module.split(".")[1] for module in STAGE_MODULES.values()})
    assert all(len(text) > 20 for _, text in rows)
    variants = {name for name, module in STAGE_MODULES.items() if name != module.split(".")[1]}
    assert variants and {"make repro", "make test"} <= set(re.findall(r"^(make \w+)", readme, re.M))
    assert len(readme.splitlines()) < 150
