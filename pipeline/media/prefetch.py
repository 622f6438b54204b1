"""Computing items of a generator ahead of their use, on a thread: a chain of them runs as fast as its slowest part."""

from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def prefetch(items: Generator[T], count: int) -> Generator[T]:
    """Yield the items of a generator in order, while a thread computes up to `count` of the next ones.

    An exception of `items` is raised here, after the items before it. Closing this generator closes `items` too, after the item
    being computed.
    """
    end = object()
    with ThreadPoolExecutor(1, "prefetch") as thread:
        pending: deque[Future[object]] = deque(thread.submit(next, items, end) for _ in range(count))
        try:
            while (item := pending.popleft().result()) is not end:
                pending.append(thread.submit(next, items, end))
                yield item  # type: ignore[misc]
        finally:
            for future in pending:
                future.cancel()
            thread.submit(items.close).result()
