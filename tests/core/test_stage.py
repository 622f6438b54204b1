"""Running a stage: its folder is written whole or not at all, errors are one line, and results do not depend on workers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core import stage
from pipeline.core.errors import UserError
from pipeline.params.schema import Params, load
from tests.conftest import ROOT


def test_a_finished_stage_replaces_the_old_one_whole(committed: Params, tmp_path: Path) -> None:
    def first(params: Params, out: Path) -> dict[str, float]:
        (out / "old").write_text("old")
        return {"n": 1}

    def second(params: Params, out: Path) -> dict[str, float]:
        assert not list(out.iterdir())
        (out / "new").write_text("new")
        return {"n": 2}

    stage.execute("x/y", first, committed, tmp_path)
    out = stage.execute("x/y", second, committed, tmp_path)
    assert sorted(path.name for path in out.iterdir()) == ["metrics.json", "new"]
    assert json.loads((out / "metrics.json").read_text()) == {"n": 2}
    assert not [path for path in (tmp_path / ".partial").rglob("*") if path.is_file()]


@pytest.mark.parametrize("error", [UserError("no"), KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_a_failing_stage_leaves_what_was_there(error: BaseException, committed: Params, tmp_path: Path) -> None:
    def good(params: Params, out: Path) -> dict[str, float]:
        (out / "old").write_text("old")
        return {}

    def bad(params: Params, out: Path) -> dict[str, float]:
        (out / "half").write_text("half")
        raise error

    stage.execute("x", good, committed, tmp_path)
    with pytest.raises(type(error)):
        stage.execute("x", bad, committed, tmp_path)
    assert (tmp_path / "x" / "old").read_text() == "old"
    assert not list(tmp_path.rglob("half"))


def test_unfinished_files_of_killed_workers_are_removed(committed: Params, tmp_path: Path) -> None:
    def run(params: Params, out: Path) -> dict[str, float]:
        (out / "anime").mkdir()
        (out / "anime" / "a.png").write_text("whole")
        (out / "anime" / ".b.png.0a1b2c3d.png").write_text("ha")
        return {}

    out = stage.execute("x", run, committed, tmp_path)
    assert sorted(path.name for path in out.rglob("*") if path.is_file()) == ["a.png", "metrics.json"]


def test_a_worker_left_over_from_an_earlier_run_cannot_write_into_a_later_one(committed: Params, tmp_path: Path) -> None:
    folders: list[Path] = []

    def run(params: Params, out: Path) -> dict[str, float]:
        folders.append(out)
        return {}

    for _ in range(2):
        stage.execute("x", run, committed, tmp_path)
    assert folders[0] != folders[1] and not folders[0].exists()


def test_a_cluster_without_dask_is_an_error() -> None:
    code = """
import os, sys
sys.modules["distributed"] = None
os.environ["GENGA_CLUSTER"] = "tcp://127.0.0.1:9"
from pipeline.core import stage
from pipeline.core.program import run_as_program
run_as_program("probe", lambda: list(stage.parallel(abs, range(3), 1, "x")))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 2
    assert "probe: error: GENGA_CLUSTER is set, but Dask is not installed: pip install -e '.[cluster]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_two_runs_of_a_stage_take_turns(tmp_path: Path) -> None:
    code = """
import sys, time
from pathlib import Path
from pipeline.core import stage
from pipeline.core.program import run_as_program
def run(params, out):
    for name in range(20):
        (out / str(name)).write_text(sys.argv[1])
        time.sleep(0.05)
    return {}
run_as_program("x", lambda: stage.execute("x", run, None))
"""
    command = [sys.executable, "-c", code]
    begun = [
        subprocess.Popen(
            [*command, mark], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True
        )
        for mark in "abc"
    ]
    errors = [process.communicate()[1] for process in begun]
    assert [process.returncode for process in begun] == [0, 0, 0], errors
    assert sum("another run of this stage is at work" in error for error in errors) >= 1
    texts = {path.read_text() for path in (tmp_path / "data/x").iterdir() if path.name != "metrics.json"}
    assert len(texts) == 1 and len(list((tmp_path / "data/x").iterdir())) == 21
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.parent.name != "x"]


@pytest.mark.parametrize("workers", [1, 2])
def test_parallel_keeps_the_order(workers: int) -> None:
    assert list(stage.parallel(abs, range(-20, 0), workers, "abs")) == list(range(20, 0, -1))


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_a_worker_is_the_error_of_the_stage(workers: int) -> None:
    with pytest.raises(UserError, match="bad 3"):
        list(stage.parallel(_fails_at_three, range(6), workers, "x"))


def _fails_at_three(item: int) -> int:
    if item == 3:
        raise UserError("bad 3")
    return item


def test_progress_passes_items_through(capsys: pytest.CaptureFixture[str]) -> None:
    counted: Callable[[], list[int]] = lambda: list(stage.progress(range(5), "count", "items"))  # noqa: E731
    assert counted() == [0, 1, 2, 3, 4]
    assert "5/5" in capsys.readouterr().err


def test_a_source_names_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(params: Params, out: Path, source: str) -> dict[str, float]:
        (out / "source").write_text(source)
        (out / "pictures/picture").write_text("drawn")
        return {}

    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", "params.yaml")
    for source in ("film", "anime/my_film-2", "photo/photos"):
        monkeypatch.setattr(sys, "argv", ["x", source])
        with pytest.raises(SystemExit) as ended:
            stage.main_of_source("x", run, load, "a name")
        assert ended.value.code == 0 and Path("data/x/about", source, "source").read_text() == source
        assert Path("data/x/pictures", source, "picture").read_text() == "drawn"
        assert not list(Path("data/x/about").rglob("picture*"))


@pytest.mark.parametrize("source", ["../films", "anime/../../x", "/etc", "video/s", "", "anime/", "-h.png", "a b", "."])
def test_a_source_that_is_no_name_is_refused(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(params: Params, out: Path, source: str) -> dict[str, float]:
        raise AssertionError

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["x", "--", source])
    with pytest.raises(SystemExit) as ended:
        stage.main_of_source("x", run, load, "a name")
    assert ended.value.code == 2 and "expected a name, got" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
