"""A corpus of hostile files, made with a seed, through every reader: a line each, nothing run, fetched or written elsewhere."""

from __future__ import annotations

import functools
import io
import os
import random
import resource
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from models.generators import table
from pipeline.commands import recipes
from pipeline.core import manifest
from pipeline.core.errors import UserError
from pipeline.dataset import shards
from pipeline.frames import overrides
from pipeline.inference.onnx_stylizer import OnnxStylizer
from pipeline.networks import vgg
from pipeline.networks.weights import generator_metadata, load_generator, save_generator
from pipeline.params import schema
from tests.conftest import ROOT, scene
from tests.faults import corpus
from tests.faults.conftest import SEEDS
from tests.support.exported import small_onnx

FORBIDDEN = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "socket.connect", "socket.getaddrinfo"}
watched: list[str] | None = None
"""Forbidden events since the last test began."""


@functools.cache
def watch() -> None:
    def see(event: str, _: object) -> None:
        if watched is not None and event in FORBIDDEN:
            watched.append(event)

    sys.addaudithook(see)


@pytest.fixture(autouse=True)
def nothing_runs(request: pytest.FixtureRequest) -> Iterator[None]:
    global watched
    watch()
    watched = [] if "seed" not in request.fixturenames else None
    yield
    found, watched = watched, None
    assert not found


def refused(read: Callable[[], object], most_s: float = 60) -> bool:
    """Whether a reader refuses with a message for people; any other error fails."""
    start = time.monotonic()
    try:
        read()
    except UserError as error:
        assert 10 < len(str(error)) < 20_000
        return True
    finally:
        assert time.monotonic() - start < most_s
    return False


def names(folder: Path) -> set[bytes]:
    return {os.path.join(root, name) for root, _, found in os.walk(os.fsencode(folder)) for name in found}


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize("seed", SEEDS)
def test_a_folder_of_hostile_pictures_and_films_is_redrawn_file_by_file(seed: int, tmp_path: Path) -> None:
    count = corpus.write_pictures_and_films(tmp_path / "in", seed)
    assert count > 350
    before = names(tmp_path)
    command = [sys.executable, "-m", "pipeline.cli", "stylize", ".", "-o", "../out", "--working-px", "32", "--exact"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=tmp_path / "in", stdout=output, stderr=output, env=environment)
        size, since = -1, time.monotonic()
        while process.poll() is None:  # something is heard at least once a minute
            if log.stat().st_size != size:
                size, since = log.stat().st_size, time.monotonic()
            assert time.monotonic() - since < 60, log.read_text(errors="replace")[-2000:]
            time.sleep(0.5)
    text = log.read_text("utf-8")
    assert process.returncode == 1 and "Traceback" not in text and "\x1b" not in text, text[-4000:]
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 4_000_000
    new = names(tmp_path) - before - {os.fsencode(log)}
    assert new and all(name.startswith(os.fsencode(tmp_path / "out")) for name in new)
    again = subprocess.run(command, cwd=tmp_path / "in", capture_output=True, env=environment, check=False)
    assert again.returncode == 1 and b"are done already" in again.stderr and b"0 redrawn" in again.stdout


def test_hostile_weights_are_refused(tmp_path: Path) -> None:
    torch.manual_seed(0)
    good, canary, path = tmp_path / "good.safetensors", tmp_path / "canary", tmp_path / "bad.safetensors"
    save_generator(good, table.build_generator("tiny"), generator_metadata("tiny", None))
    tried = corpus.weights(good.read_bytes(), canary, 1)
    assert len(tried) > 30
    results = []
    for content in tried:
        path.write_bytes(content)
        results.append(refused(lambda: load_generator(path)))
        results.append(refused(lambda: vgg.load_vgg(str(path))))
    assert sum(results) > len(results) / 2
    assert not canary.exists() and names(tmp_path) == {os.fsencode(good), os.fsencode(path)}


@pytest.mark.slow
@pytest.mark.faults
def test_damaged_onnx_files_are_refused_or_redraw(tmp_path: Path) -> None:
    good, rng, path = small_onnx()[1].read_bytes(), random.Random(3), tmp_path / "a.onnx"
    results = []
    for _ in range(200):
        path.write_bytes(corpus.mutated(good, rng))
        results.append(refused(lambda: OnnxStylizer(path, "cpu")(scene(1, 20, 16))))
    assert sum(results) > len(results) / 2 and len(names(tmp_path)) == 1


