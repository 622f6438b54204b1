"""The stage dedup: reasons, duplicates, and independence of films."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core import manifest
from pipeline.core.errors import UserError
from pipeline.core.manifest import Row
from pipeline.dedup import filter_source, rejection
from pipeline.frames.hash_index import NamedIndex
from pipeline.frames.quality import Quality, measure
from pipeline.media import images
from pipeline.media.images import Picture
from pipeline.params.data import DedupParams
from pipeline.params.schema import Params
from tests.conftest import run_stage, scene, vary, write_film


def text_card(seed: int, ground: Picture) -> Picture:
    card = ground.copy()
    for line in range(8):
        words = f"Director {seed} {line} of Photography"
        cv2.putText(card, words, (60, 40 + 38 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (240, 240, 240), 1, cv2.LINE_AA)
    return card


def test_unusable_pictures_are_rejected_with_their_reason(committed: Params) -> None:
    params = committed.dedup
    black = np.zeros((360, 640, 3), np.uint8)
    ramp = np.repeat(np.linspace(20, 90, 640, dtype=np.uint8)[None], 360, axis=0)
    gradient = np.stack([ramp, ramp // 2, ramp], axis=2)
    assert rejection(measure(black), params, True) == "dark"
    assert rejection(measure(np.full_like(black, 255)), params, True) == "blank"
    assert rejection(measure(text_card(1, black)), params, True) == "credits"
    assert rejection(measure(text_card(1, gradient)), params, True) == "credits"
    assert rejection(measure(text_card(1, gradient)), params, False) is None, "a photograph may show a page"
    blurred = np.asarray(cv2.GaussianBlur(scene(1, 640, 360), (0, 0), 12), np.uint8)
    assert rejection(measure(blurred), params, True) == "blurred"
    for seed in range(8):
        assert rejection(measure(scene(seed, 640, 360)), params, True) is None
    faint = np.clip(scene(2, 640, 360).astype(int) // 16 + 240, 0, 255).astype(np.uint8)
    assert measure(faint).luma_p5 >= 240 and rejection(measure(faint), params.model_copy(update={"blank_std": 0}), False) == (
        "over_exposed"
    )
    gray = np.repeat(scene(1, 640, 360)[..., :1], 3, axis=2)
    assert rejection(measure(gray), params, True) is None, "a film may be black and white"
    assert rejection(measure(gray), params.model_copy(update={"gray_chroma": 2}), False) == "gray"
    assert rejection(measure(scene(1, 1200, 200)), params, False) == "odd_aspect"
    window = np.full((360, 640, 3), 250, np.uint8)
    for step in range(6):
        window[30 + 45 * step : 32 + 45 * step, 260:] = window[:, 40 + 40 * step : 42 + 40 * step] = (90, 120, 200)
    strict = params.model_copy(update={"screenshot_lines": 8})
    assert rejection(measure(window), strict, False) == "screenshot" and rejection(measure(window), strict, True) is None
    assert rejection(measure(window), params, False) is None
    titled = replace(measure(scene(1, 640, 360)), title_lines=1)
    assert rejection(titled, params, True) == "title" and rejection(titled, params, False) is None
    assert rejection(titled, params.model_copy(update={"title_lines": 0}), True) is None


def test_a_picture_given_twice_is_an_exact_copy_of_the_first(committed: Params) -> None:
    params, index = committed.dedup, NamedIndex(6)
    digests = {"a": "x", "b": "y", "c": "x"}
    rows = [
        Row(id=name, domain="photo", source="s", width_px=1, height_px=1, digest=digest) for name, digest in digests.items()
    ]
    first = filter_source(rows[:1], [fake_quality(1, 50)], index, params)
    later = filter_source(rows[1:], [fake_quality(1, 50)] * 2, index, params, others=first)
    assert [row.reason for row in (*first, *later)] == [None, "near_duplicate", "exact_copy"]


def test_titles_are_looked_for_in_films_alone(committed: Params) -> None:
    titled = replace(fake_quality(1, 50), title_lines=1)
    (frame,) = rows_of(["a"])
    photo = frame.model_copy(update={"domain": "photo"})
    for row, reason in ((frame, "title"), (photo, None)):
        assert [found.reason for found in filter_source([row], [titled], NamedIndex(6), committed.dedup)] == [reason]


def rows_of(names: list[str]) -> list[Row]:
    return [Row(id=name, domain="anime", source="s", width_px=1, height_px=1) for name in names]


def fake_quality(phash: int, sharpness: float) -> Quality:
    return Quality(200, 50, sharpness, 0, phash, phash)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.floats(10, 1000)), min_size=1, max_size=30), st.integers(0, 20))
def test_kept_pictures_differ_and_every_duplicate_names_a_kept_one(pairs: list[tuple[int, float]], distance: int) -> None:
    params = DedupParams(
        max_distance=distance,
        dark_luma=40,
        blank_std=6,
        blur_sharpness=8,
        credits_lettering=0.97,
        title_lines=1,
        bright_luma=240,
        gray_chroma=-1,
        max_aspect=5,
        screenshot_lines=8,
        on_bad_photo="skip",
    )
    measured = [fake_quality(*pair) for pair in pairs]
    rows = filter_source(rows_of([f"r{index}" for index in range(len(pairs))]), measured, NamedIndex(distance), params)
    hashes = {row.id: one.phash for row, one in zip(rows, measured, strict=True)}
    sharp = {row.id: one.sharpness for row, one in zip(rows, measured, strict=True)}
    kept = [row.id for row in rows if row.reason is None]
    assert kept
    for index, one in enumerate(kept):
        for other in kept[index + 1 :]:
            assert (hashes[one] ^ hashes[other]).bit_count() > distance
    for row in rows:
        if row.reason is not None:
            assert row.reason == "near_duplicate" and row.duplicate_of in kept
            assert (hashes[row.id] ^ hashes[row.duplicate_of or ""]).bit_count() <= distance
            assert sharp[row.duplicate_of or ""] >= sharp[row.id]


def test_the_sharpest_duplicate_of_the_first_source_is_kept(committed: Params) -> None:
    index = NamedIndex(6)
    first = filter_source(
        rows_of(["a", "b", "c"]),
        [fake_quality(0, 20), fake_quality(1, 30), fake_quality(2**40 - 1, 10)],
        index,
        committed.dedup,
    )
    assert [(row.reason, row.duplicate_of) for row in first] == [("near_duplicate", "b"), (None, None), (None, None)]
    second = filter_source(rows_of(["d", "e"]), [fake_quality(3, 90), fake_quality(2**64 - 1, 20)], index, committed.dedup)
    assert [(row.reason, row.duplicate_of) for row in second] == [("near_duplicate", "b"), (None, None)], (
        "a later source yields"
    )


def photos(folder: Path, count: int = 4) -> Path:
    folder.mkdir(exist_ok=True)
    for seed in range(count):
        images.write(folder / f"p{seed}.png", scene(50 + seed, 400, 300))
    return folder


def prepare(committed: Params, film: Path, **changes: object) -> Params:
    params = vary(committed, {"films": {"film": str(film)}, "photos": str(photos(Path("photos"))), **changes})
    for name in (*params.films, *params.footage):
        run_stage("keyframes", params, name)
    run_stage("photo_index", params)
    return params


@pytest.mark.slow
def test_the_stage_counts_every_picture_once(
    film: Path, committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    params = prepare(committed, film)
    out = run_stage("dedup", params)
    rows = manifest.read(out)
    assert len(rows) == 15 + 4
    assert {row.shot for row in rows if row.domain == "anime" and row.reason is None} == {f"film-{n:05d}" for n in range(5)}
    assert all((row.width_px, row.height_px) == (400, 300) for row in rows if row.domain == "photo")
    assert (out / "sheet_kept.jpg").exists() and (out / "sheet_dropped.jpg").exists()


def test_the_sheets_show_what_was_kept_and_what_was_dropped(
    committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that cannot be read has nothing to show: it is among the rows, not on the sheet."""
    monkeypatch.chdir(tmp_path)
    folder = photos(tmp_path / "photos", 2)
    images.write(folder / "night.png", np.zeros((300, 400, 3), np.uint8))
    (folder / "notes.png").write_text("no picture")
    params = vary(committed, {"films": {}, "photos": str(folder)})
    run_stage("photo_index", params)
    out = run_stage("dedup", params)
    assert sorted(str(row.reason) for row in manifest.read(out)) == ["None", "None", "dark", "unreadable"]
    kept, dropped = (images.read(out / f"sheet_{name}.jpg") for name in ("kept", "dropped"))
    assert kept.shape[1] == pytest.approx(2 * dropped.shape[1], rel=0.05)  # two pictures, and one


