"""What tests of graphs that are exported and kept share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.exported import add_row, count_exports


@pytest.fixture
def graph_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which exported graphs are kept: empty, and not the user's own."""
    add_row(monkeypatch)
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / "cache" / name)
    return tmp_path / "cache/genga/graphs"


@pytest.fixture
def exports(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with each export, which is replaced by the small generator's file."""
    return count_exports(monkeypatch)
