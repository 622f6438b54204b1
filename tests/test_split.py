"""Splits keep shots together, do not depend on other films, and are never empty; validation crops resemble none of training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import split
from pipeline.core import manifest, stage
from pipeline.core.errors import UserError
from pipeline.core.manifest import Row
from pipeline.frames import fingerprints, hash_index, places
from pipeline.media import images
from pipeline.media.images import Picture
from pipeline.params.data import SplitParams
from pipeline.params.schema import Params
from tests.conftest import scene, vary


def params_of(val: float = 0.1, pred: float = 0.15, seed: int = 1) -> SplitParams:
    return SplitParams(seed=seed, val=val, pred=pred)


groups = st.sets(st.text(min_size=1, max_size=8), min_size=3, max_size=60)
domains: st.SearchStrategy[manifest.Domain] = st.sampled_from(["anime", "photo"])


@given(groups, domains, st.floats(0.01, 0.45), st.floats(0.01, 0.45), st.integers(0, 2**32 - 1))
def test_no_split_is_empty(names: set[str], domain: manifest.Domain, val: float, pred: float, seed: int) -> None:
    splits = split.assign(names, domain, params_of(val, pred, seed))
    assert splits.keys() == names
    assert set(splits.values()) == ({"train", "val", "pred"} if domain == "photo" else {"train", "val"})


@given(st.integers(0, 2**32 - 1))
def test_more_films_leave_other_shots_where_they_are(seed: int) -> None:
    first = {f"a-{index}" for index in range(60)}
    both = first | {f"b-{index}" for index in range(60)}
    alone, together = (split.assign(names, "anime", params_of(0.2, 0.1, seed)) for names in (first, both))
    assert {name: together[name] for name in first} == alone


def test_splits_have_the_sizes_asked_for() -> None:
    splits = split.assign({str(index) for index in range(5000)}, "photo", params_of(0.1, 0.2))
    shares = {name: list(splits.values()).count(name) / 5000 for name in ("train", "val", "pred")}
    assert shares == pytest.approx({"train": 0.7, "val": 0.1, "pred": 0.2}, abs=0.02)


def test_too_few_groups_are_an_error() -> None:
    with pytest.raises(UserError, match="2 photographs cannot be split into pred, val, train"):
        split.assign({"a", "b"}, "photo", params_of())
    with pytest.raises(UserError, match="1 shots"):
        split.assign({"a"}, "anime", params_of())


def pictures_of(source: str, takes: list[int]) -> list[Row]:
    """One picture of each shot, with the index of the shot that its take began with."""
    return [
        Row(
            id=f"{source}-{index:05d}-p",
            domain="anime",
            source=source,
            width_px=1,
            height_px=1,
            time_s=index,
            shot=f"{source}-{index:05d}",
            scores={"take": take},
        )
        for index, take in enumerate(takes)
    ]


def test_shots_of_one_place_and_of_one_take_form_a_group() -> None:
    rows = pictures_of("a", [0, 1, 1, 3, 4, 5, 6, 7, 8])
    groups = split.group_by_place(rows, [(0, 5), (5, 7)])
    assert [int(groups[row.shot or ""][2:]) for row in rows] == [0, 1, 1, 3, 4, 0, 6, 0, 8]


def test_a_film_added_follows_those_before_it_and_changes_nothing_in_them() -> None:
    first, second = pictures_of("a", [*range(8)]), pictures_of("b", [*range(8)])
    alone = split.group_by_place(first, [(0, 1)])
    both = split.group_by_place(first + second, [(0, 1), (1, 8), (3, 9), (9, 10), (5, 10)])
    assert {shot: both[shot] for shot in alone} == alone
    assert [both[row.shot or ""] for row in second[:4]] == ["a-00000", "a-00003", "a-00003", "b-00003"]


def test_a_film_of_one_place_or_one_take_is_divided_into_parts() -> None:
    one_place = split.group_by_place(pictures_of("a", [*range(32)]), [(index, index + 1) for index in range(31)])
    assert [int(name[2:]) for name in one_place.values()] == [index // 4 * 4 for index in range(32)]
    slides = split.group_by_place(pictures_of("a", [0] * 9), [(2, 3)])
    assert len(set(slides.values())) == 8, "a take of nearly all of a film joins only what is alike"


def test_what_both_sides_show_is_dropped_in_validation_or_in_the_later_film() -> None:
    pictures = pictures_of("a", [0, 1]) + pictures_of("b", [0, 1])
    sides: list[manifest.Split] = ["val", "train", "train", "train"]
    crops = [row.model_copy(update={"parent": row.id, "split": side}) for row, side in zip(pictures, sides, strict=True)]
    assert [row.reason for row in split.drop_shared_places(crops, pictures, [(0, 1)])] == ["near_train", None, None, None]
    later = split.drop_shared_places(crops, pictures, [(0, 2), (1, 3)])
    assert [(row.reason, row.duplicate_of) for row in later] == [(None, None)] * 2 + [("near_val", "a-00000-p"), (None, None)]


def test_two_of_three_shots_are_too_large_a_group_and_one_of_two_is_not() -> None:
    for shots, same, found in ((3, [(0, 1)], {"a-00000"}), (2, [], set())):
        rows = pictures_of("a", [*range(shots)])
        groups = {row.shot or "": row.shot or "" for row in rows}
        groups |= {rows[other].shot or "": rows[one].shot or "" for one, other in same}
        assert split.too_large(groups, rows) == found


def test_a_group_of_most_shots_is_not_validated_on() -> None:
    rows = pictures_of("a", [*range(9)])
    groups = split.group_by_place(rows, [(0, 1), (1, 2), (2, 3)])
    assert split.too_large(groups, rows) == {"a-00000"}
    for seed in range(40):
        sides = split.assign(groups.values(), "anime", params_of(0.4, 0.1, seed), split.too_large(groups, rows))
        assert sides["a-00000"] == "train" and "val" in sides.values()


def make_crops(root: Path) -> None:
    """Ten shots of three crops, ten photographs of two."""
    crops, pictures = [], []
    for domain, per in (("anime", 3), ("photo", 2)):
        for shot in range(10):
            name = f"{domain}{shot}"
            images.write(root / f"{name}.png", scene(shot, 64, 64))
            base = Row.model_validate(
                {
                    "id": name,
                    "domain": domain,
                    "source": "s",
                    "file": f"{name}.png",
                    "width_px": 64,
                    "height_px": 64,
                    "shot": name,
                }
            )
            pictures.append(base)
            crops += [base.model_copy(update={"id": f"{name}-{index}", "parent": name}) for index in range(per)]
    (root / "data/dedup").mkdir(parents=True)
    manifest.write(root / "data/dedup", pictures)
    write_crops(root, crops)


def write_crops(root: Path, rows: list[Row]) -> None:
    """As crop leaves them, of one source a domain."""
    for domain in ("anime", "photo"):
        folder = root / "data/crop/about" / domain / "s"
        folder.mkdir(parents=True, exist_ok=True)
        own = [row for row in rows if row.domain == domain]
        manifest.write(folder, own)
        fingerprints.write(folder, [fingerprints.compute(images.read(root / (row.file or ""))) for row in own])
        whole = [row for row in manifest.read(root / "data/dedup") if row.domain == domain]
        places.write(folder, [places.features(images.read(root / (row.file or ""))) for row in whole])


def read_crops(root: Path) -> list[Row]:
    return [row for domain in ("anime", "photo") for row in manifest.read(root / "data/crop/about" / domain / "s")]


def test_the_stage_keeps_shots_together_and_pred_photos_whole(
    committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_crops(tmp_path)
    rows = manifest.read(stage.execute("split", split.run, vary(committed, {"split.val": 0.3, "split.pred": 0.2})))
    where: dict[str, set[str]] = {}
    for row in rows:
        where.setdefault(row.shot or "", set()).add(row.split or "")
    assert len(where) == 20
    assert all(len(splits) == 1 for splits in where.values())
    whole = [row for row in rows if row.split == "pred"]
    assert whole and all(row.parent is None and row.domain == "photo" for row in whole)
    assert len([row for row in rows if row.domain == "anime"]) == 30
    for domain in ("anime", "photo"):
        assert manifest.read(Path("data/split") / domain) == [row for row in rows if row.domain == domain]


def test_a_domain_without_crops_is_an_error(committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_crops(tmp_path)
    write_crops(tmp_path, [row for row in read_crops(tmp_path) if row.domain == "anime"])
    with pytest.raises(UserError, match="no photo crops in train"):
        stage.execute("split", split.run, committed)
    assert not Path("data/split").exists()


def make_changed_crops(root: Path, changes: dict[str, Picture]) -> None:
    """Make crops, some of which show the pictures given for their ids."""
    make_crops(root)
    rows = []
    for row in read_crops(root):
        if row.id in changes:
            images.write(root / f"{row.id}.png", changes[row.id])
            row = row.model_copy(update={"file": f"{row.id}.png"})
        rows.append(row)
    write_crops(root, rows)


def test_a_validation_crop_that_resembles_a_training_crop_is_dropped_and_names_it(
    committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    params = vary(committed, {"split.val": 0.3, "split.pred": 0.2})
    sides = split.assign([f"anime{shot}" for shot in range(10)], "anime", params.split)
    val, train = (next(int(name[5:]) for name in sides if sides[name] == side) for side in ("val", "train"))
    noise = np.random.default_rng(1).normal(0, 4, (64, 64, 3))
    similar = np.clip(scene(train, 64, 64) + noise, 0, 255).astype(np.uint8)
    make_changed_crops(tmp_path, {f"anime{val}-0": similar})
    out = stage.execute("split", split.run, params)
    rows = manifest.read(out)
    dropped = [row for row in rows if row.reason is not None]
    assert [(row.id, row.split, row.reason) for row in dropped] == [(f"anime{val}-0", "val", "near_train")]
    assert (dropped[0].duplicate_of or "").startswith(f"anime{train}-")
    metrics = json.loads((out / stage.METRICS).read_text("utf-8"))
    assert (metrics["anime_val_near_train"], metrics["photo_val_near_train"]) == (1, 0)
    assert metrics["anime_val"] == len(manifest.kept(rows, "anime", "val"))


def test_validation_crops_that_all_resemble_training_crops_are_an_error(
    committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_changed_crops(tmp_path, {f"photo{shot}-{index}": scene(99, 64, 64) for shot in range(10) for index in range(2)})
    with pytest.raises(
        UserError, match=r"no photo crops in val \(\d+ were dropped as they resemble training crops\): give more"
    ):
        stage.execute("split", split.run, committed)
    assert not Path("data/split").exists()


def sky(top: tuple[int, int, int], bottom: tuple[int, int, int], seed: int) -> Picture:
    """A vertical gradient, with a faint horizontal one so that noise decides no bit of the hashes."""
    down, across = np.linspace(0, 1, 256)[:, None, None], np.linspace(0, 1, 256)[None, :, None]
    picture = np.array(top) * (1 - down) + np.array(bottom) * down + 12 * across
    return np.clip(picture + np.random.default_rng(seed).normal(0, 1, (256, 256, 1)), 0, 255).astype(np.uint8)


def fingerprints_of(*pictures: Picture) -> fingerprints.Fingerprints:
    return fingerprints.concatenate(map(fingerprints.compute, pictures))


def test_skies_of_other_colors_are_no_leak_though_their_hashes_agree() -> None:
    noon, noon_again, dusk = (
        sky((90, 140, 210), (150, 190, 230), 1),
        sky((90, 140, 210), (150, 190, 230), 2),
        sky((120, 60, 90), (210, 120, 60), 3),
    )
    distance = 32
    index = hash_index.Index(distance)
    index.add(fingerprints.hashes(fingerprints_of(noon)))
    assert len(index.search(fingerprints.hashes(fingerprints_of(noon_again, dusk))).query) == 2, "the hashes of all three agree"
    assert split.find_leaks(fingerprints_of(noon_again, dusk), fingerprints_of(noon), distance).tolist() == [0, -1]


def test_each_leak_is_found_among_many_crops() -> None:
    """The nearest by hashes may differ in pixels, and the next one counts; across several chunks of queries."""
    pictures = [scene(seed, 96, 96) for seed in range(40)]
    train = fingerprints_of(*(np.roll(picture, 1, axis=2) for picture in pictures), *pictures)
    val = fingerprints_of(*(pictures[index % 40] for index in range(300)))
    found = split.find_leaks(val, train, 6)
    assert found.tolist() == [40 + index % 40 for index in range(300)]