@pytest.mark.slow
def test_an_appended_film_changes_nothing_of_the_first(
    film: Path, committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    params = prepare(committed, film)
    alone, lists = manifest.read(run_stage("dedup", params)), {}
    for name in ("film", "photos"):
        lists[name] = Path("data/dedup", name, manifest.MANIFEST).read_bytes()
        own = [row for row in manifest.kept(alone) if row.source == name]
        assert own and manifest.read(Path("data/dedup", name)) == own, "what a source gave is in a list of its own"
    pictures = [scene(index // 24 + 3, shift=index % 24 // 2) for index in range(72)]
    for picture in pictures:
        picture[:24] = picture[-24:] = 0
    other = write_film(tmp_path / "o.mp4", pictures)
    both = prepare(committed, film, films={"film": str(film), "other": str(other)})
    rows = manifest.read(run_stage("dedup", both))
    assert [row for row in rows if row.source != "other"] == alone
    assert {name: Path("data/dedup", name, manifest.MANIFEST).read_bytes() for name in lists} == lists
    kept = {row.shot for row in manifest.kept(rows) if row.source == "other"}
    assert kept == {"other-00002"}, "its first two shots are in the first film too"
    originals = {row.duplicate_of for row in rows if row.source == "other" and row.shot != "other-00002"}
    assert originals <= {row.id for row in manifest.kept(alone)}
    first = prepare(committed, film, films={"other": str(other), "film": str(film)})
    moved = {row.id for row in manifest.kept(manifest.read(run_stage("dedup", first)), "anime") if row.source == "film"}
    before = {row.id: row.shot for row in manifest.kept(alone, "anime")}
    assert moved < before.keys(), "named first, it takes what both have"
    assert {before[name] for name in before.keys() - moved} == {"film-00003", "film-00004"}, "and no more"


@pytest.mark.slow
def test_outputs_of_sources_no_longer_listed_are_removed(
    film: Path, committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    params = prepare(committed, film, films={"film": str(film), "gone": str(film)}, footage={"walk": str(film)})
    stages = [
        "keyframes/PART/NAME",
        "crop/PART/anime/NAME",
        "edge_smooth/PART/NAME",
        "crop/PART/photo/NAME",
    ]
    made = [place.replace("PART", part) for place in stages for part in ("pictures", "about")]
    kept: set[Path] = set()
    orphans: set[Path] = set()
    for place in made:
        for name in ("film", "gone", "walk", "photos"):
            path = Path("data", place.replace("NAME", name))
            path.mkdir(parents=True, exist_ok=True)
            anime = "anime" in place or "edge_smooth" in place
            named = name in (("film", "gone") if anime else ("film", "gone", "walk", "photos"))
            if "photo" in place:
                named = name in ("walk", "photos")
            (kept if named else orphans).add(path)
    Path("data/keyframes/pictures/linked").symlink_to(tmp_path / "photos")
    run_stage("dedup", params)
    assert all(path.is_dir() for path in kept) and not any(path.exists() for path in orphans)
    assert not Path("data/keyframes/pictures/linked").is_symlink()
    assert list(Path("photos").iterdir()), "links go, not what they name"
    rows = manifest.read(run_stage("dedup", vary(params, {"films": {"film": str(film)}, "footage": {}})))
    assert {row.source for row in rows} == {"film", "photos"}
    left = {path.name for place in made for path in Path("data", place).parent.iterdir()}
    assert left == {"film", "photos"}


@pytest.mark.slow
def test_footage_serves_as_photographs(film: Path, committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    params = prepare(committed, film, footage={"walk": str(film)}, photos="empty")
    rows = manifest.read(run_stage("dedup", params))
    assert {(row.source, row.domain) for row in rows} == {("film", "anime"), ("walk", "photo")}


def test_films_alone_are_told_and_nothing_at_all_is_refused(
    film: Path, committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("none").mkdir()
    params = prepare(committed, film, photos="none")
    run_stage("dedup", params)
    assert any("there are no photo pictures" in record.message and "photos: or" in record.message for record in caplog.records)
    with pytest.raises(UserError, match="neither film nor photo"):
        run_stage("dedup", vary(params, {"films": {}}))
    with pytest.raises(UserError, match="nowhere does not exist"):
        run_stage("photo_index", vary(params, {"photos": "nowhere"}))


def test_rows_without_measures_are_refused(
    film: Path, committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    params = prepare(committed, film)
    rows = manifest.read(Path("data/keyframes/about/film"))
    broken: list[dict[str, Any]] = [{"hashes": None}, {"hashes": "zz"}, {"scores": {}}]
    for changes in broken:
        manifest.write(Path("data/keyframes/about/film"), [rows[0].model_copy(update=changes), *rows[1:]])
        with pytest.raises(UserError, match=f"{rows[0].id} was not measured: delete data/keyframes and"):
            run_stage("dedup", params)
