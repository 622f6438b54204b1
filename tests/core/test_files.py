"""Files and folders are replaced whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from pathlib import Path

import pytest

from pipeline.core import files
from pipeline.core.errors import UserError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_when_the_block_succeeds(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with files.replacing(path) as temporary:
        assert temporary.parent == tmp_path and temporary.name.startswith(".a.txt.") and temporary.suffix == ".txt"
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new" and names(tmp_path) == ["a.txt"]


def test_a_file_stays_when_the_block_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), files.replacing(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old" and names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("existing", [True, False])
def test_a_folder_is_replaced_when_the_block_succeeds(existing: bool, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "out"
    if existing:
        folder.mkdir(parents=True)
        (folder / "old").touch()
    with files.replacing_folder(folder) as temporary:
        (temporary / "new").touch()
        assert not existing or names(folder) == ["old"]
    assert names(folder) == ["new"] and names(tmp_path / "deep") == ["out"]


def test_a_folder_stays_when_the_block_fails(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/old").touch()
    with pytest.raises(KeyboardInterrupt), files.replacing_folder(tmp_path / "out") as temporary:
        (temporary / "half").touch()
        raise KeyboardInterrupt
    assert names(tmp_path / "out") == ["old"] and names(tmp_path) == ["out"]


def test_replaced_text_keeps_permissions_links_and_line_ends(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    (tmp_path / "a.txt").chmod(0o640)
    (tmp_path / "link").symlink_to("a.txt")
    files.replace_text(tmp_path / "link", "één\r\ntwo\n")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "a.txt").read_bytes() == "één\r\ntwo\n".encode()
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640
    files.replace_text(tmp_path / "new.txt", "new")
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "new.txt").stat().st_mode & 0o777 == 0o666 & ~umask
    assert names(tmp_path) == ["a.txt", "link", "new.txt"]


def test_json_is_indented_and_ends_in_one_newline(tmp_path: Path) -> None:
    files.write_json(tmp_path / "a.json", {"b": 1, "a": "é"})
    assert (tmp_path / "a.json").read_text("utf-8") == '{\n  "b": 1,\n  "a": "é"\n}\n'


def test_digests_are_blake2b_of_the_bytes(tmp_path: Path) -> None:
    content = b"abc" * 100_000
    (tmp_path / "a").write_bytes(content)
    expected = hashlib.blake2b(content, digest_size=16).hexdigest()
    assert files.digest(content) == files.digest(tmp_path / "a") == expected


def test_the_work_folder_lies_in_the_project_even_for_experiments_in_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GENGA_WORK", raising=False)
    copy = tmp_path / "project/.dvc/tmp/exps/tmp123"
    copy.mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project")
    assert files.work_folder() == Path(".work")
    monkeypatch.chdir(copy)
    assert files.work_folder() == tmp_path / "project/.work"
    monkeypatch.setenv("GENGA_WORK", "/elsewhere")
    assert files.work_folder() == Path("/elsewhere")


def test_only_one_thread_at_a_time_holds_a_lock(tmp_path: Path) -> None:
    path, holders, most, acquisitions = tmp_path / "lock", [0], [0], [0]
    path.touch()  # left by a process that was killed

    def work() -> None:
        for _ in range(100):
            with contextlib.suppress(UserError), files.locked(path, "busy"):
                holders[0] += 1
                most[0] = max(most[0], holders[0])
                acquisitions[0] += 1
                holders[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 1 and acquisitions[0] >= 100 and not path.exists()


def test_a_lock_that_is_held_is_an_error_and_a_released_one_is_free(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with (
        files.locked(path, "another run is writing"),
        pytest.raises(UserError, match="another run is writing"),
        files.locked(path, "another run is writing"),
    ):
        raise AssertionError("locked twice")
    with pytest.raises(ZeroDivisionError), files.locked(path, "busy"):
        raise ZeroDivisionError
    with files.locked(path, "busy"):
        assert path.exists()
    assert names(tmp_path) == []


def test_only_a_folder_of_the_same_command_may_be_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    files.check_replaceable(folder, "table.csv", "genga x", overwrite=False)
    folder.mkdir()
    with pytest.raises(UserError, match=r"out was not written by genga x and is not replaced: give another folder"):
        files.check_replaceable(folder, "table.csv", "genga x", overwrite=True)
    (folder / "table.csv").touch()
    files.check_replaceable(folder, "table.csv", "genga x", overwrite=True)
    with pytest.raises(UserError, match="out exists already: give another folder, or --overwrite"):
        files.check_replaceable(folder, "table.csv", "genga x", overwrite=False)
