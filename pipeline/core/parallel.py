"""Runs work in parallel: in processes of this machine, or on the workers of a Dask cluster. Results are the same."""

import contextlib
import functools
import logging
import os
import secrets
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TypeVar

import cv2
import joblib
from joblib.externals import loky

from pipeline.core import signals, source_code
from pipeline.core.errors import UserError, log

# An environment variable and not a parameter: where a run happens is not part of the experiment, which others may repeat.
CLUSTER = "GENGA_CLUSTER"
CLUSTER_WAIT_S = 10
# Packages that decide which bytes a worker writes.
PACKAGES = (
    "av",
    "deflate",
    "joblib",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "pillow-heif",
    "scenedetect-headless",
    "scipy",
)

T = TypeVar("T")
R = TypeVar("R")
Home = tuple[Path, Path, dict[str, str]]
"""The project's folder, a file in it by which a worker recognizes it, and the identity() that workers must have."""


def map_parallel(work: Callable[[T], R], items: Sequence[T], workers: int, shared: Path) -> Iterator[R]:
    """Apply `work` to each item in parallel; yields results in the order of the items, as they become available.

    Where the environment variable GENGA_CLUSTER names a Dask scheduler (tcp://host:8786), its workers do the work; the items of
    a worker that dies are given to others.

    Args:
        workers: number of processes on this machine; 0: one per core. With 1, or a single item, the work stays in this process.
        shared: a folder of the project, where a file is placed meanwhile by which remote workers recognize the project.

    Raises:
        UserError: the cluster cannot be reached or is lost, or its workers have other code, other packages or another folder.
    """
    address = os.environ.get(CLUSTER, "")
    jobs = min(workers or joblib.cpu_count(), len(items))
    if len(items) < 2 or (jobs == 1 and not address):
        yield from map(work, items)
    elif address:
        with cluster(address, shared) as home:
            pool = joblib.Parallel(return_as="generator", batch_size="auto")
            # In a tuple, because joblib's Dask backend would scatter a large argument to one worker, and lose it with that one.
            yield from pool(joblib.delayed(_run_remotely)((work, item, home)) for item in items)
    else:
        pool = joblib.Parallel(n_jobs=jobs, return_as="generator", batch_size="auto")
        try:
            resource_tracker.ensure_running()  # which unblocks interrupts when it starts
            # No process is left half started, unknown to the pool; and none answers Ctrl-C, which this one does for them.
            with signals.deferred_signals() as stop, signals.blocked_interrupts():
                results = pool(joblib.delayed(_run_here)(work, item, Path.cwd(), os.getpid()) for item in items)
            stop.raise_if_received()
            yield from results
        except BaseException:  # the rest is not wanted any more; processes that are only starting would complain at length
            loky.get_reusable_executor(reuse=True).shutdown(wait=False, kill_workers=True)
            raise


def _run_here(work: Callable[[T], R], item: T, folder: Path, parent: int) -> R:
    _end_with(parent)
    return _run(work, item, folder)


_end_with = functools.cache(signals.end_with_parent)


def _run(work: Callable[[T], R], item: T, folder: Path) -> R:
    os.chdir(folder)  # joblib reuses its processes for later calls, which may come from another folder
    cv2.setNumThreads(1)  # processes already occupy all cores
    return work(item)


@contextlib.contextmanager
def cluster(address: str, shared: Path) -> Iterator[Home]:
    """Within the block, joblib's work goes to the workers of the Dask scheduler at `address`; yields what they need as `Home`.

    Args:
        shared: a folder of the project, where the file that `Home` names is placed during the block.

    Raises:
        UserError: Dask is not installed, no scheduler answers, it has fewer than two workers or one with several threads, or
            scheduler or workers are lost on the way.
    """
    try:
        import distributed
    except ImportError:
        raise UserError(
            f"{CLUSTER} is set, but Dask is not installed: pip install -e '.[cluster]', or unset {CLUSTER}"
        ) from None
    try:
        distributed.comm.resolve_address(address)  # Client logs much noise for an invalid one
        client = distributed.Client(address, timeout=CLUSTER_WAIT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        start = f"start one (dask scheduler), correct the address, or unset {CLUSTER}"
        raise UserError(f"{CLUSTER}: no Dask scheduler answers at {address} ({error}): {start}") from None
    for name in ("asyncio", "distributed", "distributed.client", "tornado.application"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # errors are reported below, in one line each
    shared.mkdir(parents=True, exist_ok=True)
    mark = shared.resolve() / f"cluster-{secrets.token_hex(8)}"
    mark.touch()
    try:
        client.wait_for_workers(2, timeout=CLUSTER_WAIT_S)  # with one worker joblib would work in this process
        if crowded := [worker for worker, threads in client.nthreads().items() if threads > 1]:
            raise UserError(
                f"the worker at {crowded[0]} runs several threads, which share one folder: start it with --nthreads 1"
            )
        log.info("%d workers of %s", len(client.nthreads()), address)
        with joblib.parallel_config(backend="dask", client=client):
            yield Path.cwd(), mark, identity()
    except TimeoutError:
        raise UserError(f"{address} has fewer than two workers: start some (dask worker {address} --nthreads 1)") from None
    except distributed.KilledWorker as error:
        raise UserError(f"{error}: give workers more memory (--memory-limit), or find the picture that exhausts it") from None
    except ModuleNotFoundError as error:
        raise UserError(f"a worker of {address} lacks {error.name}: install Genga where it runs (pip install -e .)") from None
    except Exception:  # joblib fails in various ways on the futures that Dask cancels
        if client.status == "running":
            raise
        raise UserError(f"the scheduler at {address} was lost: start it and its workers again, and repeat this") from None
    finally:
        client.close()
        mark.unlink(missing_ok=True)


def _run_remotely(task: tuple[Callable[[T], R], T, Home]) -> R:
    """Run `work` in a worker of a cluster, after checking that it has the same code, packages and folder as this machine."""
    work, item, (folder, mark, expected) = task
    own, host = identity(), socket.gethostname()
    if differing := [
        f"{name} {own.get(name)} instead of {value}" for name, value in expected.items() if own.get(name) != value
    ]:
        raise UserError(f"a worker on {host} has {', '.join(differing)}: install the same versions there and restart it")
    if not mark.exists():
        raise UserError(
            f"a worker on {host} does not see the project's folder {folder}: put it on a file system that all machines share"
        )
    return _run(work, item, folder)


@functools.cache
def identity() -> dict[str, str]:
    """Map "python" and each of `PACKAGES` to its version ("missing" if not installed), and "code" to the digest of pipeline/.

    Cached, as a process keeps the code it loaded.
    """
    code = source_code.digest((source_code.ROOT / "pipeline").rglob("*.py"))
    installed = {found.name.lower(): found.version for found in metadata.distributions()}
    versions = {name: installed.get(name, "missing") for name in PACKAGES}
    return {"python": ".".join(map(str, sys.version_info[:2])), **versions, "code": code}
