"""Stage sources: what params.yaml names is there, or the pipeline stops before anything is removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import sources
from pipeline.core import stage
from pipeline.core.errors import UserError
from pipeline.params.schema import Params
from tests.conftest import vary


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("data/films", "data/photos", "data/teacher", "data/styles", "mine"):
        Path(name).mkdir(parents=True)
    Path("data/films/a.mkv").write_bytes(b"film")
    return tmp_path


def test_all_that_is_missing_is_named_with_the_command_that_works(project: Path, committed: Params) -> None:
    films, footage = {"a": "data/films/a.mkv", "b": "data/films/b.mkv"}, {"walk": "walk.mp4"}
    params = vary(committed, {"films": films, "footage": footage, "photos": "mine", "teacher": "gone.safetensors"})
    assert sources.missing(params) == ["films.b: data/films/b.mkv", "footage.walk: walk.mp4", "teacher: gone.safetensors"]
    with pytest.raises(UserError, match=r"films\.b: data/films/b\.mkv\n(.|\n)*dvc repro --allow-missing"):
        stage.execute("sources", sources.run, params)
    assert not (project / "data/sources").exists()


@pytest.mark.usefixtures("project")
def test_an_embedded_film_that_is_not_drawn_is_named_with_the_key(committed: Params) -> None:
    undrawn = vary(committed, {"films": {"sample": "data/sample/film.mp4"}, "photos": "mine", "sample.draw": False})
    assert sources.missing(undrawn) == ["films.sample: data/sample/film.mp4 (not drawn: set sample.draw to true)"]
    assert sources.missing(vary(committed, {"photos": "mine"})) == ["films.sample: data/sample/film.mp4"]


@pytest.mark.usefixtures("project")
def test_the_output_is_the_same_whatever_the_sources(committed: Params) -> None:
    def output(params: Params) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in stage.execute("sources", sources.run, params).iterdir()}

    one = output(vary(committed, {"films": {"a": "data/films/a.mkv"}, "photos": "mine"}))
    Path("data/films/a.mkv").write_bytes(b"another film")
    assert one == output(vary(committed, {"films": {"b": "data/films/a.mkv"}, "photos": "data/photos"})) != {}
