"""Work spread over processes: those of this machine, or those of a Dask cluster. What comes out is the same."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import secrets
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import TypeVar

import cv2
import joblib

from pipeline.core import source_code
from pipeline.core.errors import UserError

# In the environment and not in params.yaml: where a run happens is no part of what it is. A committed address would make an
# experiment that somebody else takes up look for a stranger's machines.
CLUSTER = "GENGA_CLUSTER"
CLUSTER_WAIT_S = 10
# What could change the bytes that a worker makes, besides our own code.
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

log = logging.getLogger("genga")

T = TypeVar("T")
R = TypeVar("R")
Home = tuple[Path, Path, dict[str, str]]  # the project's folder, a file to know it by, identity() of who asks


def spread(work: Callable[[T], R], items: Sequence[T], workers: int, shared: Path) -> Iterator[R]:
    """`work` on each item; results as they come, in the order of the items.

    Where the environment variable GENGA_CLUSTER names a Dask scheduler, its workers do it; one that dies has its items done by
    others.

    Args:
        workers: number of processes on this machine; 0 is one a core. With 1, or a single item, the work stays in this process.
        shared: a folder of the project to leave a file in for a while, by which workers elsewhere know the folder.

    Raises:
        UserError: the cluster cannot be reached, or its workers have other code, other packages or another folder.
    """
    address = os.environ.get(CLUSTER, "")
    jobs = min(workers or joblib.cpu_count(), len(items))
    if len(items) < 2 or (jobs == 1 and not address):
        yield from map(work, items)
    elif address:
        with cluster(address, shared) as home:
            pool = joblib.Parallel(return_as="generator", batch_size="auto")
            # Dask's backend would put a large argument into one worker's memory, to be lost with it; a tuple it leaves alone.
            yield from pool(joblib.delayed(_abroad)((work, item, home)) for item in items)
    else:
        pool = joblib.Parallel(n_jobs=jobs, return_as="generator", batch_size="auto")
        yield from pool(joblib.delayed(_alone)(work, item, Path.cwd()) for item in items)


def _alone(work: Callable[[T], R], item: T, folder: Path) -> R:
    # joblib keeps its processes for the next call, which may come from another folder.
    os.chdir(folder)
    # Processes are the parallelism here: OpenCV's own threads would only fight over the same cores.
    cv2.setNumThreads(1)
    return work(item)


@contextlib.contextmanager
def cluster(address: str, shared: Path) -> Iterator[Home]:
    """Within it, joblib's work goes to the workers of the Dask scheduler at `address`.

    Raises:
        UserError: Dask is not installed, nobody answers, there are no workers, or they (or the scheduler) are lost on the way.
    """
    try:
        import distributed
    except ImportError:
        raise UserError(
            f"{CLUSTER} is set, but Dask is not installed: pip install -e '.[cluster]', or unset {CLUSTER}"
        ) from None
    try:
        distributed.comm.resolve_address(address)  # a client made for a wrong one is loud when it goes
        client = distributed.Client(address, timeout=CLUSTER_WAIT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        start = f"start one (dask scheduler), mend the address, or unset {CLUSTER}"
        raise UserError(f"{CLUSTER}: no Dask scheduler answers at {address} ({error}): {start}") from None
    for name in ("asyncio", "distributed", "distributed.client", "tornado.application"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what is wrong we say ourselves, in one line
    shared.mkdir(parents=True, exist_ok=True)
    mark = shared.resolve() / f"cluster-{secrets.token_hex(8)}"
    mark.touch()
    try:
        client.wait_for_workers(2, timeout=CLUSTER_WAIT_S)  # with one, joblib would do all the work here
        if crowded := [worker for worker, threads in client.nthreads().items() if threads > 1]:
            raise UserError(
                f"the worker at {crowded[0]} runs several threads, which share one folder: start it with --nthreads 1"
            )
        log.info("%d workers of %s", len(client.nthreads()), address)
        with joblib.parallel_config(backend="dask", client=client):
            yield Path.cwd(), mark, identity()
    except TimeoutError:
        raise UserError(f"{address} has not even two workers: start some (dask worker {address} --nthreads 1)") from None
    except distributed.KilledWorker as error:
        raise UserError(f"{error}: give workers more memory (--memory-limit), or find the picture that does it") from None
    except ModuleNotFoundError as error:
        raise UserError(f"a worker of {address} lacks {error.name}: install Genga where it runs (pip install -e .)") from None
    except Exception:
        if client.status == "running":
            raise
        # joblib takes what Dask calls off for results and stumbles over it somewhere: the reason is this.
        raise UserError(f"the scheduler at {address} went away: start it and its workers again, then dvc repro") from None
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
        raise UserError(f"a worker on {host} has {', '.join(differing)}: install the same there and start it again")
    if not mark.exists():
        raise UserError(
            f"a worker on {host} does not see the project's folder {folder}: put it on a file system that all machines share"
        )
    return _alone(work, item, folder)


@functools.cache
def identity() -> dict[str, str]:
    """Code and packages of this process; the code as first asked for, as a worker goes on running what it once loaded."""
    code = source_code.digest((source_code.ROOT / "pipeline").rglob("*.py"))
    installed = {found.name.lower(): found.version for found in metadata.distributions()}
    versions = {name: installed.get(name, "missing") for name in PACKAGES}
    return {"python": ".".join(map(str, sys.version_info[:2])), **versions, "code": code}
