"""What `genga doctor` looks at: packages, device, memory, disk, weights, sources, lists, model; each with its remedy."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Literal, NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.stage import DATA
from pipeline.frames import overrides
from pipeline.params import schema

SAMPLE_FOLDER = DATA / "sample"
CV2_WHEELS = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
PACKAGES = ("torch", "torchvision", "av", "dvc")
MIN_MEMORY_GB = 4.0
MIN_DISK_GB = 5.0


class Finding(NamedTuple):
    """A line of the doctor's table."""

    what: str
    state: Literal["ok", "warn", "bad"]
    text: str
    remedy: str = ""


def version() -> str:
    """Genga's own version."""
    return _installed("genga") or "(not installed: pip install -e .)"


def examine(model: Path) -> Iterator[Finding]:
    """Everything that the doctor looks at, in order; `model` is the generator's file."""
    yield Finding("genga", "ok", version())
    python = ".".join(map(str, sys.version_info[:3]))
    yield Finding(
        "python",
        "ok" if sys.version_info >= (3, 11) else "bad",
        python,
        "" if sys.version_info >= (3, 11) else "install 3.11 or newer",
    )
    yield from map(_package, PACKAGES)
    yield _cv2_wheels([wheel for wheel in CV2_WHEELS if _installed(wheel)])
    yield _told("device", _device)
    yield _redrawing()
    yield _memory()
    yield _disk(Path())
    params: schema.Params | None = None
    try:
        params = schema.load()
        yield Finding("params.yaml", "ok", "valid")
    except UserError as fault:
        yield Finding("params.yaml", "bad", str(fault), "mend these keys, or git checkout params.yaml")
    if params is not None:
        weights = params.perceptual.weights
        yield _told("VGG19 weights", lambda: _vgg(weights))
        for name, place in {**params.films, **params.footage}.items():
            yield _source(f"film {name}", Path(place), _film)
        yield _source("photos", Path(params.photos), _photos)
    yield _lists(DATA)
    yield (
        _told("model", lambda: _model(model))
        if model.exists()
        else Finding("model", "warn", f"{model} is not there yet", "dvc repro trains it")
    )


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _package(name: str) -> Finding:
    version = _installed(name)
    return Finding(name, "ok", version) if version else Finding(name, "bad", "not installed", "pip install -e .")


def _cv2_wheels(wheels: list[str]) -> Finding:
    if not wheels:
        return Finding("opencv", "bad", "not installed", "pip install opencv-python-headless")
    text = ", ".join(f"{wheel} {_installed(wheel)}" for wheel in wheels)
    if len(wheels) == 1:
        return Finding("opencv", "ok", text)
    return Finding(
        "opencv", "warn", f"{text}: they overwrite each other's files",
        f"pip uninstall -y {' '.join(wheels)}; pip install opencv-python-headless",
    )  # fmt: skip


def _told(what: str, look: Callable[[], str]) -> Finding:
    """A finding from a look that tells what it saw, or raises."""
    try:
        return Finding(what, "ok", look())
    except UserError as fault:
        return Finding(what, "bad", str(fault))
    except ImportError as error:
        return Finding(what, "bad", f"{error}", "pip install -e .")


def _device() -> str:
    import torch

    if torch.cuda.is_available():
        return f"cuda: {torch.cuda.get_device_name(0)}" + (
            f" and {torch.cuda.device_count() - 1} more" if torch.cuda.device_count() > 1 else ""
        )
    return f"cpu, {torch.get_num_threads()} threads, {os.cpu_count()} cores (no GPU seen)"


def _redrawing() -> Finding:
    found = _installed("openvino")
    if found:
        return Finding("redrawing", "ok", f"on a processor by OpenVINO {found}")
    return Finding("redrawing", "warn", "on a processor by PyTorch alone", "pip install 'genga[export]': three times as fast")


def _memory() -> Finding:
    import psutil

    memory = psutil.virtual_memory()
    free = memory.available / 1e9
    text = f"{free:.1f} GB free of {memory.total / 1e9:.1f}"
    return (
        Finding("memory", "ok", text)
        if free >= MIN_MEMORY_GB
        else Finding("memory", "warn", text, "close other programs, or lower the batch sizes")
    )


def _disk(place: Path) -> Finding:
    free = shutil.disk_usage(place).free / 1e9
    text = f"{free:.1f} GB free here"
    return (
        Finding("disk", "ok", text)
        if free >= MIN_DISK_GB
        else Finding("disk", "warn", text, "make room: dvc gc -w drops the results of older runs")
    )


def _vgg(weights: str) -> str:
    from pipeline.networks.vgg import load_vgg

    found = load_vgg(weights)
    return f"{found.origin}, sha256 {found.sha256[:12]}"


def _source(what: str, path: Path, look: Callable[[Path], str]) -> Finding:
    if not path.exists():
        if path.is_relative_to(SAMPLE_FOLDER):
            return Finding(what, "ok", f"{path} will be drawn by dvc repro")
        return Finding(what, "bad", f"{path} does not exist", "put it there, or mend its path in params.yaml")
    return _told(what, lambda: look(path))


def _film(path: Path) -> str:
    from pipeline.media import video

    files = video.find(path)
    infos = [video.probe(file) for file in files]
    return f"{path}: " + (f"{infos[0].width_px}x{infos[0].height_px}" if len(infos) == 1 else f"{len(infos)} episodes")


def _photos(path: Path) -> str:
    from pipeline.media import images

    return f"{path}: {len(images.find(path, allow_empty=True))} pictures"


def _lists(data: Path) -> Finding:
    try:
        said = list(overrides.read(data).values())
    except UserError as fault:
        return Finding("by hand", "bad", str(fault))
    missing = [path for override in overrides.OVERRIDES if not (path := overrides.list_path(data, override)).exists()]
    if missing:
        names = " ".join(map(str, missing))
        return Finding("by hand", "warn", f"dvc repro misses {names}", f"git checkout {names}, or begin anew: touch {names}")
    return Finding("by hand", "ok", f"{said.count('keep')} pictures to keep, {said.count('drop')} to drop")


def _model(path: Path) -> str:
    from pipeline.networks.weights import load_generator

    _, told = load_generator(path)
    return f"{path}: {told['generator']}"
