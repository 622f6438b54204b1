"""Rows and the randomness that belongs to them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core import manifest
from pipeline.core.errors import UserError
from pipeline.core.manifest import Row

names = st.text(min_size=1, max_size=20)


@given(st.lists(names, unique=True), st.sampled_from(["anime", "photo"]), st.one_of(st.none(), st.floats(0, 1e5)))
def test_rows_survive_their_file(ids: list[str], domain: manifest.Domain, time_s: float | None) -> None:
    import tempfile

    rows = [Row(id=name, domain=domain, source="s", width_px=3, height_px=2, time_s=time_s, box=(0, 1, 2, 3)) for name in ids]
    with tempfile.TemporaryDirectory() as folder:
        manifest.write(Path(folder), rows)
        assert manifest.read(Path(folder)) == rows


def test_a_missing_or_damaged_manifest_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="dvc repro"):
        manifest.read(tmp_path)
    (tmp_path / manifest.MANIFEST).write_text('{"id": 3}\n')
    with pytest.raises(UserError, match="damaged"):
        manifest.read(tmp_path)


def test_kept_filters_by_reason_domain_and_split() -> None:
    base = Row(id="a", domain="anime", source="s", width_px=1, height_px=1, split="train")
    rows = [base, base.model_copy(update={"id": "b", "reason": "dark"}), base.model_copy(update={"id": "c", "split": "val"})]
    assert [row.id for row in manifest.kept(rows)] == ["a", "c"]
    assert [row.id for row in manifest.kept(rows, "anime", "val")] == ["c"]
    assert manifest.kept(rows, "photo") == []


def test_a_picture_must_have_the_digest_of_its_row(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"picture")
    digest = hashlib.blake2b(b"picture", digest_size=16).hexdigest()
    row = Row(id="a", domain="anime", source="s", file="a.png", digest=digest, width_px=1, height_px=1)
    assert manifest.file_of(row, tmp_path) == tmp_path / "a.png"
    assert manifest.file_of(row.model_copy(update={"digest": None, "file": "b.png"})) == Path("b.png"), "nothing to hold it to"
    (tmp_path / "a.png").write_bytes(b"Picture")
    with pytest.raises(UserError, match=r"a\.png has changed since it was listed: run dvc repro, which restores it"):
        manifest.file_of(row, tmp_path)
    (tmp_path / "a.png").unlink()
    with pytest.raises(UserError, match=r"a\.png is missing: run dvc repro, .*dvc pull"):
        manifest.file_of(row, tmp_path)
    (tmp_path / "a.png").mkdir()
    with pytest.raises(UserError, match=r"a\.png cannot be read \(Is a directory\)"):
        manifest.file_of(row, tmp_path)


@given(st.integers(0, 2**32 - 1), names, names)
def test_randomness_belongs_to_the_names(seed: int, one: str, other: str) -> None:
    draw = manifest.rng(seed, one).integers(2**62)
    assert manifest.rng(seed, one).integers(2**62) == draw
    if one != other:
        assert manifest.number(seed, one) != manifest.number(seed, other)


def test_names_do_not_run_together() -> None:
    assert manifest.number(1, "ab", "c") != manifest.number(1, "a", "bc")


def test_draws_are_even() -> None:
    draws = np.array([manifest.number(1, str(index)) / 2**64 for index in range(4000)])
    assert abs(draws.mean() - 0.5) < 0.02
    assert abs((draws < 0.1).mean() - 0.1) < 0.02
