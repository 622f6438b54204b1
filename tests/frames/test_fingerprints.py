"""Fingerprints of crops: what they hold, and their file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.frames import fingerprints, perceptual_hashes
from pipeline.media import arrays
from tests.conftest import scene


def test_a_fingerprint_holds_both_hashes_and_a_thumbnail() -> None:
    picture = scene(1, 256, 256)
    found = fingerprints.compute(picture)
    gray = arrays.luma(picture)
    assert fingerprints.hashes(found).tolist() == [[perceptual_hashes.phash(gray)], [perceptual_hashes.dhash(gray)]]
    assert np.array_equal(found["small"][0], arrays.resize(picture, 16, 16))


def test_fingerprints_come_back_from_their_file_in_order(tmp_path: Path) -> None:
    parts = [fingerprints.compute(scene(seed, 64, 64)) for seed in range(5)]
    fingerprints.write(tmp_path, parts)
    found = fingerprints.read(tmp_path, 5)
    assert np.array_equal(found, fingerprints.concatenate(parts))
    assert np.array_equal(found[[3]], parts[3])
    fingerprints.write(tmp_path, [])
    assert fingerprints.hashes(fingerprints.read(tmp_path, 0)).shape == (2, 0)


def test_a_file_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / fingerprints.FILE
    fingerprints.write(tmp_path, [fingerprints.compute(scene(1, 64, 64))])
    whole = path.read_bytes()
    with pytest.raises(UserError, match="missing or damaged"):
        fingerprints.read(tmp_path, 2)
    for content in (whole[:-1], b""):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"fingerprints\.npy is missing or damaged: delete .* and run dvc repro"):
            fingerprints.read(tmp_path, 1)
    path.unlink()
    with pytest.raises(UserError, match="missing or damaged"):
        fingerprints.read(tmp_path, 1)