@pytest.mark.slow
@pytest.mark.faults
def test_hostile_params_and_recipes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    good = (ROOT / "params.yaml").read_text()
    tried = corpus.params(good)
    assert len(tried) > 40
    for text in tried:
        Path("params.yaml").write_text(text)
        harmless = "0x10" in text or "a/a/" in text  # a number, and a path that is not there
        changed = set(text.splitlines()) - set(good.splitlines())
        assert refused(lambda: schema.load(Path("params.yaml"))) or harmless, changed
        Path("recipes").mkdir(exist_ok=True)
        Path("recipes/bad.yaml").write_text(text)
        Path("target.yaml").write_text(good)
        if refused(lambda: recipes.use("bad", Path("recipes"), Path("target.yaml"))):
            assert Path("target.yaml").read_text() == good
    assert len(names(tmp_path)) == 3


def test_hostile_manifests_and_lists_are_refused(tmp_path: Path) -> None:
    lines = [
        "", "{", "[]",
        "null", '{"id": 1}', "\0", "[" * 100_000, '{"id": "a"}\n' * 2, '{"id": "../a", "unknown": 1}', "\ufeff{}",
        '{"id": "a", "domain": "anime", "source": "x", "width_px": 1e999, "height_px": 4, "shot": "a"}',
        '{"id": "a", "domain": "anime", "source": "x", "width_px": -4, "height_px": 4, "shot": "a"}',
    ]  # fmt: skip
    for text in lines:
        (tmp_path / manifest.MANIFEST).write_text(text)
        refused(lambda: manifest.read(tmp_path))
    for content in (b"\xff\xfe", b"a" * 10_000_000, b"\0\n\0", b"../../x\n", b"\x1b[2J\n"):
        (tmp_path / "keep.txt").write_bytes(content)
        refused(lambda: overrides.read(tmp_path))


def hostile_tars(tmp_path: Path) -> Iterator[bytes]:
    """Tars whose members lead elsewhere, are links or devices, or state more than there is."""
    for name, kind, link in (
        *(("/etc/a.json", tarfile.REGTYPE, ""), ("../a.json", tarfile.REGTYPE, ""), ("a/b.json", tarfile.REGTYPE, "")),
        *(
            ("a.json", tarfile.SYMTYPE, "/etc/passwd"),
            ("a.json", tarfile.LNKTYPE, "/etc/passwd"),
            ("a.json", tarfile.CHRTYPE, ""),
        ),
        *(("a.json", tarfile.FIFOTYPE, ""), ("a.json", tarfile.DIRTYPE, ""), ("..", tarfile.REGTYPE, "")),
    ):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.size = kind, link, 2 if kind == tarfile.REGTYPE else 0
            tar.addfile(member, io.BytesIO(b"{}"))
        yield buffer.getvalue()
    huge = tarfile.TarInfo("a.json")
    huge.size = 2**33
    yield huge.tobuf() + bytes(1024)


def test_hostile_shards_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "anime/train"
    folder.mkdir(parents=True)
    good = '{"format": "genga shards 1", "samples": 1, "shards": [{"file": "a.tar", "bytes": %d, "samples": 1}]}'
    for content in hostile_tars(tmp_path):
        (folder / "a.tar").write_bytes(content)
        (folder / "index.json").write_text(good % len(content))
        assert refused(lambda: shards.rows_of(tmp_path, "anime", "train"))
    for change in (
        *(("a.tar", name) for name in ("/etc/passwd", "../a.tar", "a/../a.tar", "", "a" * 5000 + ".tar", "a.tar\\u0000")),
        *(('"a.tar"', value) for value in ("1", "null", "[]")),
        *(('"samples": 1', f'"samples": {value}') for value in ("-1", "1e999", "null", '"1"', "[]")),
        *(('"bytes": 1', f'"bytes": {value}') for value in ("-1", "null", "NaN")),
        *(('[{"file"', start) for start in ('{"file"', "[[" * 5000, "null, [{\"file\"")),
    ):  # fmt: skip
        (folder / "index.json").write_text((good % 1).replace(*change))
        assert refused(lambda: shards.rows_of(tmp_path, "anime", "train"))
        assert refused(lambda: shards.summary(folder))
