"""Overrides: parsing and editing the lists, and their effect on dedup."""

from __future__ import annotations

import logging
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core import manifest
from pipeline.core.errors import UserError
from pipeline.core.manifest import Row
from pipeline.dedup import filter_source
from pipeline.frames import overrides
from pipeline.frames.hash_index import NamedIndex
from pipeline.frames.overrides import Override, edit, format_id, parse
from pipeline.frames.perceptual_hashes import stack
from pipeline.frames.quality import Quality
from pipeline.params.schema import Params
from tests.conftest import ROOT, run_stage, vary
from tests.test_dedup import photos

IDS = st.text(min_size=1, max_size=12)
LISTED = st.lists(IDS, max_size=8, unique=True)
OTHERS = st.lists(st.sampled_from(["", "# a comment", "  # another", "\t", "#"]), max_size=4)


# The lists as text


def test_lists_hold_ids_comments_and_blank_lines() -> None:
    text = '# why\n\nfilm-00001-00000208\n  film-2   # ugly\r\n"my photo #1-ab12cd"\t# a space\nfilm-2\n'
    assert parse(text, "keep.txt") == {"film-00001-00000208": 3, "film-2": 4, "my photo #1-ab12cd": 5}


@given(LISTED)
def test_ids_survive_formatting_and_parsing(names: list[str]) -> None:
    text = edit("# comment\n", add=names)
    assert list(parse(text, "")) == names
    assert [line for line in text.split("\n") if line.startswith("# c")] == ["# comment"]


@given(LISTED, OTHERS, LISTED, st.randoms(use_true_random=False))
def test_edits_change_only_lines_of_their_ids(names: list[str], others: list[str], more: list[str], order: object) -> None:
    lines = [*map(format_id, names), *others]
    order.shuffle(lines)  # type: ignore[attr-defined]
    text = "".join(line + "\n" for line in lines)
    new = [name for name in more if name not in names]
    added = edit(text, add=more)
    assert added.startswith(text) and set(parse(added, "")) == {*names, *more}
    assert edit(added, remove=new) == text, "taken back"
    left = edit(text, remove=set(more))
    assert left.split("\n") == [line for line in text.split("\n") if line not in {format_id(name) for name in more}]


def test_edits_end_an_unfinished_last_line() -> None:
    assert edit("a", add=["b"]) == "a\nb\n"
    assert edit("", add=["b"]) == "b\n"
    assert edit("a", remove={"a"}) == "", "a list of one id whose line does not end"
    assert edit("a", add=["b"], remove={"a"}) == "b\n"
    assert edit("a\r\n# c\r\n", add=["b"]) == "a\r\n# c\r\nb\n"


@pytest.mark.parametrize("line", ["two words", '"open', '"a" b', '""', '"a"#x', '"\\x"', "a\rb"])
def test_malformed_lines_are_named(line: str) -> None:
    with pytest.raises(UserError, match=r"^data/drop.txt, line 2: ") as caught:
        parse(f"# ids\n{line}", "data/drop.txt")
    assert "\n" not in str(caught.value)


# The lists as files


def test_missing_lists_are_empty(tmp_path: Path) -> None:
    assert overrides.read(tmp_path) == {}
    assert overrides.write(tmp_path, ["a"], None) == {}
    assert list(tmp_path.iterdir()) == []


def test_writing_an_override_moves_the_id_to_its_list(tmp_path: Path) -> None:
    keep, drop = tmp_path / "keep.txt", tmp_path / "drop.txt"
    keep.write_text("# keep\na\nb # why\n")
    keep.chmod(0o640)
    assert overrides.write(tmp_path, ["b", "c d"], "drop") == {"a": "keep", "b": "drop", "c d": "drop"}
    assert keep.read_text() == "# keep\na\n" and keep.stat().st_mode & 0o777 == 0o640
    assert drop.read_text() == 'b\n"c d"\n'
    assert overrides.write(tmp_path, ["c d"], "keep") == {"a": "keep", "b": "drop", "c d": "keep"}
    assert overrides.write(tmp_path, ["a", "b", "c d"], None) == {}
    assert keep.read_text() == "# keep\n" and drop.read_text() == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["drop.txt", "keep.txt"]


def test_unchanged_lists_are_not_written(tmp_path: Path) -> None:
    path = tmp_path / "keep.txt"
    path.write_text("a")
    before = os.stat(path).st_mtime_ns, os.stat(path).st_ino
    overrides.write(tmp_path, ["a"], "keep")
    assert (os.stat(path).st_mtime_ns, os.stat(path).st_ino) == before


def test_an_id_in_both_lists_is_refused_and_nothing_written(tmp_path: Path) -> None:
    (tmp_path / "keep.txt").write_text("# x\na\n")
    (tmp_path / "drop.txt").write_text("a\n")
    with pytest.raises(UserError, match=r"^a is to be kept \(.*keep.txt, line 2\) and dropped \(.*drop.txt, line 1\): take"):
        overrides.write(tmp_path, ["b"], "drop")
    assert (tmp_path / "drop.txt").read_text() == "a\n"


