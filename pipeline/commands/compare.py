"""`genga compare`: several ways to train, on the same crops and for as many images, judged in one table.

Each way has a folder that looks like a project to the stages: a params.yaml of its own, and links to the data of this one.
Stages `pretrain` and `train` run in it as they are, so that whatever they can do, resuming above all, holds here too.
"""

from __future__ import annotations

import copy
import hashlib
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline import evaluate
from pipeline.commands import recipes
from pipeline.core.errors import UserError
from pipeline.networks import weights
from pipeline.params import schema
from pipeline.params.schema import PARAMS_FILE, Params

HERE = "here"
"""What params.yaml itself is called in the table."""
GENERATOR = Path("data/train/generator.safetensors")
# What a way may have of its own. Crops and twins are those that lie in data/, cut as params.yaml says.
_OWN = ("model", "pretrain", "train", "loss")
# What is equal for all, so that only the way differs: what is seen, how large, and what hardware decides.
_EQUAL = ("images", "batch", "crop_px", "precision", "accumulate", "processes", "compile", "save_memory")
_STAGES = ("pretrain", "train")

log = logging.getLogger("genga")


@dataclass(frozen=True)
class Way:
    """A recipe, or params.yaml itself, with some values changed."""

    name: str
    recipe: str | None
    changes: Mapping[str, Any]  # by dotted key


def parse(text: str) -> Way:
    """A way as written on the command line: RECIPE, RECIPE:key=value,... or NAME:key=value,...; the key `recipe` may name one.

    Raises:
        UserError: it is neither.
    """
    name, colon, rest = text.partition(":")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name) or name == HERE:
        raise UserError(f"{text!r}: a way to train is called by letters, digits, - and _, and not {HERE}")
    if name in evaluate.RESERVED:
        raise UserError(f"{text!r}: {name} is a row of every table; give the way another name")
    if not colon:
        return Way(name, name, {})
    changes: dict[str, Any] = {}
    for pair in re.split(r",(?=[\w.]+=)", rest):
        key, equals, value = pair.partition("=")
        if not equals:
            raise UserError(f"{text!r}: write NAME:key=value,key=value, e.g. soft:loss.style_weight=2")
        try:
            changes[key.strip()] = YAML(typ="safe", pure=True).load(value)
        except YAMLError:
            raise UserError(f"{text!r}: {value} is no value") from None
    recipe = changes.pop("recipe", None)
    return Way(name, None if recipe is None else str(recipe), changes)


def plan(way: Way, base: Mapping[str, Any], folder: Path) -> Params:
    """The params of a way: those of `base`, with the recipe's networks and losses, equal in what is seen, and its changes.

    Raises:
        UserError: no such recipe or key, or a result that is not valid.
    """
    tree = copy.deepcopy(dict(base))
    # A way that is called like a recipe is that recipe varied: it would be taken for it on the page.
    recipe = way.name if way.recipe is None and way.name in recipes.descriptions(folder) else way.recipe
    if recipe is not None:
        laid = recipes.read(recipe, folder)
        for section in _OWN:
            tree[section] |= laid.get(section, {})
        for section in _STAGES:
            tree[section] |= {key: base[section][key] for key in _EQUAL if key in base[section]}
    for key, value in way.changes.items():
        section, _, name = key.partition(".")
        if section not in _OWN or name not in tree[section]:
            raise UserError(f"{way.name}: {key} cannot be varied here: give a key of {', '.join(_OWN)} that params.yaml has")
        tree[section][name] = value
    return schema.check(tree, way.name)


def settle(way: Way, chosen: Params, base: Params, home: Path, project: Path) -> None:
    """Make a way's folder: its params, links to the data, and to the pretrained generator where that would be the same."""
    home.mkdir(parents=True, exist_ok=True)
    tree = chosen.model_dump(mode="json")
    tree["dataset"] = str((project / chosen.dataset).resolve()) if Path(chosen.dataset).parts[0] != "data" else chosen.dataset
    if Path(chosen.teacher).parts[:1] != ("data",):
        tree["teacher"] = str((project / chosen.teacher).resolve())
    if Path(chosen.loss.style_images).parts[:1] != ("data",):
        tree["loss"]["style_images"] = str((project / chosen.loss.style_images).resolve())
    if Path(chosen.perceptual.weights).is_file():
        tree["perceptual"]["weights"] = str(Path(chosen.perceptual.weights).resolve())
    with (home / PARAMS_FILE).open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(tree, file)
    (home / "data").mkdir(exist_ok=True)
    for path in sorted((project / "data").iterdir()):
        if path.name not in ("train", "pretrain", "evaluate", "predict") and not path.name.startswith("."):
            _link(home / "data" / path.name, path)
    shared = ("pretrain", "perceptual")
    same = chosen.model_dump(include={*shared}) == base.model_dump(include={*shared})
    networks = [(one.model.generator, one.model.generator_norm, one.model.generator_diffusion_steps) for one in (chosen, base)]
    pretrained = home / "data/pretrain"
    if same and networks[0] == networks[1]:
        if pretrained.is_dir() and not pretrained.is_symlink():
            shutil.rmtree(pretrained)
        _link(pretrained, project / "data/pretrain")
    elif pretrained.is_symlink():
        pretrained.unlink()


