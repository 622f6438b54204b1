"""The shell of every stage: params in, an out folder moved in whole, progress, faults told in one line.

It never shapes what a stage makes.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import logging
import os
import secrets
import shutil
import socket
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from importlib import metadata
from pathlib import Path
from typing import NoReturn, TypeVar

import cv2
import joblib
from tqdm import tqdm

from pipeline.faults import Fault
from pipeline.params import Params, load

DATA = Path("data")
PARTIAL = DATA / ".partial"
METRICS = "metrics.json"
# In the environment and not in params.yaml: where a run happens is no part of what it is. A committed address would make an
# experiment that somebody else takes up look for a stranger's machines.
CLUSTER = "GENGA_CLUSTER"
CLUSTER_WAIT_S = 10
# What could change the bytes that a worker makes, besides our own code.
PACKAGES = ("av", "joblib", "numpy", "opencv-python-headless", "pillow", "scenedetect-headless", "scipy")

log = logging.getLogger("genga")

T = TypeVar("T")
R = TypeVar("R")
Metrics = Mapping[str, float]


def main(name: str, run: Callable[[Params, Path], Metrics]) -> NoReturn:
    """Run a stage as a program: `run` fills a folder that becomes data/`name`, or nothing does.

    Exit status 0 when done, 2 for a Fault (one line on standard error), 130 when interrupted.
    """
    guarded(name, lambda: execute(name, run, load()))


def guarded(name: str, work: Callable[[], object]) -> NoReturn:
    """Do the work of a program called `name` and exit as `main` says."""
    logging.basicConfig(level=logging.INFO, format=f"{name}: %(message)s", stream=sys.stderr, force=True)
    try:
        work()
    except Fault as fault:
        print(f"{name}: error: {fault}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(f"{name}: interrupted; nothing half-written is left", file=sys.stderr)
        sys.exit(130)
    sys.exit(0)


def execute(name: str, run: Callable[[Params, Path], Metrics], params: Params, data: Path = DATA) -> Path:
    """Run a stage into `data`/`name`: written aside first, moved in whole when it has succeeded.

    Returns:
        The stage's folder, which holds what `run` wrote and `metrics.json`.
    """
    out = data / name
    # Under a name of its own: a remote worker that has not yet heard of the end of an earlier run writes into nothing.
    aside = data / PARTIAL.name / name / secrets.token_hex(4)
    shutil.rmtree(aside.parent, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        metrics = run(params, aside)
        write_json(aside / METRICS, metrics)
        for path in aside.rglob(".*"):  # what a worker that was killed had begun to write; nothing of ours is hidden
            path.unlink()
        replace(aside, out)
    finally:
        shutil.rmtree(aside.parent, ignore_errors=True)
    log.info("%s", ", ".join(f"{key} {value:.4g}" for key, value in metrics.items()) or "done")
    return out


def replace(new: Path, old: Path) -> None:
    """Move a finished folder to where an older one may stand; neither is ever seen half there."""
    old.parent.mkdir(parents=True, exist_ok=True)
    if old.exists():
        grave = new.with_name(new.name + ".old")
        shutil.rmtree(grave, ignore_errors=True)
        os.replace(old, grave)
        os.replace(new, old)
        shutil.rmtree(grave)
    else:
        os.replace(new, old)


def write_json(path: Path, value: object) -> None:
    """Write JSON for people and diffs: indented, keys in the given order, one newline at the end."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")


