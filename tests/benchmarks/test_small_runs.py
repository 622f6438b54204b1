"""Benchmarks run at a small size and print the lines that their modules promise."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.media import images
from tests.conftest import ROOT, scene

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three drawings of 320x288."""
    folder = tmp_path_factory.mktemp("pictures")
    for seed in range(3):
        images.write(folder / f"{seed}.png", scene(seed, 320, 288))
    return folder


@pytest.mark.parametrize(
    ("name", "arguments", "metrics"),
    [
        (
            "dedup",
            ["--size", "3000", "--pairs-size", "500"],
            {"dedup_vs_all_pairs", "dedup_seconds", "dedup_peak_memory"},
        ),
        (
            "keyframes",
            ["--seconds", "6", "--width", "320", "--format", "jpg"],
            {f"keyframes_{way}" for way in ("decode_seconds", "plain_seconds", "genga_seconds", "vs_two_pass", "vs_decode")},
        ),
        ("recipe_cost", ["laptop"], {"recipe_cost/laptop"}),
        (
            "shots",
            ["--kinds", "cuts", "--rates", "12", "--methods", "content"],
            {f"shots/{name}/{share}" for name in ("content/cuts", "content") for share in ("hard_cuts", "places")},
        ),
        ("smooth", ["PICTURES", "--count", "2", "--loop", "1"], {"smooth_vs_loop", "smooth_vs_opencv"}),
        (
            "stylize",
            ["--generator", "tiny", "--size", "64x48", "--rounds", "1"],
            {"stylize_12mp_s"}
            | {f"stylize_{ours}_vs_{other}" for ours in ("ours", "exact") for other in ("eager", "onnxruntime")},
        ),
        (
            "feature_scale",
            ["PICTURES", "--count", "2", "--published", "conv1_1"],
            {"published/content/conv1_1", "published/style/conv1_1"},
        ),
    ],
)
def test_lines_are_those_promised(name: str, arguments: list[str], metrics: set[str], pictures: Path) -> None:
    given = [pictures.as_posix() if argument == "PICTURES" else argument for argument in arguments]
    # In a process of its own: recipe_cost leaves tensors without content in caches.
    command = [sys.executable, "-m", f"benchmarks.{name}", *given]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {line["metric"] for line in lines} == metrics
    assert all(line["value"] > 0 and line["unit"] for line in lines)
