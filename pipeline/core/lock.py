"""One process at a time at a piece of work: the others are told, and nothing is left behind however a process ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def alone(lock: Path) -> Iterator[bool]:
    """Whether nobody else is within the same lock now; a file, taken away by who holds it.

    The system gives the lock back when a process ends, killed ones too: a file that is left means nothing.
    """
    while True:
        with lock.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            # Between opening and locking, who held it may have taken it away: then this one is locked in vain.
            if not _lies_at(file.fileno(), lock):
                continue
            try:
                yield True
            finally:
                lock.unlink(missing_ok=True)
            return


def _lies_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False
