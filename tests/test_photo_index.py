"""Photographs are measured; those that cannot be read are reported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline import photo_index
from pipeline.core import manifest
from pipeline.core.errors import UserError
from pipeline.frames import quality
from pipeline.media import images
from pipeline.params.schema import Params
from tests.conftest import run_stage, scene, vary


def photos(folder: Path, count: int = 4) -> Path:
    folder.mkdir(exist_ok=True)
    for seed in range(count):
        images.write(folder / f"p{seed}.png", scene(50 + seed, 400, 300))
    return folder


def prepare(committed: Params) -> Params:
    return vary(committed, {"photos": str(photos(Path("photos")))})


def test_a_row_holds_what_was_measured(committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = manifest.read(run_stage("photo_index", prepare(committed)))
    assert len(rows) == 4
    for row in rows:
        assert quality.from_row(row) == quality.measure(images.read(Path(row.file or "")))
        assert (row.width_px, row.height_px, row.source, row.shot) == (400, 300, "photos", row.id)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("bad.jpg", b"this is text", "bad.jpg is not a picture"),
        ("cut.png", None, "cut.png is damaged"),
        ("empty.jpg", b"", "empty.jpg"),
    ],
)
def test_unreadable_photos_are_left_out_or_refused_and_all_named(
    name: str,
    content: bytes | None,
    expected: str,
    committed: Params,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    params = prepare(committed)
    whole = Path("photos/p0.png").read_bytes()
    Path("photos", name).write_bytes(whole[: len(whole) // 2] if content is None else content)
    Path("photos/also.jpg").write_bytes(b"text too")
    with pytest.raises(UserError, match=r"2 of 6 photographs cannot be read: fix them, or set dedup\.on_bad_photo") as caught:
        run_stage("photo_index", vary(params, {"dedup.on_bad_photo": "stop"}))
    assert expected in str(caught.value)
    assert "also.jpg" in str(caught.value)
    assert not Path("data/photo_index").exists()
    out = run_stage("photo_index", params)
    left_out = [row for row in manifest.read(out) if row.reason == "unreadable"]
    assert [Path(row.file or "").name for row in left_out] == sorted([name, "also.jpg"])
    assert {(row.width_px, row.height_px, row.domain) for row in left_out} == {(0, 0, "photo")}
    assert json.loads((out / "metrics.json").read_text()) == {"photographs": 4, "unreadable": 2}
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warned) == 1 and expected in warned[0] and "also.jpg" in warned[0]
    assert len(manifest.kept(manifest.read(out), "photo")) == 4


def test_many_unreadable_photos_are_named_up_to_a_number(
    committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    params = prepare(committed)
    for index in range(23):
        Path(f"photos/IMG_{index:02d}.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    run_stage("photo_index", params)
    (warned,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "23 of 27 photographs" in warned and warned.count("is HEIC") == 20 and warned.endswith("and 3 more")


def test_photos_of_one_name_in_two_folders_have_different_ids(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        photos(tmp_path / folder, 1)
    rows = photo_index.photo_rows(tmp_path)
    assert len({row.id for row in rows}) == 2
    assert [row.id for row in photo_index.photo_rows(tmp_path)] == [row.id for row in rows]


def test_names_that_cannot_be_tracked_are_told_and_odd_ones_are_kept(
    committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    params = prepare(committed)
    names = ["写" * 78 + ".png", "\x1b[2Jx\n.png", "a" * 251 + ".png", "caf\udce9.png"]
    for name in names:
        Path("photos", name).write_bytes(Path("photos/p0.png").read_bytes())
    rows = manifest.read(run_stage("photo_index", params))
    assert len(rows) == 8 and [row.reason for row in rows] == [None] * 7 + ["unreadable"]
    assert "photos/caf\\udce9.png has a name that is not UTF-8" in caplog.text
    assert all(len(row.id.encode()) < 170 and row.id.isprintable() for row in rows)
    assert {row.file for row in rows[:7]} >= {f"photos/{name}" for name in names[:3]}
    with pytest.raises(UserError, match=r"caf\\udce9.png has a name that is not UTF-8"):
        run_stage("photo_index", vary(params, {"dedup.on_bad_photo": "stop"}))
