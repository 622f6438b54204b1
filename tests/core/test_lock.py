"""A lock between processes, and between threads of one."""

from __future__ import annotations

import threading
from pathlib import Path

from pipeline.core.lock import alone


def test_only_one_thread_at_a_time_holds_the_lock(tmp_path: Path) -> None:
    lock, holders, most, acquisitions = tmp_path / "lock", [0], [0], [0]

    def work() -> None:
        for _ in range(200):
            with alone(lock) as acquired:
                if acquired:
                    holders[0] += 1
                    most[0] = max(most[0], holders[0])
                    acquisitions[0] += 1
                    holders[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 1 and acquisitions[0] >= 200 and not lock.exists()
