"""The layout of the project: folders, directions of imports, dependencies of stages, one test file for each module."""

from __future__ import annotations

import ast
import functools
import graphlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.core import source_code
from pipeline.params.schema import Params
from tests.conftest import SLOW

ROOT = Path(__file__).parent.parent
PACKAGES = ("pipeline", "models")
# Folders that serve people's use of results, or pages about them. What makes data and models must not depend on them.
PRESENTATION = {f"pipeline/{name}" for name in ("web", "data_card", "evaluation", "inference", "film", "commands")}
# Declarations without logic; what checks them is tested in tests/params/test_schema.py.
DECLARATIONS = {
    "pipeline.core.errors",
    *(f"pipeline.params.{name}" for name in ("data", "networks", "results", "section", "training")),
}


@functools.cache
def yaml(name: str) -> Any:
    return YAML(typ="safe", pure=True).load((ROOT / name).read_text("utf-8"))


def stages() -> dict[str, Any]:
    return {name: stage.get("do", stage) for name, stage in yaml("dvc.yaml")["stages"].items()}


def outs_of(stage: dict[str, Any]) -> list[str]:
    return [out if isinstance(out, str) else next(iter(out)) for out in stage["outs"]]


def module_of(stage: dict[str, Any]) -> str:
    found = re.fullmatch(r"python -m (pipeline\.\w+)( (\w+/)?\$\{key\})?", stage["cmd"])
    assert found, stage["cmd"]
    return found[1]


STAGE_MODULES = {name: module_of(stage) for name, stage in stages().items()}
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
MODULES = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in FILES if path.name != "__init__.py"]
FOLDERS = sorted({path.parent for path in FILES if path.is_relative_to(ROOT / "pipeline")} - {ROOT / "pipeline"})


def folder_of(module: str) -> str:
    """The dependency that a module is in dvc.yaml: its folder, or, at the top of pipeline/, its file."""
    parts = module.split(".")
    if parts[0] == "models":
        return "models"
    return "/".join(parts[:2]) if len(parts) > 2 else f"{parts[0]}/{parts[1]}.py"


def code_deps(stage: dict[str, Any]) -> list[str]:
    return [dep for dep in stage["deps"] if dep.split("/")[0] in PACKAGES]


def imported_folders() -> dict[str, set[str]]:
    """The folders that each folder imports from; stages and cli.py together are `top`."""
    found: dict[str, set[str]] = {}
    for module in MODULES:
        importer = folder_of(module)
        for name in source_code.imports(module) & set(MODULES):
            ends = ["top" if folder.endswith(".py") else folder for folder in (importer, folder_of(name))]
            if ends[0] != ends[1]:
                found.setdefault(ends[0], set()).add(ends[1])
    return found


def test_globs_find_the_modules_they_are_meant_to() -> None:
    assert len(MODULES) > 100 and len(STAGE_MODULES) >= 17
    assert {name.split(".")[0] for name in MODULES} == set(PACKAGES)
    assert {name.count(".") for name in MODULES} >= {1, 2}, "files at every depth"
    assert len(FOLDERS) >= 10


def test_only_stages_and_the_command_line_lie_at_the_top() -> None:
    top = {name for name in MODULES if name.startswith("pipeline.") and name.count(".") == 1}
    assert top == set(STAGE_MODULES.values()) | {"pipeline.cli"}


def test_folders_have_a_charter_of_one_line_and_more_than_one_module() -> None:
    assert 10 <= len(FOLDERS) <= 16
    for folder in FOLDERS:
        charter = ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8")))
        assert charter and "\n" not in charter, folder
        assert len(list(folder.glob("*.py"))) > 2, f"{folder} holds a single module"


def test_imports_between_folders_have_no_cycle_and_run_downwards() -> None:
    found = imported_folders()
    assert sum(map(len, found.values())) > 20
    assert found.keys() >= {"top", "pipeline/training", "pipeline/inference"}
    tuple(graphlib.TopologicalSorter({importer: names - {"top"} for importer, names in found.items()}).static_order())
    assert found.get("models", set()) == set()
    assert not [importer for importer, names in found.items() if "top" in names], "stages and cli.py are imported by nobody"
    assert not found.get("pipeline/core")


@pytest.mark.parametrize("module", sorted(set(STAGE_MODULES.values())))
def test_a_stage_never_imports_a_stage(module: str) -> None:
    assert len(source_code.imports(module)) > 2
    assert not source_code.imports(module) & set(STAGE_MODULES.values()) - {module}