def test_lists_that_are_not_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "keep.txt").write_bytes(b"# fine\na\n\xff\xfe\n")
    with pytest.raises(UserError, match=r"keep.txt, line 3: not UTF-8"):
        overrides.read(tmp_path)
    (tmp_path / "keep.txt").write_bytes("\ufeffa\n".encode())  # as Windows' Notepad writes
    assert overrides.read(tmp_path) == {"a": "keep"}
    (tmp_path / "drop.txt").mkdir()
    with pytest.raises(UserError, match=r"drop.txt cannot be read"):
        overrides.read(tmp_path)


def test_committed_lists_are_empty_and_tracked() -> None:
    for override in overrides.OVERRIDES:
        path = overrides.list_path(ROOT / "data", override)
        assert path.read_text().startswith("# Pictures to be ")
        assert f"- data/{override}.txt" in (ROOT / "dvc.yaml").read_text()
        assert subprocess.run(["git", "check-ignore", "-q", f"data/{override}.txt"], cwd=ROOT, check=False).returncode == 1


# Unknown ids

KNOWN = [f"{film}-{shot:05d}-{shot * 4173 + 208:08d}" for film in ("big_buck_bunny", "sintel") for shot in range(300)]


def test_unknown_ids_are_logged_up_to_a_number(caplog: pytest.LogCaptureFixture) -> None:
    forced: dict[str, Override] = {"big_buck_bunny-00012-0005028": "drop", "totoro-00001-00000417": "keep", KNOWN[0]: "keep"}
    with caplog.at_level(logging.WARNING, "genga"):
        overrides.warn_of_unknown(forced, KNOWN, Path("data"))
    assert len(caplog.messages) == 2
    assert "data/drop.txt" in caplog.messages[0] and "no picture big_buck_bunny-00012-0005028 (misspelled" in caplog.messages[0]
    assert "data/keep.txt" in caplog.messages[1] and "totoro" in caplog.messages[1]
    caplog.clear()
    overrides.warn_of_unknown(dict.fromkeys([f"gone-{n}" for n in range(500)], "drop"), KNOWN, Path("data"))
    assert len(caplog.messages) == 9 and "492 more" in caplog.messages[-1]


# Filtering


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1000)), min_size=1, max_size=20), st.data())
def test_overrides_prevail_over_filtering(committed: Params, pairs: list[tuple[int, float]], data: st.DataObject) -> None:
    params = committed.dedup
    rows = [Row(id=f"r{n}", domain="anime", source="s", width_px=1, height_px=1) for n in range(len(pairs))]
    measured = [Quality(200, 50, sharpness, 0, value, value) for value, sharpness in pairs]
    choices: st.SearchStrategy[Override | None] = st.sampled_from(["keep", "drop", None])
    chosen = {row.id: data.draw(choices) for row in rows}
    forced: dict[str, Override] = {name: override for name, override in chosen.items() if override is not None}
    index = NamedIndex(0)
    filtered = {row.id: row for row in filter_source(rows, measured, index, params, forced)}
    for row, one in zip(rows, measured, strict=True):
        got = filtered[row.id]
        if chosen[row.id] == "keep":
            assert got.reason is None and got.duplicate_of is None
            assert index.deduplicate(["later"], stack([(one.phash, one.dhash)])) != [None], "it joined the index"
        elif chosen[row.id] == "drop":
            assert got.reason == "by_hand" and got.duplicate_of is None
        elif got.duplicate_of is not None:
            assert filtered[got.duplicate_of].reason is None
    assert filter_source(rows, measured, NamedIndex(0), params, {}) == filter_source(rows, measured, NamedIndex(0), params)


def test_the_stage_applies_the_lists(
    film: Path, committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    params = vary(committed, {"films": {"film": str(film)}, "photos": str(photos(Path("photos"))), "workers": 1})
    run_stage("keyframes", params, "film")
    run_stage("photo_index", params)
    before = manifest.read(run_stage("dedup", params))
    victim = next(row.id for row in before if row.reason is None)
    saved = next(row.id for row in before if row.reason == "near_duplicate" and row.duplicate_of != victim)
    Path("data/drop.txt").write_text(f"{victim}\nfilm-00099-00000000\n")
    Path("data/keep.txt").write_text(f"{saved}  # a better frame\n")
    with caplog.at_level(logging.WARNING, "genga"):
        after = {row.id: row for row in manifest.read(run_stage("dedup", params))}
    assert after[victim].reason == "by_hand"
    assert after[saved].reason is None and after[saved].duplicate_of is None
    assert "no picture film-00099-00000000" in caplog.text
    Path("data/keep.txt").write_text(f"{victim}\n")
    with pytest.raises(UserError, match="is to be kept"):
        run_stage("dedup", params)
    assert {row.id: row for row in manifest.read(Path("data/dedup"))} == after, "the last result stands"
