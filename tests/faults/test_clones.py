"""Two clones in folders of other names, with another locale, time zone, hash seed and number of workers, make the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.conftest import tree
from tests.support.clone import Project

pytestmark = [pytest.mark.slow, pytest.mark.faults]


def test_a_clone_elsewhere_makes_the_same_bytes(finished: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"LC_ALL": "C", "TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "7", "COLUMNS": "40"}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "写 a folder").mkdir()
    project = Project(tmp_path / "写 a folder")
    project.set({"workers": 1})
    project.repro()
    assert tree(project.folder / "data") == tree(finished.folder / "data")
    assert (project.folder / "dvc.lock").read_text() == (finished.folder / "dvc.lock").read_text()
