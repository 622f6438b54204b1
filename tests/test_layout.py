"""The rules of the house, told by a test and not by a reviewer."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.params import Params, load

ROOT = Path(__file__).parent.parent
PACKAGES = ("pipeline", "models")
# A higher layer may import a lower one, never the other way.
LAYERS = {"pipeline": 1, "models": 0}


def yaml(name: str) -> Any:
    return YAML(typ="safe", pure=True).load((ROOT / name).read_text("utf-8"))


def stages() -> dict[str, Any]:
    return {name: stage.get("do", stage) for name, stage in yaml("dvc.yaml")["stages"].items()}


def module_of(stage: dict[str, Any]) -> str:
    found = re.fullmatch(r"python -m (pipeline\.\w+)( (\w+/)?(\$\{key\}|photos))?", stage["cmd"])
    assert found, stage["cmd"]
    return found[1]


STAGE_MODULES = {name: module_of(stage) for name, stage in stages().items()}


def path_of(module: str) -> Path | None:
    path = ROOT / (module.replace(".", "/") + ".py")
    package = ROOT / module.replace(".", "/") / "__init__.py"
    return path if path.exists() else package if package.exists() else None


@cache
def imports(module: str) -> frozenset[str]:
    """Modules of this project that a module imports, anywhere in its text."""
    path = path_of(module)
    assert path is not None, module
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(name for name in names if name.split(".")[0] in LAYERS and path_of(name) is not None)


def closure(module: str) -> set[str]:
    """The files that a module's behaviour comes from, relative to the project's folder."""
    todo, seen = [module], set()
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += imports(name)
    files = (path_of(name) for name in seen)
    return {file.relative_to(ROOT).as_posix() for file in files if file is not None and file.name != "__init__.py"}


def all_modules() -> list[str]:
    found = [f"{p}.{path.stem}" for p in PACKAGES for path in sorted((ROOT / p).glob("*.py")) if path.stem != "__init__"]
    assert len(found) > 15
    return found


@pytest.mark.parametrize("module", all_modules())
def test_imports_point_down(module: str) -> None:
    layer = LAYERS[module.split(".")[0]]
    assert all(LAYERS[name.split(".")[0]] <= layer for name in imports(module))


@pytest.mark.parametrize("module", STAGE_MODULES.values())
def test_a_stage_never_imports_a_stage(module: str) -> None:
    assert not imports(module) & set(STAGE_MODULES.values()) - {module}


@pytest.mark.parametrize("name", STAGE_MODULES)
def test_deps_of_a_stage_are_its_import_closure(name: str) -> None:
    code = {dep for dep in stages()[name]["deps"] if dep.endswith(".py")}
    assert code == closure(STAGE_MODULES[name])


@pytest.mark.parametrize("name", STAGE_MODULES)
def test_params_of_a_stage_are_those_it_reads(name: str) -> None:
    """`params.section` anywhere in a stage's closure; `workers` changes nothing in what comes out and is left out."""
    listed = {key.split(".")[0] for key in stages()[name].get("params", [])}
    read: set[str] = set()
    for file in closure(STAGE_MODULES[name]) - {"pipeline/params.py"}:
        read |= set(re.findall(r"\bparams\.(\w+)", (ROOT / file).read_text("utf-8"))) & set(Params.model_fields)
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
    assert photographs == ["stills"]


def test_stages_have_tests_and_one_name_everywhere() -> None:
    for name, module in STAGE_MODULES.items():
        short = module.split(".")[1]
        assert name in (short, "footage", f"{short}_footage", f"{short}_photos"), "the stage is called as its module"
        assert (ROOT / "tests" / f"test_{short}.py").exists()
        # What stills are judged by stands under dedup, and what stage aim may choose under flatten.
        assert short in Params.model_fields or short in ("stills", "aim")


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


def test_readme_names_every_command_and_stage() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    targets = re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text("utf-8"), re.M)
    for word in [
        "make repro",
        "make test",
        *STAGE_MODULES,
        *(f"make {t}" for t in targets if t in ("check", "format", "clean")),
    ]:
        assert word in readme, word
