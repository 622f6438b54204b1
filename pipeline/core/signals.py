"""SIGTERM and Ctrl-C while something runs that is worth keeping: noted, and left to the loop to obey."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any


class StopRequest:
    """Whether the process was asked to leave, and by which signal."""

    def __init__(self) -> None:
        self.by: signal.Signals | None = None

    def obey(self) -> None:
        """Leave, as the signal would have made us: status 130 or 143 at the end."""
        if self.by is signal.SIGINT:
            raise KeyboardInterrupt
        if self.by is not None:
            raise SystemExit(128 + self.by)


@contextlib.contextmanager
def deferred_signals() -> Iterator[StopRequest]:
    """Within the block the first SIGTERM or Ctrl-C is only noted; a second one does what it always did."""
    asked, before = StopRequest(), dict[signal.Signals, Any]()

    def note(number: int, _: FrameType | None) -> None:
        asked.by = signal.Signals(number)
        for known, handler in before.items():
            signal.signal(known, handler)

    if threading.current_thread() is threading.main_thread():  # no other may set handlers, nor gets signals
        before.update((number, signal.signal(number, note)) for number in (signal.SIGTERM, signal.SIGINT))
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
