"""The shell of every stage: params in, an out folder moved in whole, progress, faults told in one line.

It never shapes what a stage makes.
"""

from __future__ import annotations

import argparse
import functools
import logging
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
from pipeline.core.errors import UserError
from pipeline.core.parallel import spread

DATA = Path("data")
PARTIAL = DATA / ".partial"
METRICS = "metrics.json"
# What a stage of each source makes: data/STAGE/pictures/SOURCE and, apart, what is told of them (manifest, contact sheet):
# data/STAGE/about/SOURCE. Who reads pictures depends on the latter alone; why is told in `manifest`.
PICTURES, ABOUT = "pictures", "about"
_SOURCE = re.compile(r"((anime|photo)/)?[A-Za-z0-9][A-Za-z0-9_-]*")

log = logging.getLogger("genga")

T = TypeVar("T")
R = TypeVar("R")
P = TypeVar("P")
Metrics = Mapping[str, float]
Numbers = dict[str, float]


def main(
    name: str, run: Callable[[P, Path], Metrics], load: Callable[[], P], done: Callable[[], None] | None = None
) -> NoReturn:
    """Run a stage as a program: `run` fills a folder that becomes data/`name`, or nothing does.

    Args:
        run: given the parameters and an empty folder, fills the folder and returns metrics.
        load: reads the parameters.
        done: called when the folder is in its place.

    Exit status 0 when done, 2 for a UserError (one line on standard error), 130 when interrupted.
    """
    guarded(name, lambda: execute(name, run, load(), done=done))


def main_of_source(name: str, run: Callable[..., Metrics], load: Callable[[], object], what: str) -> NoReturn:
    """Run a stage that each source has for itself, as a program named that source.

    It fills data/`name`/about/SOURCE, and data/`name`/pictures/SOURCE from what `run` leaves in a folder `pictures`.

    Args:
        what: describes the argument.
    """

    def source(text: str) -> str:
        if not _SOURCE.fullmatch(text):
            raise argparse.ArgumentTypeError(f"expected {what}, got {text!r}")
        return text

    parser = argparse.ArgumentParser(prog=name)
    parser.add_argument("source", help=what, type=source)
    chosen = parser.parse_args().source
    guarded(f"{name}/{chosen}", lambda: execute(name, functools.partial(run, source=chosen), load(), source=chosen))


def guarded(name: str, work: Callable[[], object]) -> NoReturn:
    """Do the work of a program called `name` and exit as `main` says."""
    logging.basicConfig(level=logging.INFO, format=f"{name}: %(message)s", stream=sys.stderr, force=True)
    try:
        work()
    except UserError as fault:
        print(f"{name}: error: {fault}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(f"{name}: interrupted; nothing half-written is left", file=sys.stderr)
        sys.exit(130)
    sys.exit(0)


def execute(
    name: str,
    run: Callable[[P, Path], Metrics],
    params: P,
    data: Path = DATA,
    done: Callable[[], None] | None = None,
    source: str | None = None,
) -> Path:
    """Run a stage into `data`/`name`: written aside first, moved in whole when it has succeeded.

    Args:
        done: called when the folder is in its place.
        source: run it for this source: into `data`/`name`/about/`source`, but the folder `pictures` of what it wrote into
            `data`/`name`/pictures/`source`.

    Returns:
        The stage's folder (about the source), which holds what `run` wrote and `metrics.json`.
    """
    out = data / name if source is None else data / name / ABOUT / source
    # Under a name of its own: a remote worker that has not yet heard of the end of an earlier run writes into nothing.
    aside = data / PARTIAL.name / name / (source or "") / secrets.token_hex(4)
    shutil.rmtree(aside.parent, ignore_errors=True)
    (aside if source is None else aside / PICTURES).mkdir(parents=True)
    try:
        metrics = run(params, aside)
        files.write_json(aside / METRICS, metrics)
        for path in aside.rglob(".*"):  # what a worker that was killed had begun to write; nothing of ours is hidden
            path.unlink()
        if source is not None:
            files.replace_folder(aside / PICTURES, data / name / PICTURES / source)
        files.replace_folder(aside, out)
        if done is not None:
            done()
    finally:
        if aside.exists():  # renamed first: what such a worker still wrote would keep the folder from being removed
            os.replace(aside, aside.with_name("gone"))
        shutil.rmtree(aside.parent, ignore_errors=True)
    log.info("%s", ", ".join(f"{key} {value:.4g}" for key, value in metrics.items()) or "done")
    return out


def bar(what: str, unit: str = "", total: int | None = None, initial: int = 0, hidden: bool = False) -> tqdm[NoReturn]:
    """A progress bar on standard error; sparse lines where that is no terminal."""
    calm = not sys.stderr.isatty()
    return tqdm(
        desc=what,
        unit=f" {unit}" if unit else "it",
        total=total,
        initial=initial,
        disable=hidden,
        mininterval=20 if calm else 0.2,
        dynamic_ncols=not calm,
    )


def progress(items: Iterable[T], what: str, unit: str = "", total: int | None = None) -> Iterator[T]:
    """The items, with a progress bar on standard error; sparse lines where that is no terminal."""
    with bar(what, unit, len(items) if total is None and isinstance(items, Sized) else total) as shown:
        for item in items:
            yield item
            shown.update()


def parallel(work: Callable[[T], R], items: Iterable[T], workers: int, what: str, unit: str = "") -> Iterator[R]:
    """`work` on each item in processes, results in the order of the items, with a progress bar.

    They are processes of this machine, or, where the environment variable GENGA_CLUSTER names a Dask scheduler
    (tcp://host:8786), its workers; what comes out is the same.

    Args:
        workers: number of processes on this machine; 0 is one a core. With 1, or a single item, the work stays in this process.

    Raises:
        UserError: the cluster cannot be reached, or its workers have other code, other packages or another folder.
    """
    todo = list(items)
    yield from progress(spread(work, todo, workers, PARTIAL), what, unit, len(todo))
