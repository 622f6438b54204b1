"""Who trains and who judges: by shot, stable, never empty."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import images, manifest, split, stage
from pipeline.faults import Fault
from pipeline.manifest import Row
from pipeline.params import Params, SplitParams
from tests.conftest import scene, vary


def params_of(val: float = 0.1, pred: float = 0.15, seed: int = 1) -> SplitParams:
    return SplitParams(seed=seed, val=val, pred=pred)


groups = st.sets(st.text(min_size=1, max_size=8), min_size=3, max_size=60)
domains: st.SearchStrategy[manifest.Domain] = st.sampled_from(["anime", "photo"])


@given(groups, domains, st.floats(0.01, 0.45), st.floats(0.01, 0.45), st.integers(0, 2**32 - 1))
def test_every_split_has_someone(names: set[str], domain: manifest.Domain, val: float, pred: float, seed: int) -> None:
    splits = split.assign(names, domain, params_of(val, pred, seed))
    assert splits.keys() == names
    assert set(splits.values()) == ({"train", "val", "pred"} if domain == "photo" else {"train", "val"})


@given(st.integers(0, 2**32 - 1))
def test_more_films_move_nobody(seed: int) -> None:
    first = {f"a-{index}" for index in range(60)}
    both = first | {f"b-{index}" for index in range(60)}
    alone, together = (split.assign(names, "anime", params_of(0.2, 0.1, seed)) for names in (first, both))
    assert {name: together[name] for name in first} == alone


def test_shares_are_those_asked_for() -> None:
    splits = split.assign({str(index) for index in range(5000)}, "photo", params_of(0.1, 0.2))
    shares = {name: list(splits.values()).count(name) / 5000 for name in ("train", "val", "pred")}
    assert shares == pytest.approx({"train": 0.7, "val": 0.1, "pred": 0.2}, abs=0.02)


def test_too_few_to_split_is_said() -> None:
    with pytest.raises(Fault, match="2 photographs cannot be split into pred, val, train"):
        split.assign({"a", "b"}, "photo", params_of())
    with pytest.raises(Fault, match="1 shots"):
        split.assign({"a"}, "anime", params_of())


def world(root: Path) -> None:
    """Ten shots of three squares, ten photographs of two."""
    squares, pictures = [], []
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
            squares += [base.model_copy(update={"id": f"{name}-{index}", "parent": name}) for index in range(per)]
    for folder, rows in (("crop", squares), ("dedup", pictures)):
        (root / "data" / folder).mkdir(parents=True)
        manifest.write(root / "data" / folder, rows)


def test_the_stage_keeps_shots_together_and_pred_photos_whole(
    committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    world(tmp_path)
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


def test_a_split_without_squares_is_a_fault(committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    world(tmp_path)
    rows = [row for row in manifest.read(Path("data/crop")) if row.domain == "anime"]
    manifest.write(Path("data/crop"), rows)
    with pytest.raises(Fault, match="no photo squares in train"):
        stage.execute("split", split.run, committed)
    assert not Path("data/split").exists()
