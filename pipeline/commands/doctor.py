"""`genga doctor`: checks packages, device, memory, disk, weights, sources and model, and says how to fix what is wrong."""

import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Literal, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.core.errors import UserError
from pipeline.core.stage import DATA
from pipeline.frames import overrides
from pipeline.params import schema

SAMPLE_FOLDER = DATA / "sample"
CV2_WHEELS = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
PACKAGES = ("torch", "torchvision", "av", "dvc")
LOCK = Path("dvc.lock")
MIN_MEMORY_GB = 4.0
MIN_DISK_GB = 5.0
_SHOTS_PER_MINUTE, _BYTES_PER_PIXEL = 14, 1.0  # docs/scaling.md: measured, and 2 MB a PNG of 1080p
_LONG_HOURS = 12.0
_MEASURING_S = 50.0  # at most, for loading networks and for the last step


class Finding(NamedTuple):
    """The result of a check: a row of the doctor's table."""

    what: str
    state: Literal["ok", "warn", "bad"]
    text: str
    remedy: str = ""


def version() -> str:
    """Return the installed version of Genga, or a text that says how to install it."""
    return _installed("genga-anime") or "(not installed: pip install -e .)"


def examine(model: Path, measure_s: float = 0.0) -> Iterator[Finding]:
    """Run all checks, in order, and yield a finding for each as soon as it is known; a failed check is a finding too.

    Args:
        model: file of the trained generator.
        measure_s: seconds for which to measure the speed of training; 0: not at all.
    """
    yield Finding("genga", "ok", version())
    yield Finding("python", "ok", ".".join(map(str, sys.version_info[:3])))
    yield from map(_package, PACKAGES)
    yield _cv2_wheels([wheel for wheel in CV2_WHEELS if _installed(wheel)])
    yield _check("device", _device)
    yield _inference()
    yield _memory()
    yield _disk(Path())
    params: schema.Params | None = None
    try:
        params = schema.load()
        yield Finding("params.yaml", "ok", "valid")
    except UserError as error:
        yield Finding("params.yaml", "bad", str(error), "correct these keys, or git checkout params.yaml")
    if params is not None:
        weights = params.perceptual.weights
        yield _check("VGG weights", lambda: _vgg(weights))
        for name, path in {**params.films, **params.footage}.items():
            yield _source(f"film {name}", Path(path), _film)
        yield _source("photos", Path(params.photos), _photos)
        yield from _amounts(params)
        if measure_s:
            yield _training_time(params, measure_s)
    yield _overrides(DATA)
    yield _lock(LOCK)
    yield (
        _check("model", lambda: _model(model))
        if model.exists()
        else Finding("model", "warn", f"{model} does not exist yet", "dvc repro train makes it")
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


def _check(what: str, describe: Callable[[], str]) -> Finding:
    """A finding from a function that describes what it checks, or raises an error."""
    try:
        return Finding(what, "ok", describe())
    except UserError as error:
        return Finding(what, "bad", str(error))
    except ImportError as error:
        return Finding(what, "bad", f"{error}", "pip install -e .")


def _device() -> str:
    import torch

    if torch.cuda.is_available():
        return f"cuda: {torch.cuda.get_device_name(0)}" + (
            f" and {torch.cuda.device_count() - 1} more" if torch.cuda.device_count() > 1 else ""
        )
    return f"cpu, {torch.get_num_threads()} threads, {os.cpu_count()} cores (no GPU seen)"


def _inference() -> Finding:
    version = _installed("openvino")
    if version:
        return Finding("inference", "ok", f"on CPUs by OpenVINO {version}")
    return Finding("inference", "warn", "on CPUs by PyTorch", "pip install -e '.[export]' makes it three times as fast")


def _memory() -> Finding:
    import psutil

    memory = psutil.virtual_memory()
    text = f"{memory.available / 1e9:.1f} GB free of {memory.total / 1e9:.1f}"
    return _at_least("memory", memory.available, MIN_MEMORY_GB, text, "close other programs, or lower the batch sizes")


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    text = f"{free / 1e9:.1f} GB free here"
    return _at_least("disk", free, MIN_DISK_GB, text, "make room: dvc gc -w drops the results of older runs")


def _at_least(what: str, free: float, least_gb: float, text: str, remedy: str) -> Finding:
    """A warning with a remedy where less than some gigabytes are free; `free` is in bytes."""
    return Finding(what, "ok", text) if free >= least_gb * 1e9 else Finding(what, "warn", text, remedy)


def _vgg(weights: str) -> str:
    from pipeline.networks.vgg import load_vgg

    vgg = load_vgg(weights)
    return f"{vgg.origin}, sha256 {vgg.sha256[:12]}"


def _source(what: str, path: Path, describe: Callable[[Path], str]) -> Finding:
    if not path.exists():
        if path.is_relative_to(SAMPLE_FOLDER):
            return Finding(what, "ok", f"{path} will be drawn by dvc repro sample")
        return Finding(what, "bad", f"{path} does not exist", "put it there, or correct its path in params.yaml")
    return _check(what, lambda: describe(path))


def _film(path: Path) -> str:
    from pipeline.frames import picture_source
    from pipeline.media import video

    files, pictures, _ = picture_source.find(path)
    if not files:
        return f"{path}: {len(pictures)} pictures, each a shot of one frame"
    infos = [video.probe(file) for file in files]
    return f"{path}: " + (f"{infos[0].width_px}x{infos[0].height_px}" if len(infos) == 1 else f"{len(infos)} episodes")


def _photos(path: Path) -> str:
    from pipeline.media import images

    return f"{path}: {len(images.find(path, allow_empty=True))} pictures"


def _amounts(params: schema.Params) -> Iterator[Finding]:
    """Check that there are photos enough, and room for key frames; nothing for sources that are drawn or not there."""
    from pipeline.frames import picture_source
    from pipeline.media import images, video

    photos, split = Path(params.photos), params.split
    if photos.exists() and not photos.is_relative_to(SAMPLE_FOLDER):
        count = len(images.find(photos, allow_empty=True))
        crops = round(count * params.crop.per_photo * (1 - split.pred - split.val))
        text = (
            f"split withholds {split.pred:.0%} (redrawn whole) and {split.val:.0%} (validation) of {count} photos; "
            f"up to {crops} crops to train on"
        )
        few = crops < params.report.enough_crops and not params.footage
        remedy = f"{params.report.enough_crops} are enough: give more photos, or footage, or raise crop.per_photo"
        yield Finding("training photos", "warn", text, remedy) if few else Finding("training photos", "ok", text)
    pixels = 0.0
    sources = map(Path, (*params.films.values(), *params.footage.values()))
    for path in (path for path in sources if not path.is_relative_to(SAMPLE_FOLDER)):
        with contextlib.suppress(UserError):  # reported above
            for file in picture_source.find(path)[0]:
                info = video.probe(file)
                frames = (info.duration_s or 0) / 60 * _SHOTS_PER_MINUTE * params.keyframes.per_shot
                pixels += frames * info.width_px * info.height_px
    if need_gb := round(2 * pixels * _BYTES_PER_PIXEL / 1e9, 1):
        text = f"about {need_gb} GB for key frames, half of it in DVC's cache"
        free = shutil.disk_usage(Path()).free
        yield _at_least("room for films", free, need_gb, text, "make room, or keyframes.format: jpg")


def _training_time(params: schema.Params, seconds: float) -> Finding:
    """Measure how long the training of params takes here."""
    from pipeline.commands.training_time import estimate_within
    from pipeline.networks.devices import pick_device

    device, busy = pick_device(), os.getloadavg()[0] > (os.cpu_count() or 1)
    others = "; other programs keep the processor busy now" if busy else ""
    limit_s = seconds + _MEASURING_S
    try:
        time = estimate_within(params, seconds, limit_s)
    except UserError as error:
        return Finding("training time", "bad", str(error))
    if time is None:
        remedy = "close other programs and try again, or use a GPU, or genga use laptop"
        return Finding("training time", "warn", f"unknown: a step takes over {limit_s:.0f} s ({device.type}{others})", remedy)
    before = f", before it pretraining of at most {_hours(time.pretrain_hours)}" if params.pretrain.images else ""
    text = (
        f"about {_hours(time.train_hours)} for {params.train.images:,} images at {time.images_per_s:.2g}/s{before} "
        f"({device.type}{others})"
    )
    if device.type == "cpu" and time.train_hours + time.pretrain_hours > _LONG_HOURS:
        return Finding(
            "training time",
            "warn",
            text,
            "these params are made for a GPU: use one, or genga use laptop, or lower train.images",
        )
    return Finding("training time", "ok", text)


def _hours(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.0f} min"


def _overrides(data: Path) -> Finding:
    try:
        decisions = list(overrides.read(data).values())
    except UserError as error:
        return Finding("overrides", "bad", str(error))
    missing = [path for override in overrides.OVERRIDES if not (path := overrides.list_path(data, override)).exists()]
    if missing:
        names = " ".join(map(str, missing))
        return Finding(
            "overrides", "warn", f"dvc repro needs {names}", f"git checkout {names}, or start with empty ones: touch {names}"
        )
    return Finding("overrides", "ok", f"{decisions.count('keep')} pictures to keep, {decisions.count('drop')} to drop")


def _lock(path: Path) -> Finding:
    """Check the file in which DVC notes what it has run: a disk that is full when it is written leaves it empty."""
    if not path.exists():
        return Finding(path.name, "ok", "not there yet: dvc repro writes it")
    try:
        if isinstance(YAML(typ="safe", pure=True).load(path.read_text("utf-8")), dict):
            return Finding(path.name, "ok", "valid")
        problem = "is empty: the disk was full when DVC wrote it"
    except (YAMLError, OSError, UnicodeDecodeError) as error:
        problem = f"cannot be read ({str(error).splitlines()[0]})"
    remedy = f"make room, rm {path}, dvc repro: DVC's cache gives back what has run before"
    return Finding(path.name, "bad", f"{path} {problem}", remedy)


def _model(path: Path) -> str:
    from pipeline.networks.weights import load_generator

    _, metadata = load_generator(path)
    return f"{path}: {metadata['generator']}"
