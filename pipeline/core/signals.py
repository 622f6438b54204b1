"""Signals: deferred until a loop has saved its work, raised as exceptions, and sent when the parent process ends."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

import psutil

CHILD = "GENGA_CHILD"
"""Environment variable: set for a program that is to end when the one that started it ends."""
_SHELLS = {"sh", "bash", "dash", "zsh", "ksh", "fish"}


class StopRequest:
    """Whether the process has been asked to stop, and by which signal."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def raise_if_received(self) -> None:
        """Raise KeyboardInterrupt (exit status 130) after Ctrl-C, SystemExit (143) after SIGTERM; else do nothing."""
        if self.signal is signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal is not None:
            raise SystemExit(128 + self.signal)


@contextlib.contextmanager
def deferred_signals() -> Iterator[StopRequest]:
    """Within the block, record the first SIGTERM or Ctrl-C in the request yielded; a second one acts as usual.

    The end of the block does not act on it either: call `raise_if_received`. In threads other than the main one, which receive
    no signals, the block changes nothing.
    """
    request, handlers = StopRequest(), dict[signal.Signals, Any]()

    def record(number: int, _: FrameType | None) -> None:
        request.signal = signal.Signals(number)
        restore()

    def restore() -> None:
        for number, handler in handlers.items():
            signal.signal(number, handler)

    if threading.current_thread() is threading.main_thread():
        handlers.update((number, signal.signal(number, record)) for number in (signal.SIGTERM, signal.SIGINT))
    try:
        yield request
    finally:
        restore()


@contextlib.contextmanager
def blocked_interrupts() -> Iterator[None]:
    """Make Ctrl-C (SIGINT) to this thread wait until the block ends; processes started in the block never receive it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def raise_on_termination() -> None:
    """Make SIGTERM and SIGHUP raise SystemExit, so that unfinished files are removed; a second one ends the process at once.

    A signal that is ignored, as nohup does with SIGHUP, stays ignored. In threads other than the main one nothing is changed.
    """

    def leave(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise SystemExit(128 + number)

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, leave)


def end_with_parent(parent: int) -> None:
    """Watch, on a thread, for the end of the process that started this one, and send this one SIGTERM then.

    The thread looks twice a second; prctl exists only on Linux and takes a thread's end for its process's.

    Args:
        parent: id of the parent process; SIGTERM is sent at once if it has ended already. If it is a shell, this process also
            ends with the shell's own parent.
    """

    def ancestors() -> list[int]:
        own = os.getppid()
        with contextlib.suppress(psutil.Error):
            above = psutil.Process(own)
            return [own, above.ppid()] if above.name() in _SHELLS else [own]
        return [own]

    def watch(before: list[int]) -> None:
        while ancestors() == before:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    started = ancestors()
    if started[0] != parent:
        os.kill(os.getpid(), signal.SIGTERM)
    threading.Thread(target=watch, args=(started,), daemon=True).start()
