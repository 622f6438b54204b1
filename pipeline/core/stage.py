"""Running a stage as a program: parameters, an output folder that is written whole or not at all, progress, exit status."""

from __future__ import annotations

import argparse
import functools
import os
import re
import secrets
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from pathlib import Path
from typing import NoReturn, TypeVar

from tqdm import tqdm

from pipeline.core import files
from pipeline.core.errors import log
from pipeline.core.parallel import map_parallel
from pipeline.core.program import run_as_program
from pipeline.core.text import printable

DATA = Path("data")
PARTIAL = DATA / ".partial"
METRICS = "metrics.json"
# A stage that runs once for each source writes its pictures to data/STAGE/pictures/SOURCE, and its manifest and contact
# sheets to data/STAGE/about/SOURCE, on which alone readers of the pictures depend (see pipeline.core.manifest).
PICTURES, ABOUT = "pictures", "about"
_SOURCE = re.compile(r"((anime|photo)/)?[A-Za-z0-9][A-Za-z0-9_-]*")

T = TypeVar("T")
R = TypeVar("R")
P = TypeVar("P")
Metrics = Mapping[str, float]
Numbers = dict[str, float]


def main(
    name: str, run: Callable[[P, Path], Metrics], load: Callable[[], P], done: Callable[[], None] | None = None
) -> NoReturn:
    """Run a stage as a program, with the exit status of `run_as_program`.

    Args:
        run: given the parameters and an empty folder, fills the folder, which becomes data/`name`, and returns metrics.
        load: reads the parameters.
        done: called when the folder is in its place.
    """
    run_as_program(name, lambda: execute(name, run, load(), done=done))


def main_of_source(name: str, run: Callable[..., Metrics], load: Callable[[], object], what: str) -> NoReturn:
    """Run a stage for one source, which is the program's only argument, with the exit status of `run_as_program`.

    Args:
        run: as in `main`, with the keyword argument `source` besides; writes pictures into the folder's `pictures`.
        load: reads the parameters.
        what: describes the argument in help and errors.
    """

    def source(text: str) -> str:
        if not _SOURCE.fullmatch(text):
            raise argparse.ArgumentTypeError(f"expected {what}, got {text!r}")
        return text

    parser = argparse.ArgumentParser(prog=name)
    parser.add_argument("source", help=what, type=source)
    chosen = parser.parse_args().source
    run_as_program(f"{name}/{chosen}", lambda: execute(name, functools.partial(run, source=chosen), load(), source=chosen))


def execute(
    name: str,
    run: Callable[[P, Path], Metrics],
    params: P,
    data: Path = DATA,
    done: Callable[[], None] | None = None,
    source: str | None = None,
) -> Path:
    """Run a stage into a temporary folder, which replaces the stage's folder when `run` has succeeded.

    If another run of the stage is at work in this project, this one first waits until it has ended.

    Args:
        run: as in `main`.
        data: the folder data/ of the project.
        done: called when the folder is in its place.
        source: the source that the stage runs for, if it runs for each: the folder becomes `data`/`name`/about/`source`, and
            its subfolder `pictures` becomes `data`/`name`/pictures/`source`.

    Returns:
        The stage's folder, with what `run` wrote, and metrics.json with what it returned.
    """
    place = data / PARTIAL.name / name / (source or "")
    place.parent.mkdir(parents=True, exist_ok=True)
    busy = f"another run of this stage is at work (it holds {place}.lock): waiting until it ends"
    with files.locked(place.with_name(f"{place.name}.lock"), busy, wait=True):
        return _execute(name, run, params, data, done, source)


def _execute(
    name: str, run: Callable[[P, Path], Metrics], params: P, data: Path, done: Callable[[], None] | None, source: str | None
) -> Path:
    out = data / name if source is None else data / name / ABOUT / source
    # Its name is new each time: a remote worker left over from an earlier run writes to a folder that is gone.
    temporary = data / PARTIAL.name / name / (source or "") / secrets.token_hex(4)
    shutil.rmtree(temporary.parent, ignore_errors=True)
    (temporary if source is None else temporary / PICTURES).mkdir(parents=True)
    try:
        metrics = run(params, temporary)
        files.write_json(temporary / METRICS, metrics)
        for path in temporary.rglob(".*"):  # unfinished files of workers that were killed (see `files.replacing`)
            path.unlink()
        if source is not None:
            files.replace_folder(temporary / PICTURES, data / name / PICTURES / source)
        files.replace_folder(temporary, out)
        if done is not None:
            done()
    finally:
        if temporary.exists():  # renamed first, else a worker that still writes could keep it from being removed
            os.replace(temporary, temporary.with_name("gone"))
        shutil.rmtree(temporary.parent, ignore_errors=True)
    log.info("%s", ", ".join(f"{key} {value:.4g}" for key, value in metrics.items()) or "done")
    return out


def progress_bar(what: str, unit: str = "", total: int | None = None, initial: int = 0, hidden: bool = False) -> tqdm[NoReturn]:
    """Create a progress bar on standard error, updated rarely where that is not a terminal."""
    terminal = sys.stderr.isatty()
    return tqdm(
        desc=printable(what, 40),
        unit=f" {unit}" if unit else "it",
        total=total,
        initial=initial,
        disable=hidden,
        mininterval=0.2 if terminal else 20,
        dynamic_ncols=terminal,
    )


def progress(items: Iterable[T], what: str, unit: str = "", total: int | None = None) -> Iterator[T]:
    """Yield the items while a progress bar titled `what` counts them; `total` is their number, if they have no length."""
    with progress_bar(what, unit, len(items) if total is None and isinstance(items, Sized) else total) as bar:
        for item in items:
            yield item
            bar.update()


def parallel(work: Callable[[T], R], items: Iterable[T], workers: int, what: str, unit: str = "") -> Iterator[R]:
    """Yield the results of `work` for each item, in order, by `pipeline.core.parallel.map_parallel` with a progress bar."""
    todo = list(items)
    yield from progress(map_parallel(work, todo, workers, PARTIAL), what, unit, len(todo))
