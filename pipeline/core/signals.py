"""Deferring SIGTERM and Ctrl-C until a loop has saved its work."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any


class StopRequest:
    """Whether the process has been asked to stop, and by which signal."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def raise_if_received(self) -> None:
        """Raise what the signal would have: KeyboardInterrupt (exit status 130), or SystemExit (143) for SIGTERM."""
        if self.signal is signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal is not None:
            raise SystemExit(128 + self.signal)


@contextlib.contextmanager
def deferred_signals() -> Iterator[StopRequest]:
    """Within the block, record the first SIGTERM or Ctrl-C instead of acting on it; a second one acts as usual.

    In threads other than the main one, which receive no signals, the block changes nothing.
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
