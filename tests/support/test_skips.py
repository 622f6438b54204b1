"""The list at the end of a test run that says what was skipped."""

from __future__ import annotations

from tests.support import skips


def test_reasons_are_counted_and_say_how_to_run_the_tests() -> None:
    lines = list(skips.summary(["no browser: apt-get install chromium", "no node", "no browser: apt-get install chromium"]))
    assert lines == ["   2  no browser\n      to run them: apt-get install chromium", "   1  no node"]
    assert list(skips.summary([])) == []
