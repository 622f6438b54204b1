"""Sharing as docs/sharing.md has it: a colleague fetches data without film and photographs, and goes on."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clone import Project, ran

pytestmark = [pytest.mark.slow, pytest.mark.faults]

GENERATOR = "data/train/generator.safetensors"


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project of a film and photographs that are in no repository, whose whole pipeline has run."""
    owner = Project(tmp_path_factory.mktemp("owner"))
    owner.run("dvc", "repro", "sample")
    shutil.copyfile(owner.folder / "data/sample/film.mp4", owner.folder / "data/films/mine.mp4")
    shutil.copytree(owner.folder / "data/sample/photos", owner.folder / "data/my_photographs")
    owner.set({"films": {"mine": "data/films/mine.mp4"}, "photos": "data/my_photographs"})
    assert {"sources", "keyframes@mine", "train"} <= set(owner.repro())
    owner.run("git", "add", "-A")
    owner.run("git", "commit", "-q", "-m", "Train on my film")
    owner.run("git", "tag", "-a", "generator@v1.0.0", "-m", "First")
    return owner


def cloned(owner: Project, folder: Path) -> Project:
    colleague = copy.copy(owner)
    colleague.folder = folder
    owner.run("git", "commit", "-q", "-a", "-m", "Share")
    owner.run("dvc", "push")
    owner.run("git", "clone", "-q", ".", str(folder))
    colleague.run("dvc", "pull")
    return colleague


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an S3 server of this process, with a bucket `shared`."""
    import boto3  # type: ignore[import-untyped]
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"AWS_{name}", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    boto3.client("s3", endpoint_url=f"http://{host}:{port}").create_bucket(Bucket="shared")
    yield f"http://{host}:{port}"
    server.stop()


def test_a_colleague_goes_on_without_film_and_photographs(owner: Project, tmp_path: Path) -> None:
    owner.run("dvc", "remote", "add", "--default", "--force", "shared", str(tmp_path / "remote"))
    colleague = cloned(owner, tmp_path / "clone")
    assert not list(colleague.folder.rglob("mine.mp4")) and not (colleague.folder / "data/my_photographs").exists()
    fetched = colleague.contents("")
    assert set(owner.contents("keyframes", "crop", "train")) <= set(fetched)

    output = colleague.run("dvc", "repro", status=1)
    assert "films.mine: data/films/mine.mp4" in output and "photos: data/my_photographs" in output
    assert "dvc repro --allow-missing" in output and ran(output) == ["sources"]
    assert colleague.contents("") == fetched, "nothing was removed"
    assert ran(colleague.run("dvc", "repro", "--allow-missing")) == []
    assert colleague.contents("") == fetched

    colleague.set({"loss.content_weight": 1.75})
    output = colleague.run("dvc", "repro", "--allow-missing")
    assert sorted(ran(output)) == ["evaluate", "export", "predict", "train"]
    assert output.count("not on this machine and are left out: data/my_photographs/") == 3

    for command in (("get", str(owner.folder), GENERATOR), ("artifacts", "get", str(owner.folder), "generator")):
        name = f"{command[0]}.safetensors"
        colleague.run("dvc", *command, "-o", name)
        assert (colleague.folder / name).read_bytes() == fetched[GENERATOR][0]


def test_data_travels_by_s3(owner: Project, bucket: str, tmp_path: Path) -> None:
    owner.run("dvc", "remote", "add", "--default", "--force", "shared", "s3://shared/genga")
    owner.run("dvc", "remote", "modify", "shared", "endpointurl", bucket)
    colleague = cloned(owner, tmp_path / "clone")
    made, fetched = (
        {name: content for name, (content, _) in project.contents("split", "train", "predict").items()}
        for project in (owner, colleague)
    )
    assert len(made) > 10 and fetched == made
