"""Work on a thread of its own, some items ahead of who asks for them: a chain of such runs as fast as its slowest part."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

_LOOK_S = 0.1  # how often a thread that waits for room looks whether anybody still wants its items


class _Sent(NamedTuple, Generic[T]):
    item: T | None = None
    error: BaseException | None = None
    ended: bool = False


def ahead(items: Generator[T], depth: int) -> Generator[T]:
    """The items in order, up to `depth` of them made before they are asked for; what making one raises is raised here.

    Closing it, or an error, closes `items` too, and waits for the item being made.
    """
    waiting: queue.Queue[_Sent[T]] = queue.Queue(depth)
    unwanted = threading.Event()

    def send(sent: _Sent[T]) -> None:
        while not unwanted.is_set():
            try:
                return waiting.put(sent, timeout=_LOOK_S)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in items:
                send(_Sent(item))
                if unwanted.is_set():
                    break
            items.close()
            send(_Sent(ended=True))
        except BaseException as error:
            send(_Sent(error=error))

    thread = threading.Thread(target=work, name="ahead", daemon=True)
    thread.start()
    try:
        while not (sent := waiting.get()).ended:
            if sent.error is not None:
                raise sent.error
            yield sent.item  # type: ignore[misc]
    finally:
        unwanted.set()
        thread.join()
