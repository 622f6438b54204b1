"""The params of a recipe, with some values changed."""

import functools
import operator
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ruamel.yaml import YAML

from pipeline.commands import recipes
from pipeline.params.schema import PARAMS_FILE, Params, check

CODE = Path(__file__).parents[1]


def params_of(recipe: str, changes: Mapping[str, Any] = MappingProxyType({})) -> Params:
    """Merge a recipe into the committed params.yaml, then change some values by dotted key."""
    tree: dict[str, Any] = YAML(typ="safe", pure=True).load((CODE / PARAMS_FILE).read_text("utf-8"))
    for section, values in recipes.read(recipe, CODE / recipes.RECIPES).items():
        tree[section] |= values
    for key, value in changes.items():
        *path, last = key.split(".")
        functools.reduce(operator.getitem, path, tree)[last] = value
    return check(tree, recipe)