def bar(what: str, unit: str = "", total: int | None = None, initial: int = 0) -> tqdm[NoReturn]:
    """A progress bar on standard error; sparse lines where that is no terminal."""
    calm = not sys.stderr.isatty()
    return tqdm(
        desc=what,
        unit=f" {unit}" if unit else "it",
        total=total,
        initial=initial,
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
    (tcp://host:8786), its workers; what comes out is the same. A worker of a cluster that dies has its items done by others.

    Args:
        workers: number of processes on this machine; 0 is one a core. With 1, or a single item, the work stays in this process.

    Raises:
        Fault: the cluster cannot be reached, or its workers have other code, other packages or another folder.
    """
    todo = list(items)
    address = os.environ.get(CLUSTER, "")
    jobs = min(workers or joblib.cpu_count(), len(todo))
    if len(todo) < 2 or (jobs == 1 and not address):
        yield from progress(map(work, todo), what, unit, len(todo))
    elif address:
        with cluster(address) as home:
            pool = joblib.Parallel(return_as="generator", batch_size="auto")
            # Dask's backend would put a large argument into one worker's memory, to be lost with it; a tuple it leaves alone.
            calls = (joblib.delayed(_abroad)((work, item, home)) for item in todo)
            yield from progress(pool(calls), what, unit, len(todo))
    else:
        pool = joblib.Parallel(n_jobs=jobs, return_as="generator", batch_size="auto")
        yield from progress(pool(joblib.delayed(_alone)(work, item, Path.cwd()) for item in todo), what, unit, len(todo))


def _alone(work: Callable[[T], R], item: T, folder: Path) -> R:
    # joblib keeps its processes for the next call, which may come from another folder.
    os.chdir(folder)
    # Processes are the parallelism here: OpenCV's own threads would only fight over the same cores.
    cv2.setNumThreads(1)
    return work(item)


Home = tuple[Path, Path, dict[str, str]]  # the project's folder, a file to know it by, identity() of who asks


@contextlib.contextmanager
def cluster(address: str) -> Iterator[Home]:
    """Within it, joblib's work goes to the workers of the Dask scheduler at `address`.

    Raises:
        Fault: Dask is not installed, nobody answers, there are no workers, or they (or the scheduler) are lost on the way.
    """
    try:
        import distributed
    except ImportError:
        raise Fault(f"{CLUSTER} is set, but Dask is not installed: pip install -e '.[cluster]', or unset {CLUSTER}") from None
    try:
        distributed.comm.resolve_address(address)  # a client made for a wrong one is loud when it goes
        client = distributed.Client(address, timeout=CLUSTER_WAIT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        start = f"start one (dask scheduler), mend the address, or unset {CLUSTER}"
        raise Fault(f"{CLUSTER}: no Dask scheduler answers at {address} ({error}): {start}") from None
    for name in ("asyncio", "distributed", "distributed.client", "tornado.application"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what is wrong we say ourselves, in one line
    PARTIAL.mkdir(parents=True, exist_ok=True)
    mark = PARTIAL.resolve() / f"cluster-{secrets.token_hex(8)}"
    mark.touch()
    try:
        client.wait_for_workers(2, timeout=CLUSTER_WAIT_S)  # with one, joblib would do all the work here
        if crowded := [worker for worker, threads in client.nthreads().items() if threads > 1]:
            raise Fault(f"the worker at {crowded[0]} runs several threads, which share one folder: start it with --nthreads 1")
        log.info("%d workers of %s", len(client.nthreads()), address)
        with joblib.parallel_config(backend="dask", client=client):
            yield Path.cwd(), mark, identity()
    except TimeoutError:
        raise Fault(f"{address} has not even two workers: start some (dask worker {address} --nthreads 1)") from None
    except distributed.KilledWorker as error:
        raise Fault(f"{error}: give workers more memory (--memory-limit), or find the picture that does it") from None
    except ModuleNotFoundError as error:
        raise Fault(f"a worker of {address} lacks {error.name}: install Genga where it runs (pip install -e .)") from None
    except Exception:
        if client.status == "running":
            raise
        # joblib takes what Dask calls off for results and stumbles over it somewhere: the reason is this.
        raise Fault(f"the scheduler at {address} went away: start it and its workers again, then dvc repro") from None
    finally:
        client.close()
        mark.unlink(missing_ok=True)


def _abroad(task: tuple[Callable[[T], R], T, Home]) -> R:
    """An item's work in a worker of a cluster, once it is sure that the worker would do it as this machine does."""
    work, item, (folder, mark, expected) = task
    own, host = identity(), socket.gethostname()
    if differing := [
        f"{name} {own.get(name)} where {value} is asked for" for name, value in expected.items() if own.get(name) != value
    ]:
        raise Fault(f"a worker on {host} has {', '.join(differing)}: install the same there and start it again")
    if not mark.exists():
        raise Fault(
            f"a worker on {host} does not see the project's folder {folder}: put it on a file system that all machines share"
        )
    return _alone(work, item, folder)


@functools.cache
def identity() -> dict[str, str]:
    """Code and packages of this process; the code as first asked for, as a worker goes on running what it once loaded."""
    code = hashlib.blake2b(digest_size=6)
    for path in sorted(Path(__file__).parent.glob("*.py")):
        code.update(path.name.encode() + b"\0" + path.read_bytes())
    installed = {found.name.lower(): found.version for found in metadata.distributions()}
    versions = {name: installed.get(name, "missing") for name in PACKAGES}
    return {"python": ".".join(map(str, sys.version_info[:2])), **versions, "code": code.hexdigest()}
