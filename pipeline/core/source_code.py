"""The source files that a module's behaviour comes from: its import closure within this project.

Fingerprints of trainings, deps of stages in dvc.yaml and workers of a cluster all go by it, so there is no list to forget.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("pipeline", "models")
# Models of params.yaml only check values; what values do is in the code that reads them, and DVC follows values by key.
NO_DEPENDENCY = "pipeline.params"


def file_of(module: str) -> Path | None:
    """The file of a dotted module of this project; None when there is no such module."""
    path = ROOT.joinpath(*module.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in candidates if file.is_file()), None)


@functools.cache
def imports(module: str) -> frozenset[str]:
    """Modules of this project that a module imports anywhere in its text, but for those that only type checkers see."""
    path = file_of(module)
    if path is None:
        raise ValueError(f"{module} is no module of this project")
    names: set[str] = set()
    for node in _nodes(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(name for name in names if name.split(".")[0] in PACKAGES and file_of(name) is not None)


def closure(*modules: str) -> list[Path]:
    """The files of some modules and of all that they import, directly or not, sorted.

    Left out are the charters of folders and `pipeline/params`.
    """
    todo, seen = list(modules), set[str]()
    while todo:
        name = todo.pop()
        if name not in seen and not name.startswith(NO_DEPENDENCY):
            seen.add(name)
            todo += imports(name)
    files = (file_of(name) for name in seen)
    return sorted(file for file in files if file is not None and file.name != "__init__.py")


def digest(files: Iterable[Path]) -> str:
    """BLAKE2b of names and contents of source files, 16 hexadecimal digits."""
    whole = hashlib.blake2b(digest_size=8)
    for path in sorted(files):
        whole.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return whole.hexdigest()


def _nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under `if TYPE_CHECKING`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        yield node
        yield from _nodes(node)
