"""`genga compare`: trains several variants on the same crops for the same number of images, and evaluates them in one table.

Each variant gets a folder that looks like a project: its own params.yaml, and links to this project's data. The stages
`pretrain` and `train` run in it unchanged, so that a run that was stopped resumes as usual.
"""

import copy
import hashlib
import json
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

from pipeline.commands import recipes
from pipeline.core import signals
from pipeline.core.errors import UserError, log
from pipeline.evaluation.runner import RESERVED_NAMES, evaluate_files
from pipeline.networks import weights
from pipeline.params import renamed, schema
from pipeline.params.schema import PARAMS_FILE, Params

HERE = "here"
"""Name of the variant that is params.yaml itself."""
GENERATOR = Path("data/train/generator.safetensors")
# Sections that a variant may change. Crops and pseudo-targets are those of data/.
_OWN = ("model", "pretrain", "train", "loss")
# Keys that recipes do not change, so that all variants see the same images at the same size and precision.
_EQUAL = ("images", "batch", "crop_px", "precision", "accumulate", "processes", "compile", "save_memory")
_STAGES = ("pretrain", "train")


@dataclass(frozen=True)
class Variant:
    """A recipe, or params.yaml itself, with some values changed."""

    name: str
    recipe: str | None
    changes: Mapping[str, Any]  # by dotted key


def parse(text: str) -> Variant:
    """Parse a variant: RECIPE, RECIPE:key=value,... or NAME:key=value,..., where the key `recipe` may name a recipe.

    Values are parsed as YAML. Whether recipe and keys exist is not checked here, but by `params_of`.

    Raises:
        UserError: the text has none of these forms, or the name is reserved.
    """
    name, colon, rest = text.partition(":")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name) or name == HERE:
        raise UserError(f"{text!r}: the name of a variant consists of letters, digits, - and _, and is not {HERE}")
    if name in RESERVED_NAMES:
        raise UserError(f"{text!r}: {name} is the name of a row in every evaluation; choose another name")
    if not colon:
        return Variant(name, name, {})
    changes: dict[str, Any] = {}
    for pair in re.split(r",(?=[\w.]+=)", rest):
        key, equals, value = pair.partition("=")
        if not equals:
            raise UserError(f"{text!r}: write NAME:key=value,key=value, e.g. soft:loss.style_weight=2")
        try:
            changes[key.strip()] = YAML(typ="safe", pure=True).load(value)
        except YAMLError:
            raise UserError(f"{text!r}: {value} is not a YAML value") from None
    recipe = changes.pop("recipe", None)
    return Variant(name, None if recipe is None else str(recipe), changes)


def params_of(variant: Variant, base: Mapping[str, Any], folder: Path) -> Params:
    """Return the parameters of a variant: those of `base`, its recipe's in `folder` (except _EQUAL), and its changes.

    Raises:
        UserError: there is no such recipe or key, or the result is not valid.
    """
    tree = copy.deepcopy(dict(base))
    # A variant with the name of a recipe is based on it, as readers of the page would expect.
    recipe = variant.name if variant.recipe is None and variant.name in recipes.descriptions(folder) else variant.recipe
    if recipe is not None:
        values = recipes.read(recipe, folder)
        for section in _OWN:
            tree[section] |= values.get(section, {})
        for section in _STAGES:
            tree[section] |= {key: base[section][key] for key in _EQUAL if key in base[section]}
    for key, value in variant.changes.items():
        section, _, name = key.partition(".")
        if key in renamed.KEYS:
            raise UserError(f"{variant.name}: {key}: renamed to {renamed.KEYS[key]}")
        if section not in _OWN or name not in tree[section]:
            raise UserError(
                f"{variant.name}: {key} cannot be varied here: give a key of {', '.join(_OWN)} that params.yaml has"
            )
        tree[section][name] = value
    return schema.check(tree, variant.name)


def prepare_folder(variant: Variant, chosen: Params, base: Params, folder: Path, project: Path) -> None:
    """Create a variant's folder: params.yaml (`chosen`), links to data/, with data/pretrain if `base` pretrains the same."""
    folder.mkdir(parents=True, exist_ok=True)
    tree = chosen.model_dump(mode="json")
    for keys in (tree, tree["loss"], tree["perceptual"]):
        for key in {"dataset", "teacher", "style_images", "weights"} & keys.keys():
            path = project / keys[key]
            if path.exists() and Path(keys[key]).parts[:1] != ("data",):
                keys[key] = str(path.resolve())
    with (folder / PARAMS_FILE).open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(tree, file)
    (folder / "data").mkdir(exist_ok=True)
    for path in sorted((project / "data").iterdir()):
        if path.name not in ("train", "pretrain", "evaluate", "predict") and not path.name.startswith("."):
            _link(folder / "data" / path.name, path)
    decisive: dict[str, Any] = {
        "pretrain": True,
        "perceptual": True,
        "model": {"generator", "generator_norm"},
    }
    pretrained = folder / "data/pretrain"
    if chosen.model_dump(include=decisive) == base.model_dump(include=decisive):
        if pretrained.is_dir() and not pretrained.is_symlink():
            shutil.rmtree(pretrained)
        _link(pretrained, project / "data/pretrain")
    elif pretrained.is_symlink():
        pretrained.unlink()


