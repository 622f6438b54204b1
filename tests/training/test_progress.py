"""Progress of a training: written and read back; a process that ended is not running."""

import os
from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.training import progress


def test_the_newest_progress_is_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENGA_WORK", str(tmp_path))
    assert progress.read_newest() is None
    progress.write("pretrain", 8, 8, 2.0, tmp_path / "p", finished=True)
    progress.write("train", 4, 16, 3.5, tmp_path / "t", finished=False)
    found = progress.read_newest()
    assert found is not None and (found.stage, found.images_seen, found.images, found.images_per_s) == ("train", 4, 16, 3.5)
    assert found.process == os.getpid() and found.running() is True
    assert found.model_copy(update={"finished": True}).running() is False
    assert found.model_copy(update={"written_s": 1.0}).running() is False, "another process has the number by now"
    assert found.model_copy(update={"machine": "elsewhere"}).running() is None


def test_a_damaged_file_is_refused_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENGA_WORK", str(tmp_path))
    progress.write("train", 4, 16, 3.5, tmp_path, finished=False)
    (progress.folder_of("train") / progress.FILE).write_text("{}")
    with pytest.raises(UserError, match=r"progress\.json cannot be read .*: delete it"):
        progress.read_newest()
