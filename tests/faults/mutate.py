"""Mutation testing: changes a module in one place at a time and says which changes its tests do not notice.

    python -m tests.faults.mutate pipeline/dedup.py tests/test_dedup.py [--part 1/3]

Comparisons, arithmetic, constants, conditions and `and`/`or` are changed. The tests run in forks of a process that has imported
the libraries, each with a limit of time, so a change takes about as long as the tests themselves.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import importlib.abc
import importlib.util
import io
import os
import signal
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

LIMIT_S = 60
COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OPERATIONS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr, ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.Pow: ast.Mult,
}  # fmt: skip


def changed(node: ast.AST) -> ast.AST | None:
    """Return a changed copy of a node, or None if nothing about it is to be changed."""
    new = copy.deepcopy(node)
    match new:
        case ast.Compare(left=ast.Name(id="__name__")) | ast.If(test=ast.Compare(left=ast.Name(id="__name__"))):
            return None  # it would start the stage
        case ast.Compare(ops=[op]) if type(op) in COMPARISONS:
            new.ops = [COMPARISONS[type(op)]()]
        case ast.BinOp(op=op) if type(op) in OPERATIONS:
            new.op = OPERATIONS[type(op)]()
        case ast.BoolOp(op=op):
            new.op = ast.Or() if isinstance(op, ast.And) else ast.And()
        case ast.Constant(value=bool() as value):
            new.value = not value
        case ast.Constant(value=int() | float() as value):
            new.value = value + 1
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return operand
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return operand
        case ast.If(test=test) | ast.IfExp(test=test):
            new.test = ast.UnaryOp(ast.Not(), test)
        case ast.Continue():
            return ast.Break()
        case _:
            return None
    return new


def mutants(source: str) -> Iterator[tuple[int, str, ast.Module]]:
    """Yield line, description and tree of each changed copy of a module's source."""
    count = sum(1 for _ in ast.walk(ast.parse(source)))
    for index in range(count):
        tree = ast.parse(source)
        target = next(node for position, node in enumerate(ast.walk(tree)) if position == index)
        new = changed(target)
        if new is None:
            continue
        before = ast.unparse(target).splitlines()[0]
        for parent in ast.walk(tree):
            for name, value in ast.iter_fields(parent):
                if value is target:
                    setattr(parent, name, new)
                elif isinstance(value, list) and any(item is target for item in value):
                    setattr(parent, name, [new if item is target else item for item in value])
        after = ast.unparse(ast.fix_missing_locations(tree))
        line = getattr(target, "lineno", 0)
        yield line, f"{before}  ->  {ast.unparse(new).splitlines()[0]}", ast.parse(after)


class Replaced(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from a given tree."""

    def __init__(self, name: str, path: Path, tree: ast.Module) -> None:
        self.name, self.path, self.tree = name, path, tree

    def find_spec(self, fullname: str, path: object, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname != self.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self.path, loader=self)

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self.tree, str(self.path), "exec"), module.__dict__)


def survives(finder: Replaced, tests: list[str]) -> bool:
    """Run the tests in a fork in which the module is replaced; whether they pass."""
    import pytest

    child = os.fork()
    if child == 0:
        signal.alarm(LIMIT_S)
        sys.meta_path.insert(0, finder)
        status = 1
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                status = int(pytest.main(["-q", "-x", "-p", "no:cacheprovider", "-m", "not faults", *tests]))
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("module", type=Path)
    parser.add_argument("tests", nargs="+")
    parser.add_argument("--part", default="1/1", help="a share of the changes, to try them in pieces: 2/5")
    parser.add_argument("-k", dest="expression", default="", help="which of the tests, as pytest's -k")
    options = parser.parse_args()
    options.tests += ["-k", options.expression]
    for name in ("numpy", "cv2", "torch", "scipy.signal", "av", "pydantic", "PIL.Image"):
        importlib.import_module(name)
    name = ".".join(options.module.with_suffix("").parts)
    part, parts = map(int, options.part.split("/"))
    source = options.module.read_text("utf-8")
    assert survives(Replaced(name, options.module, ast.parse(source)), options.tests), "the tests fail without a change"
    tried = list(mutants(source))[part - 1 :: parts]
    survivors = 0
    for number, (line, text, tree) in enumerate(tried, 1):
        print(f"\r{number} of {len(tried)}", end="", file=sys.stderr, flush=True)
        if survives(Replaced(name, options.module, tree), options.tests):
            survivors += 1
            print(f"{options.module}:{line}: {text}", flush=True)
    print(f"{len(tried)} changes, {survivors} not noticed")


if __name__ == "__main__":
    main()
