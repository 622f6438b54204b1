"""Which files are redrawn, and what their results are called."""

from __future__ import annotations

import logging
import os
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import UserError
from pipeline.inference import inputs
from pipeline.inference.inputs import name_results


def test_names_stay_simple_unless_they_collide() -> None:
    sources = ["a.jpg", "b.jpg", "b.tif", "sub/b.jpg", "A.JPG", "c", "c.png", "b.tif.bmp"]
    names = name_results([PurePosixPath(source) for source in sources], [".png"] * len(sources))
    assert list(map(str, names)) == [
        "a.jpg.png", "b.jpg.png", "b.tif-2.png", "sub/b.png", "A.JPG-2.png", "c.png", "c.png.png", "b.tif.png",
    ]  # fmt: skip


parts = st.text(st.sampled_from("aAé-2."), min_size=1, max_size=3).filter(lambda text: text.strip("."))
sources = st.tuples(parts, st.sampled_from([".jpg", ".png", ".PNG", ".tif", ""])).map(
    lambda pair: PurePosixPath(pair[0] + pair[1])
)


@given(st.lists(st.tuples(sources, st.sampled_from([".png", ".jpg"])), max_size=12))
@settings(max_examples=200)
def test_no_two_results_share_a_name(files: list[tuple[PurePosixPath, str]]) -> None:
    results = name_results([source for source, _ in files], [suffix for _, suffix in files])
    assert len({str(result).casefold() for result in results}) == len(files)
    assert [result.suffix for result in results] == [suffix for _, suffix in files]


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def plan(paths: list[Path], out: Path) -> list[str]:
    """Names of the results."""
    return [target.relative_to(out).as_posix() for _, target in inputs.plan(paths, out, lambda _: ".png")]


def test_the_tree_of_a_folder_is_kept(tmp_path: Path) -> None:
    touch(tmp_path / "in", "b.png", "a.mp4", "sub dir/deep/日本.jpg", ".hidden.png", ".cache/c.png", "notes.txt")
    assert plan([tmp_path / "in"], tmp_path / "out") == ["a.png", "b.png", "sub dir/deep/日本.png"]


def test_several_folders_keep_their_names_and_a_file_given_twice_is_planned_once(tmp_path: Path) -> None:
    touch(tmp_path, "one/a.png", "two/a.png")
    paths = [tmp_path / "one", tmp_path / "two", tmp_path / "two/a.png"]
    assert plan(paths, tmp_path / "out") == ["one/a.png", "two/a.png"]


def test_patterns(tmp_path: Path) -> None:
    touch(tmp_path / "in", "a.png", "b.jpg", "notes.txt", "sub/c.png", "we[i]rd.png")
    for pattern, expected in {
        "*.png": ["a.png", "we[i]rd.png"],
        "we[i]rd.png": ["we[i]rd.png"],
        "**/*.png": ["a.png", "c.png", "we[i]rd.png"],
        "?.*": ["a.png", "b.png"],
        "s*": ["c.png"],
    }.items():
        assert sorted(plan([tmp_path / "in" / pattern], tmp_path / "out")) == expected, pattern
    with pytest.raises(UserError, match="matches no picture"):
        plan([tmp_path / "in/*.gif"], tmp_path / "out")


def test_an_input_is_never_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    touch(folder, "a.png")
    (tmp_path / "link").symlink_to(folder)
    for path, out in [
        (folder, folder),
        (folder, tmp_path / "link"),
        (folder / "a.png", folder),
        (folder / "a.png", tmp_path / "link"),
    ]:
        with pytest.raises(UserError, match="overwritten"):
            plan([path], out)


def test_results_inside_an_input_folder_are_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    touch(tmp_path / "in", "a.png", "anime/a.png")
    with caplog.at_level(logging.INFO, "genga"):
        assert plan([tmp_path / "in"], tmp_path / "in/anime") == ["a.png"]
    assert "1 files in" in caplog.text and "earlier results" in caplog.text


def test_only_results_beside_their_sources_are_skipped(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "a-genga.png", "a-genga.jpg.png", "a-genga-2.png", "a-genga-town.png", "b-genga.png")
    found = inputs.plan([tmp_path], None, lambda _: ".png")
    assert {source.name for source, _ in found} == {"a.png", "a-genga-town.png", "b-genga.png"}


def test_other_files_of_a_folder_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    touch(tmp_path / "in", "a.png", "b.jxl", "c.jxl", "d")
    with caplog.at_level(logging.INFO, "genga"):
        plan([tmp_path / "in"], tmp_path / "out")
    assert "skipped 3 files" in caplog.text and "2 .jxl, 1 without suffix" in caplog.text


def test_inputs_that_hold_nothing_are_errors(tmp_path: Path) -> None:
    touch(tmp_path, "raw/a.jxl", "a.png")
    (tmp_path / "empty").mkdir()
    for path, out, text in [
        (tmp_path / "none.mp4", tmp_path / "out", r"none\.mp4 does not exist: give a picture, a film, a folder or a pattern"),
        (tmp_path / "empty", tmp_path / "out", "holds no pictures or films: put"),
        (tmp_path / "raw", tmp_path / "out", r"holds no pictures or films \(but 1 \.jxl\)"),
        (tmp_path / "a.png", tmp_path / "a.png", "is the photo to redraw"),
        (tmp_path / "a.png", tmp_path / "raw/a.jxl", "is a file"),
    ]:
        with pytest.raises(UserError, match=text):
            plan([path], out)


def test_links_in_circles_are_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("deep/er").mkdir(parents=True)
    for name in ("a.png", "deep/b.png", "deep/er/c.png", "deep/.hidden.png"):
        Path(name).touch()
    for name in ("one", "two", "deep/up"):
        Path(name).symlink_to("..", target_is_directory=True)
    Path("itself.png").symlink_to("itself.png")
    expected = ["a.png", "deep/b.png", "deep/er/c.png"]
    for pattern in ("**/*.png", "**", "./**/*.png", str(tmp_path / "**/*.png")):
        found = [
            source.resolve().relative_to(tmp_path.resolve())
            for source, _ in inputs.plan([Path(pattern)], Path("out"), lambda _: ".png")
        ]
        assert [path.as_posix() for path in found] == expected
    assert len(inputs.plan([Path()], Path("out"), lambda _: ".png")) == 3


def test_pipes_and_devices_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    for path in (tmp_path / "pipe.mp4", Path("/dev/random")):
        with pytest.raises(UserError, match="is a pipe or a device"):
            inputs.plan([path], None, lambda _: ".png")
    (tmp_path / "a.png").touch()
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path, tmp_path / "*.png"):
        assert [source.name for source, _ in inputs.plan([path], tmp_path / "out", lambda _: ".png")] == ["a.png"]