def _link(link: Path, target: Path) -> None:
    if link.is_symlink():
        link.unlink()
    link.symlink_to(target.resolve(), target_is_directory=target.is_dir())


def train_variant(name: str, chosen: Params, folder: Path, project: Path) -> None:
    """Pretrain and train in a variant's folder, except what has been done there with the same parameters.

    The variant `HERE` takes the project's generator, if that was trained with `chosen`.

    Args:
        chosen: the parameters that the folder's params.yaml holds.

    Raises:
        UserError: a stage failed. The next call resumes from its last checkpoint.
    """
    paths = os.pathsep.join(filter(None, [str(project.resolve()), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "PYTHONPATH": paths, "GENGA_WORK": str((folder / ".work").resolve()), signals.CHILD: "1"}
    wanted = _inputs(folder, chosen)

    def mark(part: str) -> Path:
        return folder / f".{part}.done"

    def is_done(part: str) -> bool:
        made = folder / "data" / part / GENERATOR.name
        return made.is_file() and mark(part).is_file() and mark(part).read_text("utf-8") == wanted

    if is_done("train"):
        log.info("%s: already trained", name)
        return
    mark("train").unlink(missing_ok=True)
    if name == HERE and _was_trained_with(project / GENERATOR, chosen):
        log.info("%s: taken from %s", name, GENERATOR)
        (folder / GENERATOR).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(project / GENERATOR, folder / GENERATOR)
        return
    for part in _STAGES:
        if part == "pretrain" and ((folder / "data/pretrain").is_symlink() or is_done(part)):
            continue
        log.info("%s: %s", name, part)
        if _run(part, folder, environment):
            raise UserError(f"{name}: stage {part} failed in {folder}; the same command resumes from its last checkpoint")
        mark(part).write_text(wanted, "utf-8")


def _run(part: str, folder: Path, environment: Mapping[str, str]) -> int:
    """Run a stage and return its exit status. SIGTERM is forwarded to it, so that it saves a checkpoint and ends."""
    processes: list[subprocess.Popen[bytes]] = []
    received: list[int] = []

    def forward(number: int, _: object) -> None:
        received.append(number)
        for process in processes:
            process.send_signal(number)

    before = signal.signal(signal.SIGTERM, forward)
    try:
        with subprocess.Popen([sys.executable, "-m", f"pipeline.{part}"], cwd=folder, env=environment) as child:
            processes.append(child)
            if received:  # before the process was started
                child.send_signal(received[0])
            return child.wait()
    finally:
        signal.signal(signal.SIGTERM, before)


def _inputs(folder: Path, chosen: Params) -> str:
    """Compute a digest of what a variant's result depends on: parameters, manifests, and a linked pretrained generator."""
    digest = hashlib.blake2b((folder / PARAMS_FILE).read_bytes())
    dataset = folder / chosen.dataset
    parts = sorted(dataset.rglob("*.jsonl")) if dataset.is_dir() else []
    if (folder / "data/pretrain").is_symlink():
        parts.append(folder / "data/pretrain/generator.safetensors")
    for path in parts:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _was_trained_with(generator: Path, chosen: Params) -> bool:
    """Whether the metadata of a generator's file, if there is one, holds these parameters."""
    if not generator.is_file():
        return False
    recorded = json.loads(weights.load_generator(generator)[1].get("recipe", "{}"))
    values = chosen.model_dump(include=set(recorded))
    return bool(recorded) and json.dumps(values, sort_keys=True) == json.dumps(recorded, sort_keys=True)


def run(texts: Sequence[str], out: Path, images: int | None = None) -> dict[str, float]:
    """Train each variant in `out`/NAME, and evaluate params.yaml itself and all variants in `out`/evaluation.

    Args:
        images: photos that each variant, params.yaml too, sees in stage train; None: train.images of params.yaml.

    Returns:
        The metrics of params.yaml itself.

    Raises:
        UserError: a variant is invalid (checked before anything is trained), a stage fails, or pretraining has not been run.
    """
    project = Path()
    base = schema.load()
    variants = [Variant(HERE, None, {}), *(parse(text) for text in texts)]
    if len({variant.name for variant in variants}) < len(variants):
        raise UserError("two variants have the same name: give each its own, as in NAME:key=value")
    if not (project / "data/pretrain/generator.safetensors").is_file():
        raise UserError("data/pretrain holds no generator: run dvc repro pretrain first")
    tree = base.model_dump(mode="json")
    if images is not None:
        tree["train"]["images"] = images
    params = {variant.name: params_of(variant, tree, recipes.RECIPES) for variant in variants}
    for variant in variants:
        prepare_folder(variant, params[variant.name], base, out / variant.name, project)
    for variant in variants:
        train_variant(variant.name, params[variant.name], out / variant.name, project)
        shutil.copyfile(out / variant.name / GENERATOR, out / f"{variant.name}.safetensors")
    first, *others = (out / f"{variant.name}.safetensors" for variant in variants)
    return evaluate_files(base, first, others, out / "evaluation", overwrite=True)
