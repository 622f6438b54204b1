"""Picture of any size to picture of the same size, by a trained generator; and the same for files and folders of them.

Not a stage: `predict`, `evaluate`, the command line and the web page all redraw through here.

The whole picture goes through the network at once, so there are no seams, and memory grows with its area. Measured in
float32 on a processor, bytes a pixel: genga-s 520, genga-m 980, cartoongan 990; so 2 megapixels take 1 GB with genga-s,
and 25 take 13 GB. The limit in megapixels is all that keeps a small machine from being filled; there are no tiles yet.
"""

from __future__ import annotations

import copy
import logging
import os
import threading
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

import numpy as np

from pipeline import images
from pipeline.faults import Fault
from pipeline.images import Picture
from pipeline.stage import progress

# Torch is imported where it works: files and names need none of it, and an ONNX file is redrawn with without.
if TYPE_CHECKING:
    import torch
    from torch import nn

Format = Literal["png", "jpg", "same"]

DEFAULT_MAX_MEGAPIXELS = 25.0
WRITABLE = (".png", ".jpg", ".jpeg", ".webp")
GAP_PX = 8

log = logging.getLogger("genga")


class Stylizer:
    """A generator ready to redraw pictures.

    Threads may share one; their calls wait for one another, since one uses all cores as it is and two would need twice the
    memory. The same picture gives the same result on the same machine; another device or number of threads may move single
    values by one level.
    """

    def __init__(
        self,
        model: Path | str | nn.Module,
        device: torch.device | str | None = None,
        max_megapixels: float = DEFAULT_MAX_MEGAPIXELS,
    ) -> None:
        """Take a generator's file, or a generator: of that a copy, so that its mode, device and layout stay its owner's.

        Args:
            device: where to work; None is the GPU when there is one, else the processor.
            max_megapixels: larger pictures are refused.

        Raises:
            Fault: the file is missing or is no generator, or the device is not there.
        """
        from torch import channels_last, nn

        from pipeline.weights import load_generator

        self.device = _device(device)
        self.max_megapixels = max_megapixels
        self.metadata: dict[str, str] = {}
        if isinstance(model, nn.Module):
            module = copy.deepcopy(model)
        else:
            module, self.metadata = load_generator(Path(model), self.device)
        self._turn = threading.Lock()
        self._module = module.to(self.device, memory_format=channels_last).eval().requires_grad_(False)  # type: ignore[call-overload]

    def __call__(self, picture: Picture) -> Picture:
        """Redraw one picture: uint8 RGB HxWx3, H and W from 1 up, to the same size.

        Raises:
            Fault: over the limit, out of memory, or the network's numbers are not finite.
        """
        return self.batch([picture])[0]

    def batch(self, pictures: Sequence[Picture]) -> list[Picture]:
        """Redraw pictures of one size together, in order; the limit holds for each."""
        import torch

        if not pictures:
            return []
        height, width = check_batch(pictures, self.max_megapixels)
        try:
            with self._turn, torch.inference_mode():
                pixels = torch.from_numpy(np.stack(pictures)).to(self.device)
                drawn = self._module(images.to_model(pixels))
                if not torch.isfinite(drawn).all():
                    raise Fault(
                        "the generator's output is not finite: its weights are damaged or its training failed; train it again"
                    )
                result = images.from_model(drawn).cpu().numpy()
        except torch.OutOfMemoryError:
            raise Fault(
                f"out of GPU memory at {width}x{height}: shrink the picture, or use the processor (device cpu)"
            ) from None
        return [np.ascontiguousarray(one) for one in result]


def check_batch(pictures: Sequence[Picture], max_megapixels: float) -> tuple[int, int]:
    """Height and width of pictures that are to be redrawn together.

    Raises:
        ValueError: they are no pictures, or not of one size.
        Fault: they are over the limit.
    """
    for picture in pictures:
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
            raise ValueError(f"expected uint8 HxWx3, got {picture.dtype} {picture.shape}")
        if picture.shape != pictures[0].shape:
            raise ValueError(f"a batch is of one size, got {pictures[0].shape} and {picture.shape}")
    height, width = pictures[0].shape[:2]
    if height * width > max_megapixels * 1e6:
        raise Fault(
            f"a picture of {width}x{height} ({height * width / 1e6:.1f} megapixels) is over the limit of "
            f"{max_megapixels:g}: shrink it, or raise the limit if memory allows"
        )
    return height, width


def _device(wish: torch.device | str | None) -> torch.device:
    import torch

    if wish is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wish)
    except RuntimeError:
        raise Fault(f"device {wish!r} is none that torch knows: use cpu, cuda or cuda:1") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise Fault(f"device {wish} is not here (torch sees no GPU): use cpu")
    return device


@dataclass
class Report:
    """What became of each file."""

    done: list[tuple[Path, Path]] = field(default_factory=list)
    """Photo and result."""
    broken: list[tuple[Path, str]] = field(default_factory=list)
    """Photo and why it could not be redrawn."""


