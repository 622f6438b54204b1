"""The record of results: by content, and of one model and one set of options."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.core import files
from pipeline.inference.result_log import FILE, ResultLog


@pytest.fixture
def world(tmp_path: Path) -> tuple[Path, Path]:
    """A source and a result that is recorded as made by `one`."""
    (tmp_path / "out").mkdir()
    source, target = tmp_path / "a.jpg", tmp_path / "out/é/a.png"
    target.parent.mkdir()
    source.write_text("photo")
    target.write_text("drawing")
    ResultLog(tmp_path / "out").add(source, target, files.digest(target), "one")
    return source, target


def contains(world: tuple[Path, Path], made_by: str = "one") -> bool:
    source, target = world
    return ResultLog(target.parents[1]).contains(source, target, made_by)


def test_a_result_is_known_by_its_source_model_and_options(world: tuple[Path, Path]) -> None:
    source, target = world
    assert contains(world)
    assert not contains(world, "another")
    assert not ResultLog(target.parents[1]).contains(source, target.with_name("b.png"), "one")


def test_files_are_compared_by_content(world: tuple[Path, Path]) -> None:
    source, target = world
    source.touch()
    assert contains(world)
    source.write_text("another photo")
    assert not contains(world)
    source.write_text("photo")
    target.write_text("painted over")
    assert not contains(world)
    target.unlink()
    assert not contains(world)


def test_the_last_entry_of_a_result_counts(world: tuple[Path, Path]) -> None:
    source, target = world
    ResultLog(target.parents[1]).add(source, target, files.digest(target), "another")
    assert contains(world, "another") and not contains(world)


def test_an_entry_that_was_cut_short_is_skipped_and_the_next_one_is_whole(world: tuple[Path, Path]) -> None:
    source, target = world
    log = target.parents[1] / FILE
    with log.open("a") as file:
        file.write('{"result": "b.p')
    assert contains(world)
    ResultLog(log.parent).add(source, target, files.digest(target), "another")
    assert contains(world, "another")
    assert len(log.read_text("utf-8").splitlines()) == 3