@pytest.mark.parametrize("name", STAGE_MODULES)
def test_code_deps_of_a_stage_are_the_folders_of_its_import_closure(name: str) -> None:
    files = source_code.closure(STAGE_MODULES[name])
    assert len(files) > 5
    needed = {folder_of(".".join(file.relative_to(ROOT).with_suffix("").parts)) for file in files}
    assert sorted(code_deps(stages()[name])) == sorted(needed)


def test_dvc_yaml_stays_short() -> None:
    lines = (ROOT / "dvc.yaml").read_text("utf-8").splitlines()
    named = [line for line in lines if re.match(r" +- (pipeline|models)\b", line)]
    assert len(lines) < 400 and 50 < len(named) < 100


@pytest.mark.parametrize("name", ["keyframes", "crop", "pretrain", "train"])
def test_a_change_of_a_page_or_of_inference_repeats_no_data_and_no_training(name: str) -> None:
    """Not even by way of an earlier stage: neither the stage nor any whose outputs it reads depends on these folders."""
    assert {folder for folder in PRESENTATION if not (ROOT / folder).is_dir()} == set()
    seen, waiting = set[str](), [name]
    while waiting:
        stage = waiting.pop()
        seen.add(stage)
        waiting += [maker for dep in stages()[stage]["deps"] for maker in makers(dep) if maker not in seen]
    assert "sample" in seen and len(seen) >= 2
    for stage in seen:
        assert not PRESENTATION & set(code_deps(stages()[stage])), stage


def makers(dep: str) -> Iterator[str]:
    """The stages whose outputs lie under a dependency or hold it; `${KEY}` is looked up in params.yaml, `${item}` is a film."""
    names = {"item": yaml("params.yaml")["films"]["sample"], "key": "*"}
    dep = re.sub(r"\$\{([\w.]+)\}", lambda found: names.get(found[1]) or committed(found[1]), dep)
    for name, stage in stages().items():
        for out in outs_of(stage):
            out = out.replace("${key}", "*")
            if f"{out}/".startswith(f"{dep}/") or f"{dep}/".startswith(f"{out}/"):
                yield name
                break


def committed(key: str) -> str:
    """A value of params.yaml by its dotted key."""
    return str(functools.reduce(lambda tree, part: tree[part], key.split("."), yaml("params.yaml")))


@pytest.mark.parametrize("name", STAGE_MODULES)
def test_params_of_a_stage_are_those_it_reads(name: str) -> None:
    """`params.section` anywhere in a stage's closure; `workers` does not change results and is left out."""
    listed = {key.split(".")[0] for key in stages()[name].get("params", [])}
    read: set[str] = set()
    for file in source_code.closure(STAGE_MODULES[name]):
        read |= set(re.findall(r"\bparams\.(\w+)", file.read_text("utf-8"))) & set(Params.model_fields)
    # One module serves both kinds of source; a stage of it reads the entry that it is for.
    other = {"keyframes": "footage", "footage": "films"}.get(name)
    assert listed == read - {"workers", other}


ALLOWED_IN_MODELS = {
    "torch",
    "numpy",
    "math",
    "collections",
    "dataclasses",
    "typing",
    "functools",
    "operator",
    "itertools",
    "contextlib",
    "concurrent",
    "models",
}
FORBIDDEN_CALLS = {
    "open",
    "print",
    "load",
    "save",
    "load_file",
    "save_file",
    "read_text",
    "write_text",
    "read_bytes",
    "write_bytes",
}


