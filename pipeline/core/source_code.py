"""The source files that a module's behavior depends on: its import closure within this project.

Fingerprints of trainings, the dependencies of stages in dvc.yaml and the check of cluster workers are all derived from it.
"""

import ast
import functools
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PRETRAINED = ROOT / "pretrained"
"""The generators that ship, and others of the user's to begin with."""
PACKAGES = ("pipeline", "models")
# Its models only check values; what values do is in the code that reads them, and DVC compares values by key.
NO_DEPENDENCY = "pipeline.params"


def file_of(module: str) -> Path | None:
    """Find the file of a module of this project by its dotted name; None if there is no such module."""
    path = ROOT.joinpath(*module.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in candidates if file.is_file()), None)


@functools.cache
def imports(module: str) -> frozenset[str]:
    """Return the dotted names of this project's modules that one imports, also in functions, not under `if TYPE_CHECKING`.

    Raises:
        ValueError: this project has no such module.
    """
    path = file_of(module)
    if path is None:
        raise ValueError(f"this project has no module {module}")
    names: set[str] = set()
    for node in _nodes(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(name for name in names if name.split(".")[0] in PACKAGES and file_of(name) is not None)


def closure(*modules: str) -> list[Path]:
    """List the files of some modules (dotted names) and of all of this project that they import, directly or not, sorted.

    The `__init__.py` of folders, which hold no code, and `pipeline/params` are left out. An unknown module raises ValueError.
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
    """Compute the BLAKE2b digest of source files in `ROOT`, by paths and contents, in any order: 16 hexadecimal digits."""
    hasher = hashlib.blake2b(digest_size=8)
    for path in sorted(files):
        hasher.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return hasher.hexdigest()


def _nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk a syntax tree, except `if TYPE_CHECKING` blocks."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        yield node
        yield from _nodes(node)