def _link(link: Path, target: Path) -> None:
    if link.is_symlink():
        link.unlink()
    link.symlink_to(target.resolve(), target_is_directory=target.is_dir())


def train(name: str, chosen: Params, home: Path, project: Path) -> None:
    """Run the stages in a way's folder, unless their results are there already: there, or, for the same params, in the project.

    Raises:
        UserError: one of them failed; it has said why. The next call goes on from its last checkpoint.
    """
    paths = os.pathsep.join(filter(None, [str(project.resolve()), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "PYTHONPATH": paths, "GENGA_WORK": str((home / ".work").resolve())}
    wanted = _inputs(home, chosen)

    def mark(part: str) -> Path:
        return home / f".{part}.done"

    def is_done(part: str) -> bool:
        made = home / "data" / part / GENERATOR.name
        return made.is_file() and mark(part).is_file() and mark(part).read_text("utf-8") == wanted

    if is_done("train"):
        log.info("%s: trained already", name)
        return
    mark("train").unlink(missing_ok=True)
    if name == HERE and _is_of(project / GENERATOR, chosen):
        log.info("%s: taken from %s", name, GENERATOR)
        (home / GENERATOR).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(project / GENERATOR, home / GENERATOR)
        return
    for part in _STAGES:
        if part == "pretrain" and ((home / "data/pretrain").is_symlink() or is_done(part)):
            continue
        log.info("%s: %s", name, part)
        if _run(part, home, environment):
            raise UserError(f"{name}: stage {part} failed in {home}; the same command goes on from its last checkpoint")
        mark(part).write_text(wanted, "utf-8")


def _run(part: str, home: Path, environment: Mapping[str, str]) -> int:
    """A stage's exit status. SIGTERM is passed on: it saves and ends, where it would train on with nobody waiting for it."""
    stages: list[subprocess.Popen[bytes]] = []
    passed: list[int] = []

    def pass_on(number: int, _: object) -> None:
        passed.append(number)
        for one in stages:
            one.send_signal(number)

    before = signal.signal(signal.SIGTERM, pass_on)
    try:
        with subprocess.Popen([sys.executable, "-m", f"pipeline.{part}"], cwd=home, env=environment) as child:
            stages.append(child)
            if passed:  # before there was anyone to pass it on to
                child.send_signal(passed[0])
            return child.wait()
    finally:
        signal.signal(signal.SIGTERM, before)


def _inputs(home: Path, chosen: Params) -> str:
    """What a way's result depends on, as a digest: its params, the crops, and the generator that it starts from."""
    found = hashlib.blake2b((home / PARAMS_FILE).read_bytes())
    listed = home / chosen.dataset
    parts = sorted(listed.rglob("*.jsonl")) if listed.is_dir() else []
    if (home / "data/pretrain").is_symlink():
        parts.append(home / "data/pretrain/generator.safetensors")
    for path in parts:
        found.update(path.read_bytes())
    return found.hexdigest()


def _is_of(generator: Path, chosen: Params) -> bool:
    """Whether a generator was trained with these params, as its file says."""
    if not generator.is_file():
        return False
    said = json.loads(weights.load_generator(generator)[1].get("recipe", "{}"))
    return bool(said) and json.dumps(chosen.model_dump(include=set(said)), sort_keys=True) == json.dumps(said, sort_keys=True)


def run(texts: Sequence[str], out: Path, images: int | None = None) -> dict[str, float]:
    """Train each way into `out`/NAME and judge all, params.yaml's own result first, into `out`/evaluation.

    Args:
        images: photos that every way sees in stage train, params.yaml's own too; None is as many as that says.

    Raises:
        UserError: a way is wrong (before anything is trained), a stage fails, or there is nothing to train on.
    """
    project = Path()
    base = schema.load()
    ways = [Way(HERE, None, {}), *(parse(text) for text in texts)]
    if len({way.name for way in ways}) < len(ways):
        raise UserError("two ways to train have one name: give each its own, as in NAME:key=value")
    if not (project / "data/pretrain/generator.safetensors").is_file():
        raise UserError("data/pretrain holds no generator: run dvc repro first")
    tree = base.model_dump(mode="json")
    if images is not None:
        tree["train"]["images"] = images
    plans = {way.name: plan(way, tree, recipes.RECIPES) for way in ways}
    for way in ways:
        settle(way, plans[way.name], base, out / way.name, project)
    for way in ways:
        train(way.name, plans[way.name], out / way.name, project)
        shutil.copyfile(out / way.name / GENERATOR, out / f"{way.name}.safetensors")
    first, *others = (out / f"{way.name}.safetensors" for way in ways)
    return evaluate.judge_files(base, first, others, out / "evaluation", overwrite=True)
