"""The benchmark of a training step: it ends with ratios only where both ways compute the same losses."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.mark.slow
@pytest.mark.parametrize("generator", ["cartoongan", "genga-s"])  # the latter begins as the photo, whose content term is 0
def test_both_ways_have_the_same_losses_and_are_timed(generator: str) -> None:
    size = ["--size", "32", "--batch", "1", "--rounds", "1", "--no-memory"]
    command = [sys.executable, "-m", "benchmarks.train_step", "--generator", generator, *size]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["metric"] for line in lines] == ["train_step_vs_plain", "train_step_vs_tidy"]
    assert all(line["ratio"] > 0 and line["notes"].startswith(generator) for line in lines)
