"""Items computed ahead on a thread."""

from __future__ import annotations

import threading
from collections.abc import Generator

import pytest

from pipeline.core.errors import UserError
from pipeline.media.prefetch import prefetch


class Source:
    """A generator that records how far it was run and that it was closed."""

    def __init__(self, end: int, fails: bool = False) -> None:
        self.made, self.closed, self._end, self._fails = 0, False, end, fails
        self.ahead = threading.Semaphore(0)

    def items(self) -> Generator[int]:
        try:
            for number in range(self._end):
                self.made += 1
                self.ahead.release()
                yield number
            if self._fails:
                raise UserError("broken")
        finally:
            self.closed = True


@pytest.mark.parametrize("count", [1, 3, 200])
def test_items_come_in_order_and_the_source_is_closed(count: int) -> None:
    source = Source(50)
    assert list(prefetch(source.items(), count)) == list(range(50))
    assert source.closed


def test_items_are_computed_before_they_are_asked_for_but_no_more_than_count() -> None:
    source = Source(1000)
    some = prefetch(source.items(), 3)
    assert next(some) == 0
    for _ in range(4):
        assert source.ahead.acquire(timeout=10)
    some.close()
    assert source.made == 4 and source.closed


def test_an_exception_comes_after_the_items_before_it_through_a_chain() -> None:
    source, got = Source(7, fails=True), []
    with pytest.raises(UserError, match="broken"):
        for number in prefetch(prefetch(source.items(), 2), 2):
            got.append(number)
    assert got == list(range(7)) and source.closed


def test_closing_one_of_a_chain_closes_all() -> None:
    source = Source(1000)
    some = prefetch(prefetch(source.items(), 2), 2)
    assert next(some) == 0
    some.close()
    assert source.closed and source.made < 10