def io_in(tree: ast.AST) -> list[str]:
    """Imports and calls by which a module of models/ could read, write, download or log."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] not in ALLOWED_IN_MODELS]
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            found += [name for name in whole if name.split(".")[0] not in ALLOWED_IN_MODELS | {"__future__"} or "hub" in name]
        elif isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            found += [called] * (called in FORBIDDEN_CALLS)
    return found


def test_models_do_no_io() -> None:
    models = [path for path in FILES if path.is_relative_to(ROOT / "models")]
    assert len(models) > 15 and len({path.parent for path in models}) > 2
    found = {path.relative_to(ROOT).as_posix(): io_in(ast.parse(path.read_text("utf-8"))) for path in models}
    assert {name: what for name, what in found.items() if what} == {}


@pytest.mark.parametrize(
    "text",
    [
        "import logging",
        "from pathlib import Path",
        "open('a')",
        "torch.load('a')",
        "from torch.hub import load",
        "path.read_bytes()",
    ],
)
def test_io_in_a_model_would_be_seen(text: str) -> None:
    assert io_in(ast.parse(text))


def test_outs_are_ignored_by_git() -> None:
    outs = {"/".join(out.split("/")[:2]) for stage in stages().values() for out in outs_of(stage)}
    assert len(outs) >= 10
    assert {out for out in outs if not ignored_by_git(out)} == set()


def ignored_by_git(name: str) -> bool:
    return subprocess.run(["git", "check-ignore", "-q", name], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(
    "name",
    [
        *("data/my_photographs/a.jpg", "data/films/a.mkv", "data/film.mp4", "data/photos/deep/a.heic", "data/teacher/net.onnx"),
        *(
            "holiday/a.jpg",
            "film.webm",
            "redrawn/a-genga.png",
            "docs/a.JPG",
            "tests/a.Mp4",
            "docs/a.webp",
            "docs/b.avif",
            "docs/c.TIFF",
            "recipes/mine.safetensors",
        ),
    ],
)
def test_what_users_bring_and_get_is_ignored_by_git_wherever_it_lies(name: str) -> None:
    assert ignored_by_git(name)


def test_git_sees_every_file_of_the_project() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(tracked) > 300
    left_out = subprocess.run(
        ["git", "check-ignore", "--no-index", *tracked], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert left_out.stdout == ""
    assert (
        not ignored_by_git("dvc.lock") and not ignored_by_git("recipes/mine.yaml") and not ignored_by_git("docs/pictures/a.jpg")
    )


def test_pictures_are_named_by_the_stage_that_makes_them_alone() -> None:
    """DVC looks at each file of a folder for each stage that names it: readers of pictures name their manifests."""
    pictures = {out for stage in stages().values() for out in outs_of(stage) if "/pictures/" in out}
    assert len(pictures) == 4
    for name, stage in stages().items():
        for dep in stage["deps"]:
            assert not [out for out in pictures if f"{out}/".startswith(f"{dep}/") or dep.startswith(f"{out}/")], (name, dep)
    assert [name for name, stage in stages().items() if "${photos}" in stage["deps"]] == ["photo_index"]


def test_a_stage_its_module_its_parameters_and_its_test_have_one_name() -> None:
    for name, module in STAGE_MODULES.items():
        short = module.split(".")[1]
        assert name in (short, "footage", f"{short}_footage", f"{short}_photos")
        assert (ROOT / "tests" / f"test_{short}.py").exists()
        # What photos are measured by stands under dedup.
        assert short in Params.model_fields or short in ("photo_index", "sources")


def test_every_module_has_a_test_file_of_its_name() -> None:
    """tests/FOLDER/test_MODULE.py for pipeline/FOLDER/MODULE.py, tests/models/... for models/...; none for one that is gone."""
    modules = {name.removeprefix("pipeline."): name for name in MODULES}
    tests = {
        ".".join([*path.relative_to(ROOT / "tests").parts[:-1], path.stem.removeprefix("test_")])
        for path in (ROOT / "tests").rglob("test_*.py")
    }
    assert len(modules) > 100 and len(tests) > 80
    assert {short for short, name in modules.items() if short not in tests and name not in DECLARATIONS} == set()
    of_no_module = {"layout", "dag", "docs", "install", "resume", "real", "media.photo_formats", "support.skips"}
    gone = tests - modules.keys() - of_no_module
    assert {name for name in gone if not name.startswith(("benchmarks.", "faults."))} == set()


def test_readme_describes_every_stage_in_its_table() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)`[^|]*\| (.+) \|$", readme, re.M)
    assert sorted(name for name, _ in rows) == sorted({module.split(".")[1] for module in STAGE_MODULES.values()})
    assert all(len(text) > 20 for _, text in rows)
    variants = {name for name, module in STAGE_MODULES.items() if name != module.split(".")[1]}
    assert variants and {"make repro", "make test"} <= set(re.findall(r"^(make \w+)", readme, re.M))
    assert len(readme.splitlines()) < 150


def test_the_list_of_slow_tests_names_what_is_there() -> None:
    assert len(SLOW) > 20
    assert {name for name in SLOW if not (ROOT / "tests" / name).exists()} == set()


def test_make_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.M)
    described = set(re.findall(r"^([a-z-]+):.*## \S", makefile, re.M))
    assert phony and len(described) >= 9 and described == set(phony[1].split())
