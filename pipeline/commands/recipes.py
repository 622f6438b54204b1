"""Recipes: sets of parameters that `genga use` writes into params.yaml; comments and all other values stay.

A recipe is a YAML map of sections. One that is `based_on` another holds only the values that differ from it.
"""

import re
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq

from pipeline.core import files
from pipeline.core.errors import UserError
from pipeline.params import renamed, schema

RECIPES = Path("recipes")
BASED_ON = "based_on"


def descriptions(folder: Path) -> dict[str, str]:
    """Return the recipes in a folder, sorted: name -> first line of the file, without #.

    Raises:
        UserError: the folder holds no recipes.
    """
    paths = sorted(folder.glob("*.yaml"), key=lambda path: path.stem)
    if not paths:
        raise UserError(f"{folder} holds no recipes: run from the project's folder")
    return {path.stem: path.read_text("utf-8").split("\n", 1)[0].lstrip("# ").rstrip() for path in paths}


def read(name: str, folder: Path) -> dict[str, dict[str, Any]]:
    """Read a recipe's values by section, merged with those of the recipes it is based on.

    Raises:
        UserError: there is no such recipe, it is not a map of sections, it has a key under its former name, it is based on
            itself, or it has a key that the recipe it is based on lacks.
    """
    return _read(name, folder, [])


def _read(name: str, folder: Path, chain: list[str]) -> dict[str, dict[str, Any]]:
    """As `read`, for a recipe that those in `chain` are based on."""
    if name in chain:
        raise UserError(f"recipes {' -> '.join([*chain, name])} are based on each other in a circle: correct one of them")
    known = descriptions(folder)
    if name not in known:
        on_which = f", on which {chain[-1]} is based" if chain else ""
        raise UserError(f"no recipe {name!r}{on_which}: there are {', '.join(known)}")
    path = folder / f"{name}.yaml"
    own: dict[str, Any] = _load(YAML(typ="safe", pure=True), path)
    base = own.pop(BASED_ON, None)
    if base is None:
        return own
    merged = _read(str(base), folder, [*chain, name])
    _merge(merged, own, str(path), f"the recipe {base}")
    return merged


def use(name: str, folder: Path, target: Path, films: Sequence[str] = (), photos: Path | None = None) -> list[str]:
    """Write a recipe's values, and the sources if they are given, into a params file: everything or nothing.

    Args:
        folder: that of the recipes.
        target: the params file.
        films: PATH or NAME=PATH for each film; they replace those in the file. Empty: the films stay.
        photos: the folder of photographs to train on; None: it stays.

    Returns:
        A line for each value that changed, e.g. `train.batch: 2 -> 8`; if none did, the file is not written.

    Raises:
        UserError: there is no such recipe, it has a key that the params file lacks, or the result would not be valid; the
            file is unchanged.
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1 << 16
    yaml.representer.add_representer(
        type(None), lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    tree = _load(yaml, target)
    changes = _merge(tree, read(name, folder), str(folder / f"{name}.yaml"), "params.yaml")
    if films:
        changes += _replace_films(tree["films"], dict(map(_named, films)))
    if photos is not None:
        changes += _merge(tree, {"photos": photos.as_posix()}, "--photos", "params.yaml")
    if films or photos is not None:
        sources = [*tree["films"].values(), *tree["footage"].values(), tree["photos"], tree["predict"]["input"]]
        changes += _merge(tree, {"sample": {"draw": any(map(schema.is_sample, map(str, sources)))}}, "--film", "params.yaml")
    text = StringIO()
    yaml.dump(tree, text)
    schema.check(YAML(typ="safe", pure=True).load(text.getvalue()), f"{target} with {name}")
    if changes:
        files.replace_text(target, text.getvalue())
    return changes


def _named(film: str) -> tuple[str, str]:
    """Split NAME=PATH; a path alone is named by its file: `data/films/My Film.mkv` is my-film."""
    name, equals, path = film.partition("=")
    if not equals:
        name, path = re.sub(r"[^a-z0-9]+", "-", Path(film).stem.lower()).strip("-"), film
    return name or "film", path


def _replace_films(tree: Any, films: Mapping[str, str]) -> list[str]:
    """Replace all entries of `films:`, in place. The comment that follows the last one, which is on the next key, stays."""
    if dict(tree) == films:
        return []
    line = f"films: {', '.join(tree) or 'none'} -> {', '.join(films)}"
    comment = tree.ca.items.get(next(reversed(tree), None))
    tree.clear()
    tree.update(films)
    if comment:
        tree.ca.items[next(reversed(tree))] = comment
    return [line]


def _load(yaml: YAML, path: Path) -> Any:
    tree = schema.read_yaml(yaml, path)
    if not isinstance(tree, dict):
        raise UserError(f"{path} is not a map of sections")
    if renames := renamed.update_names(tree)[1]:
        raise UserError(schema.list_errors(str(path), renames))
    return tree


def _merge(tree: Any, changes: Mapping[str, Any], origin: str, described: str, prefix: str = "") -> list[str]:
    """Write new values into a tree of parameters, in place; `origin` names their file and `described` the tree in errors.

    Returns:
        A line for each value that changed.

    Raises:
        UserError: the tree lacks a key, or has a section where the change has a value, or the other way round.
    """
    lines = []
    for key, new in changes.items():
        name = f"{prefix}{key}"
        if key not in tree or isinstance(new, dict) != isinstance(tree[key], dict):
            kind = "section" if isinstance(new, dict) else "value"
            raise UserError(f"{origin}: {described} has no {kind} {name}; correct the recipe")
        old = tree[key]
        if isinstance(new, dict):
            lines += _merge(old, new, origin, described, f"{name}.")
        elif old != new:
            lines.append(f"{name}: {_format(old)} -> {_format(new)}")
            tree[key] = _inline(new) if isinstance(new, list) else new
    return lines


def _inline(values: list[Any]) -> CommentedSeq:
    """A list that is written on one line, without the comments it had in the recipe."""
    inline = CommentedSeq(values)
    inline.fa.set_flow_style()
    return inline


def _format(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(str, value))}]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
