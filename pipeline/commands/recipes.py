"""Recipes: sets of parameters that are laid over params.yaml, its comments and everything else left as they are.

A recipe is a map of sections, whole, or `based_on` another: then it holds only what is different from that one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq
from ruamel.yaml.error import YAMLError

from pipeline.core import files
from pipeline.core.errors import UserError
from pipeline.params import schema

RECIPES = Path("recipes")
BASED_ON = "based_on"


def listing(folder: Path) -> dict[str, str]:
    """Name -> description, the first line of each recipe's comment."""
    files = sorted(folder.glob("*.yaml"), key=lambda file: file.stem)
    if not files:
        raise UserError(f"{folder} holds no recipes: run from the project's folder")
    return {file.stem: file.read_text("utf-8").split("\n", 1)[0].lstrip("# ").rstrip() for file in files}


def sections(name: str, folder: Path) -> dict[str, dict[str, Any]]:
    """A recipe's values by section, its own over those of the recipe it is based on.

    Raises:
        UserError: no such recipe, one that is no map of sections, or one that is based on none, on itself, or differs from it in a
            key that it does not have.
    """
    return _resolved(name, folder, [])


def _resolved(name: str, folder: Path, above: list[str]) -> dict[str, dict[str, Any]]:
    if name in above:
        raise UserError(f"recipes {' -> '.join([*above, name])} are based on each other in a circle: mend one of them")
    _known(name, folder, above)
    path = folder / f"{name}.yaml"
    own: dict[str, Any] = _load(YAML(typ="safe", pure=True), path)
    base = own.pop(BASED_ON, None)
    if base is None:
        return own
    merged = _resolved(str(base), folder, [*above, name])
    for _ in _lay_over(merged, own, str(path), f"the recipe {base}"):
        pass
    return merged


def _known(name: str, folder: Path, above: Sequence[str] = ()) -> None:
    known = listing(folder)
    if name not in known:
        asked = f", on which {above[-1]} is based" if above else ""
        raise UserError(f"no recipe {name!r}{asked}: there are {', '.join(known)}")


def use(name: str, folder: Path, target: Path) -> list[str]:
    """Lay a recipe's values over a params file, written whole or not at all.

    Returns:
        A line for each value that changed.

    Raises:
        UserError: no such recipe, a key of it that params do not have, or a result that is not valid; the file is as it was.
    """
    yaml = _round_trip()
    fragment, tree = sections(name, folder), _load(yaml, target)
    changes = list(_lay_over(tree, fragment, str(folder / f"{name}.yaml"), "params.yaml"))
    text = StringIO()
    yaml.dump(tree, text)
    schema.check(YAML(typ="safe", pure=True).load(text.getvalue()), f"{target} with {name}")
    if changes:
        files.replace_text(target, text.getvalue())
    return changes


def _round_trip() -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1 << 16
    yaml.representer.add_representer(
        type(None), lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    return yaml


def _load(yaml: YAML, path: Path) -> Any:
    try:
        tree = yaml.load(path.read_text("utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run from the project's folder, or restore it with git checkout {path}") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(tree, dict):
        raise UserError(f"{path} is not a map of sections")
    return tree


def _lay_over(tree: Any, fragment: Mapping[str, Any], origin: str, under: str, above: str = "") -> Iterator[str]:
    for key, new in fragment.items():
        where = f"{above}{key}"
        if key not in tree or isinstance(new, dict) != isinstance(tree[key], dict):
            raise UserError(
                f"{origin}: {under} has no {'section' if isinstance(new, dict) else 'value'} {where}; mend the recipe"
            )
        old = tree[key]
        if isinstance(new, dict):
            yield from _lay_over(old, new, origin, under, f"{where}.")
        elif old != new:
            yield f"{where}: {_show(old)} -> {_show(new)}"
            tree[key] = _flow(new) if isinstance(new, list) else new


def _flow(values: list[Any]) -> CommentedSeq:
    plain = CommentedSeq(values)  # without the recipe's comments
    plain.fa.set_flow_style()
    return plain


def _show(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(str, value))}]"
    return "null" if value is None else str(value)
