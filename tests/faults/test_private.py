"""No commit, stash or experiment ever holds a photo or film of the user, wherever in the project it lies."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.clone import Project

pytestmark = [pytest.mark.slow, pytest.mark.faults]

PRIVATE = (
    *("data/my_photographs/a.jpg", "data/films/a.mkv", "data/photos/a.heic", "data/film.mp4", "data/styles/a.png"),
    *("holiday/a.jpg", "wedding.mov", "photo-genga.png", "docs/a.jpg"),
)


def private_objects(project: Project) -> list[str]:
    """The private files whose contents lie anywhere in git: in commits, experiments, stashes, the index, or unreachable."""
    found = []
    for name in PRIVATE:
        blob = project.run("git", "hash-object", name).strip()
        if subprocess.run(["git", "cat-file", "-e", blob], cwd=project.folder, stderr=subprocess.DEVNULL).returncode == 0:
            found.append(name)
    return found


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("private"))
    for name in PRIVATE:
        path = project.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"private " + name.encode())
    return project


def test_no_way_to_run_an_experiment_takes_private_files_along(project: Project) -> None:
    ignored = (project.folder / ".gitignore").read_bytes()
    project.run("dvc", "exp", "run", "--name", "here", "-S", "sample.seed=2", "sample")
    project.run("dvc", "exp", "run", "--name", "aside", "--temp", "-S", "sample.seed=3", "sample")
    project.run("dvc", "exp", "run", "--queue", "--name", "queued", "-S", "sample.seed=4", "sample")
    project.run("dvc", "exp", "save", "--name", "saved", "--force", "sample")
    references = project.run("git", "for-each-ref", "--format=%(refname)")
    assert all(name in references for name in ("/here", "/aside", "/saved", "refs/exps/celery/stash")), references
    assert private_objects(project) == []
    assert (project.folder / ".gitignore").read_bytes() == ignored, "DVC finds its outputs ignored"
    project.run("git", "add", "-A")
    project.run("git", "commit", "-q", "--allow-empty", "-m", "everything")
    assert private_objects(project) == []


def test_an_experiment_that_is_stopped_leaves_nothing_private_staged(project: Project) -> None:
    with project.start("dvc", "exp", "run", "-S", "sample.seed=5", "sample") as process:
        while not list((project.folder / "data/.partial").glob("sample/*")):
            assert process.poll() is None, "the run ended before it could be stopped"
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGTERM)
    assert not [name for name in project.run("git", "diff", "--cached", "--name-only").split() if name in PRIVATE]
    assert private_objects(project) == []


def test_private_files_would_be_found(project: Project, tmp_path: Path) -> None:
    (project.folder / ".gitignore").write_text("/data/.partial\n")
    project.run("git", "add", "-A")
    assert private_objects(project) == list(PRIVATE)
