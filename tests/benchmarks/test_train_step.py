"""The benchmark of a training step: it ends with ratios only where both ways compute the same losses."""

from __future__ import annotations

import json
import sys

import pytest

from benchmarks import train_step


@pytest.mark.slow
@pytest.mark.parametrize("generator", ["cartoongan", "genga-s"])  # the latter begins as the photo, whose content term is 0
def test_both_ways_have_the_same_losses_and_are_timed(
    generator: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    size = ["--size", "32", "--batch", "1", "--rounds", "1", "--no-memory"]
    monkeypatch.setattr(sys, "argv", ["train_step", "--generator", generator, *size])
    train_step.main()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["metric"] for line in lines] == ["train_step_vs_plain", "train_step_vs_tidy"]
    assert all(line["ratio"] > 0 and line["notes"].startswith(generator) for line in lines)
