"""Fixtures and helpers of all tests: small films and pictures, and the real ones of GENGA_SHARED where they are available."""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from hypothesis import settings

from pipeline.core import stage
from pipeline.media import decoding
from pipeline.media.images import Picture
from pipeline.params import schema
from pipeline.params.schema import Params
from tests.support import skips

ROOT = Path(__file__).parent.parent
SHARED = Path(os.environ.get("GENGA_SHARED", ROOT.parent / "shared"))

# No deadline for examples: a test may have to wait for a busy processor.
settings.register_profile("genga", deadline=None)
settings.load_profile("genga")


# Folders and files of tests that train networks, export them, encode films, or start processes and browsers. They are marked
# `slow`, like single tests that say so themselves, and left out by `make test-fast`.
SLOW = {
    *("film", "inference", "sample_film", "models/generators"),
    *(
        f"commands/test_{name}.py"
        for name in ("compare", "demo", "recipes", "review", "static_demo", "sweep", "training_time", "watch")
    ),
    *(f"frames/test_{name}.py" for name in ("film_report", "hash_index", "lettering", "shot_detection", "subtitles")),
    *(
        f"test_{name}.py"
        for name in ("cli", "evaluate", "export", "keyframes", "predict", "pretrain", "real", "resume", "sample")
    ),
    *("test_train.py", "test_report.py", "networks/test_process_group.py", "benchmarks/test_data_side.py"),
    *(f"training/test_{name}.py" for name in ("cuda_graph", "discriminator_terms", "loop", "loss_terms", "supervision")),
    *("metrics/test_reference.py", "metrics/test_validation_probe.py"),
    *("media/test_decoding.py", "media/test_interlacing.py"),
    *(f"evaluation/test_{name}.py" for name in ("page", "runner", "sizes")),
}


def is_slow(path: Path) -> bool:
    """Whether SLOW names a file of tests or one of its folders."""
    if not path.is_relative_to(ROOT / "tests"):
        return False
    inner = path.relative_to(ROOT / "tests")
    return bool(SLOW & {inner.as_posix(), *(parent.as_posix() for parent in inner.parents)})


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import slow files when all their tests are left out."""
    return True if config.option.markexpr == "not slow" and is_slow(collection_path) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of SLOW, and begin with the file that takes longest, so that no process waits for it at the end."""
    items.sort(key=lambda item: item.path.name != "test_dag.py")
    for item in items:
        if is_slow(item.path):
            item.add_marker(pytest.mark.slow)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """End a run with what was skipped, and how to run it."""
    reasons = [skips.reason_of(report) for report in terminalreporter.stats.get("skipped", [])]
    if reasons:
        terminalreporter.section(f"{len(reasons)} skipped")
        for line in skips.summary(reasons):
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of real films, photographs and weights; skip the test without one."""
    if not (SHARED / "films").is_dir():
        pytest.skip("no real films and photos: set GENGA_SHARED to their folder")
    return SHARED


@pytest.fixture(scope="session")
def committed() -> Params:
    """params.yaml as committed."""
    return schema.load(ROOT / "params.yaml")


def vary(start: Params, changes: dict[str, Any]) -> Params:
    """Params with some values changed, by dotted key; the result is validated."""
    tree = start.model_dump()
    for key, value in changes.items():
        *sections, last = key.split(".")
        place = tree
        for section in sections:
            place = place[section]
        assert last in place or place is tree["films"] or place is tree["footage"], key
        place[last] = value
    return schema.check(tree)


def run_stage(name: str, chosen: Params, source: str | None = None) -> Path:
    """Run a stage as `python -m pipeline.NAME [SOURCE]` does; returns its folder (of the source, data/NAME/about/SOURCE)."""
    run = importlib.import_module(f"pipeline.{name}").run
    if source is None:
        return stage.execute(name, run, chosen)
    return stage.execute(name, functools.partial(run, source=source), chosen, source=source)


def scene(seed: int, width: int = 320, height: int = 180, shift: int = 0) -> Picture:
    """A drawn picture that depends on the seed: a gradient, and flat shapes with dark outlines. uint8 RGB."""
    rng = np.random.default_rng(seed)
    low, high = rng.integers(60, 255, (2, 3))
    ramp = np.linspace(0, 1, height)[:, None, None]
    picture = np.broadcast_to(low * (1 - ramp) + high * ramp, (height, width, 3)).astype(np.uint8).copy()
    for _ in range(14):
        x, y = int(rng.integers(width)) + shift, int(rng.integers(height))
        size = int(rng.integers(height // 12, height // 3))
        color = [int(value) for value in rng.integers(30, 255, 3)]
        if rng.random() < 0.5:
            cv2.circle(picture, (x, y), size, color, -1)
            cv2.circle(picture, (x, y), size, (20, 15, 25), 2)
        else:
            cv2.rectangle(picture, (x, y), (x + size * 2, y + size), color, -1)
            cv2.rectangle(picture, (x, y), (x + size * 2, y + size), (20, 15, 25), 2)
    return picture


def write_film(
    path: Path,
    frames: Iterable[Picture],
    fps: int = 12,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    times_ms: Sequence[int] | None = None,
    **stream_options: Any,
) -> Path:
    """Encode pictures in good quality; `times_ms` gives each its presentation time."""
    with av.open(str(path), "w") as container:
        stream: Any = None
        for index, picture in enumerate(frames):
            if stream is None:
                stream = container.add_stream(codec, rate=Fraction(fps))
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = pix_fmt
                x264 = {"crf": "12", "preset": "veryfast", "threads": "1"}
                stream.options = (x264 if codec == "libx264" else {}) | (options or {})
                if times_ms:
                    stream.codec_context.time_base = Fraction(1, 1000)
                for key, value in stream_options.items():
                    setattr(stream, key, value)
            raw = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pix_fmt)
            raw.time_base = Fraction(1, 1000) if times_ms else Fraction(1, fps)
            raw.pts = times_ms[index] if times_ms else index
            container.mux(stream.encode(raw))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five shots of two seconds with movement and hard cuts, 12 frames per second, letterbox bars of 24 rows."""

    def frames() -> Iterable[Picture]:
        for shot in range(5):
            for step in range(24):
                picture = scene(shot, shift=step // 2)
                picture[:24] = picture[-24:] = 0
                yield picture

    return write_film(tmp_path_factory.mktemp("film") / "film.mp4", frames())


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Path]:
    """Change to an empty folder, as stages run in the project's; the fixture returns it when called."""
    monkeypatch.chdir(tmp_path)
    return lambda: tmp_path


def no_loss(loss: decoding.MissingFrames) -> None:
    """A loss handler for films that are complete: any reported loss fails the test."""
    pytest.fail(loss.text)
