"""What a run of the tests skipped, grouped by reason; a reason names what is missing and, after a colon, how to get it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator


def reason_of(report: object) -> str:
    """The reason of a skipped test's report."""
    text = getattr(report, "longrepr", None)
    reason = text[2] if isinstance(text, tuple) else getattr(report, "wasxfail", "") or str(text)
    return str(reason).removeprefix("Skipped: ")


def summary(reasons: Iterable[str]) -> Iterator[str]:
    """One line for each reason, the most frequent first: how many tests, what is missing, how to get it."""
    for reason, count in Counter(reasons).most_common():
        missing, _, remedy = reason.partition(": ")
        yield f"{count:4}  {missing}" + (f"\n      to run {'it' if count == 1 else 'them'}: {remedy}" if remedy else "")