def stylize_files(
    inputs: Sequence[Path],
    out: Path,
    stylizer: Callable[[Picture], Picture],
    *,
    format: Format = "png",
    side_by_side: bool = False,
    overwrite: bool = False,
    max_megapixels: float = DEFAULT_MAX_MEGAPIXELS,
) -> Report:
    """Redraw files, and all pictures of folders (their tree is kept), into the folder `out`.

    A picture that cannot be read or redrawn is reported by one line and left out; the others go on. Each result is written
    whole or not at all. No input is ever written over.

    Args:
        format: png, jpg, or same: as the input where that can be written (PNG, JPEG, WebP), else PNG.
        side_by_side: each result is the photo with the result to its right.
        overwrite: replace results that are there already; without it they are a Fault, before any work.

    Raises:
        Fault: an input does not exist or holds no pictures, a result would lie over an input or an existing file, or the
            folder cannot be written to.
    """
    plan = _plan(inputs, out, format)
    _refuse_overwriting(plan, inputs, out, overwrite)
    report = Report()
    for photo, target in progress(plan, "redraw", "photos"):
        try:
            picture = images.read(photo, max_megapixels)
            drawn = stylizer(picture)
            _write(target, beside(picture, drawn) if side_by_side else drawn)
        except _Unwritable:
            raise
        except Fault as fault:
            reason = str(fault) if str(photo) in str(fault) else f"{photo}: {fault}"
            log.warning("%s", reason)
            report.broken.append((photo, reason))
        else:
            report.done.append((photo, target))
    return report


class _Unwritable(Fault):
    """The disk refuses: the next picture would fare no better."""


def _write(target: Path, picture: Picture) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        images.write(target, picture)
    except OSError as error:
        if error.errno is None:
            raise Fault(f"{target} cannot be encoded ({error}): choose another format") from None
        raise _Unwritable(f"{target} cannot be written ({error.strerror}): make room, or give another folder") from None


def beside(left: Picture, right: Picture) -> Picture:
    """Two pictures of one height side by side, with a dark gap."""
    gap = np.full((left.shape[0], GAP_PX, 3), 24, np.uint8)
    return np.concatenate([left, gap, right], axis=1)


def name_results(names: Iterable[PurePosixPath], format: Format = "png") -> list[PurePosixPath]:
    """A result's relative path for each photo's, in order, no two alike even where upper and lower case are one.

    `a.jpg` becomes `a.png`. Where that would meet another result, both keep their suffix (`a.jpg.png`, `a.tif.png`); what
    is left is numbered (`a-2.png`).
    """
    photos = list(names)
    simple = [photo.with_name(photo.stem + _suffix(photo, format)) for photo in photos]
    meets = Counter(_key(name) for name in simple)
    taken: set[str] = set()
    results = []
    for photo, name in zip(photos, simple, strict=True):
        result = photo.with_name(photo.name + _suffix(photo, format)) if meets[_key(name)] > 1 and photo.suffix else name
        number, stem = 2, result.stem
        while _key(result) in taken or (result != name and meets[_key(result)]):
            result = result.with_name(f"{stem}-{number}{result.suffix}")
            number += 1
        taken.add(_key(result))
        results.append(result)
    return results


def _suffix(photo: PurePosixPath, format: Format) -> str:
    if format == "same":
        return photo.suffix.lower() if photo.suffix.lower() in WRITABLE else ".png"
    return f".{format}"


def _key(name: PurePosixPath) -> str:
    return unicodedata.normalize("NFC", str(name)).casefold()


def _plan(inputs: Sequence[Path], out: Path, format: Format) -> list[tuple[Path, Path]]:
    """Every photo to be redrawn, once, with the place of its result."""
    several, within = len(inputs) > 1, out.resolve()
    found: dict[Path, tuple[Path, PurePosixPath]] = {}
    earlier = 0
    for root in inputs:
        folder = root.is_dir()
        for photo in images.find(root):
            place = photo.resolve()
            if folder and place.is_relative_to(within) and not root.resolve().is_relative_to(within):
                earlier += 1
                continue
            name = PurePosixPath(photo.relative_to(root).as_posix() if folder else photo.name)
            found.setdefault(place, (photo, root.resolve().name / name if folder and several else name))
        if folder:
            _tell_passed_over(root)
    if earlier:
        log.info("%d pictures in %s are taken for earlier results and passed over", earlier, out)
    photos = list(found.values())
    results = name_results((name for _, name in photos), format)
    return [(photo, out / result) for (photo, _), result in zip(photos, results, strict=True)]


def _tell_passed_over(root: Path) -> None:
    """One line on the files of a folder that are no pictures by their suffix: HEIC, raw files, videos."""
    kinds = Counter(
        path.suffix.lower() or "no suffix"
        for path in root.rglob("*")
        if path.suffix.lower() not in images.SUFFIXES and path.is_file() and not path.name.startswith(".")
    )
    if kinds:
        text = ", ".join(f"{count} {suffix}" for suffix, count in kinds.most_common(6))
        log.info("%s: passed over %d files that are no pictures we read (%s)", root, kinds.total(), text)


def _refuse_overwriting(plan: Sequence[tuple[Path, Path]], inputs: Sequence[Path], out: Path, overwrite: bool) -> None:
    if out.exists() and not out.is_dir():
        raise Fault(f"{out} is a file: give a folder for the results")
    for root in inputs:
        if root.is_dir() and root.resolve() == out.resolve():
            raise Fault(f"{out} is a folder of photos to redraw: give another folder, so that no photo is written over")
    photos = {photo.resolve() for photo, _ in plan}
    for _, target in plan:
        if target.resolve() in photos:
            raise Fault(f"{target} is a photo to redraw: give another folder, so that it is not written over")
    there = [target for _, target in plan if os.path.lexists(target)]
    if there and not overwrite:
        more = f" (and {len(there) - 1} more)" if len(there) > 1 else ""
        raise Fault(f"{there[0]}{more} exists already: give another folder, or --overwrite")
