"""The first signal is deferred, the second acts, and handlers are restored."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from pipeline.core.signals import StopRequest, blocked_interrupts, deferred_signals


@pytest.mark.parametrize(
    ("number", "error", "code"), [(signal.SIGINT, KeyboardInterrupt, None), (signal.SIGTERM, SystemExit, 143)]
)
def test_a_signal_is_recorded_and_raised_on_request(
    number: signal.Signals, error: type[BaseException], code: int | None
) -> None:
    before = signal.getsignal(number)
    with deferred_signals() as request:
        request.raise_if_received()
        signal.raise_signal(number)
        assert request.signal is number
        assert signal.getsignal(number) == before, "a second signal acts as usual"
        with pytest.raises(error) as raised:
            request.raise_if_received()
    assert code is None or (isinstance(raised.value, SystemExit) and raised.value.code == code)
    assert signal.getsignal(number) == before


def test_a_second_interrupt_is_not_deferred() -> None:
    with pytest.raises(KeyboardInterrupt), deferred_signals() as request:
        signal.raise_signal(signal.SIGINT)
        assert request.signal is signal.SIGINT
        signal.raise_signal(signal.SIGINT)


def test_other_threads_leave_handlers_alone() -> None:
    before, seen = signal.getsignal(signal.SIGINT), list[object]()

    def work() -> None:
        with deferred_signals() as request:
            seen.extend((signal.getsignal(signal.SIGINT), request.signal))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before, None]


def test_nothing_is_raised_without_a_signal() -> None:
    StopRequest().raise_if_received()


def test_processes_started_while_interrupts_are_blocked_do_not_receive_them() -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGINT); print('went on')"
    with pytest.raises(KeyboardInterrupt), blocked_interrupts():
        signal.raise_signal(signal.SIGINT)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == "went on\n"
