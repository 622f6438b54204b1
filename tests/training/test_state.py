"""The state of a run survives a checkpoint; a run of other parameters starts afresh."""

import logging
from pathlib import Path

import pytest
import torch

from pipeline.training.checkpoints import Checkpoint, Checkpoints
from pipeline.training.state import resume
from tests.support.tiny_run import build_state, fit_convolution


def test_state_survives_a_checkpoint_bit_for_bit(tmp_path: Path) -> None:
    state, network, optimiser = build_state()
    kept = Checkpoints("train", "mine", tmp_path)
    for _ in range(3):
        fit_convolution(state, network, optimiser)
    state.images_seen = 3
    state.metrics.log(3, "train", {"total": 0.1})
    kept.save(state.to_checkpoint())
    other, mirror, second = build_state()
    found = kept.load_newest()
    assert found is not None
    other.restore(found)
    assert (other.images_seen, other.metrics.rows) == (3, [(3, {"train/total": 0.1})])
    for _ in range(3):
        fit_convolution(state, network, optimiser)
        fit_convolution(other, mirror, second)
    for mine, theirs in zip(network.parameters(), mirror.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    for mine, theirs in zip(optimiser.state.values(), second.state.values(), strict=True):
        assert mine.keys() == theirs.keys() == {"step", "exp_avg", "exp_avg_sq"}
        assert all(torch.equal(mine[slot], theirs[slot]) for slot in mine)
        assert mine["exp_avg"].stride() == theirs["exp_avg"].stride()


def test_other_parameters_start_afresh_and_say_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    Checkpoints("train", "theirs", tmp_path).save(Checkpoint(8, {"a": torch.zeros(1)}, {}))
    state, _, _ = build_state()
    resume(state, Checkpoints("train", "mine", tmp_path), 12)
    assert state.images_seen == 0
    assert "starting afresh" in caplog.text
    caplog.clear()
    resume(state, Checkpoints("pretrain", "mine", tmp_path), 12)
    assert not caplog.text
