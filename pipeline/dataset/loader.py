"""Training batches by counter: how many pictures have been shown decides, alone, which come next and how they are cut.

A split's crops are one uint8 tensor; flips and sub-crops are one indexing operation there. It lies in memory or, where that
would take too much of it, in a raw file that is mapped, and kept for the next run. Nothing is drawn from a running
generator, so a run that goes on from a checkpoint sees what it would have seen.
"""

from __future__ import annotations

import functools
import hashlib
import math
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.ops.augment import CHANCES
from pipeline.core import files, manifest, stage
from pipeline.core.errors import UserError
from pipeline.core.manifest import Domain, Row, Split
from pipeline.dataset import shards
from pipeline.media.images import Picture
from pipeline.networks import process_group
from pipeline.networks.devices import shown

# Crops may take this share of the device memory that is free; beyond it they stay in the host's.
DEVICE_SHARE = 0.4
# And this share of the host's; beyond it they lie in a mapped file, of which only what is shown need be in memory.
HOST_SHARE = 0.5


@dataclass(frozen=True)
class CropSet:
    """Crops of one side, in memory or in a mapped file."""

    pixels: Tensor
    """uint8, N x side x side x 3."""
    digest: str
    """Of the ids and pixels, in order: it changes when the data does, and not when files are merely written anew."""

    @property
    def side_px(self) -> int:
        """Side of a crop, pixels."""
        return int(self.pixels.shape[1])

    def __len__(self) -> int:
        return len(self.pixels)


@dataclass(frozen=True)
class CropOrder:
    """The endless order in which a set of crops is shown; `name` sets it apart from other sets of the same seed."""

    seed: int
    name: str
    count: int
    side_px: int
    crop_px: int
    resize: tuple[float, float] = (1.0, 1.0)
    """Least and largest side of a cut in units of crop_px; each side is drawn by itself."""

    def views(self, start: int, count: int) -> CropViews:
        """Showings number `start` to `start + count - 1`: which crops, and how each is cut.

        Each epoch is a permutation of the set. A showing depends on its own number only, not on the size of the batch.
        """
        numbers = range(start, start + count)
        crop = [_permutation(self.seed, self.name, n // self.count, self.count)[n % self.count] for n in numbers]
        room = self.side_px - self.crop_px
        if self.resize == (1.0, 1.0):
            draws = [manifest.rng(self.seed, self.name, "view", n).integers(0, (room + 1, room + 1, 2)) for n in numbers]
            left, top, mirrored = np.array(draws, np.int64).reshape(count, 3).T
            return CropViews(np.array(crop, np.int64), left, top, mirrored.astype(bool), self.crop_px)
        chances = np.array([manifest.rng(self.seed, self.name, "view", n).random(5) for n in numbers]).reshape(count, 5)
        low, high = self.resize
        sides = np.rint(self.crop_px * (low + (high - low) * chances[:, 3:])).astype(np.int64).clip(1, self.side_px)
        left, top = (chances[:, :2] * (self.side_px - sides + 1)).astype(np.int64).T
        return CropViews(np.array(crop, np.int64), left, top, chances[:, 2] < 0.5, self.crop_px, sides)


class CropViews(NamedTuple):
    """For each picture of a batch: the crop, its corner, and whether it is mirrored left to right."""

    crop_index: NDArray[np.int64]
    left: NDArray[np.int64]
    top: NDArray[np.int64]
    mirrored: NDArray[np.bool_]
    crop_px: int
    sides: NDArray[np.int64] | None = None
    """Width and height of what is cut out and resized to crop_px; None where nothing is resized."""


class Batch(NamedTuple):
    """float32 N x 3 x crop x crop in [-1, 1], laid out as networks that learn are.

    The twin of anime[i] is smooth[i]; what the redrawn photo[i] is to be like is target[i].
    """

    photo: Tensor
    anime: Tensor | None
    smooth: Tensor | None
    target: Tensor
    chances: Tensor | None = None
    """For each picture three rows in [0, 1), by which its anime, twin and fake are augmented."""
    look: Tensor | None = None
    """For each photo the number of the style picture that it is held to, where there are any."""

    def parts(self, count: int) -> list[Batch]:
        """The batch in equal parts."""
        cuts = [[None] * count if whole is None else list(whole.chunk(count)) for whole in self]
        return [Batch(*fields) for fields in zip(*cuts, strict=True)]


@dataclass(frozen=True)
class BatchLoader:
    """Batches of photos and their targets (the photos themselves where none are given), of anime and the anime's twins."""

    photo: CropSet
    anime: CropSet | None
    smooth: CropSet | None
    seed: int
    batch: int
    crop_px: int
    device: torch.device
    target: CropSet | None = None
    augmented: bool = False
    """Whether chances are drawn for what the discriminator sees."""
    turns: int = 1
    """Batches that the discriminator sees for one of the generator's: so many times faster it goes through the anime."""
    looks: int = 0
    """Style pictures to choose from, one for each photo."""
    resize: tuple[float, float] = (1.0, 1.0)
    """As in CropOrder."""

    def at(self, images_seen: int) -> Batch:
        """The batch that follows when the generator was shown `images_seen` photos; of a team's, this process's share."""
        views = self._views("photo", self.photo, images_seen)
        photo = cut(self.photo.pixels, views, self.device)
        target = photo if self.target is None else cut(self.target.pixels, views, self.device)
        return self._beside(photo, target, images_seen, self.turns - 1)._replace(look=self._look(images_seen))

    def before(self, images_seen: int) -> Iterator[Batch]:
        """The batches that the discriminator alone sees before that one; their photos come in an order of their own."""
        for turn in range(self.turns - 1):
            shown = (self.turns - 1) * images_seen + turn * self.batch
            views = self._views("photo for the discriminator", self.photo, shown)
            photo = cut(self.photo.pixels, views, self.device)
            yield self._beside(photo, photo, images_seen, turn)

    def _beside(self, photo: Tensor, target: Tensor, images_seen: int, turn: int) -> Batch:
        if self.anime is None:
            return Batch(photo, None, None, target)
        shown = self.turns * images_seen + turn * self.batch
        views = self._views("anime", self.anime, shown)
        smooth = None if self.smooth is None else cut(self.smooth.pixels, views, self.device)
        return Batch(photo, cut(self.anime.pixels, views, self.device), smooth, target, self._chances(shown))

    def _views(self, name: str, crops: CropSet, shown: int) -> CropViews:
        mine = process_group.current().share(self.batch)
        order = CropOrder(self.seed, name, len(crops), crops.side_px, self.crop_px, self.resize)
        return order.views(shown + mine.start, mine.stop - mine.start)

    def _look(self, shown: int) -> Tensor | None:
        if not self.looks:
            return None
        mine = process_group.current().share(self.batch)
        numbers = range(shown + mine.start, shown + mine.stop)
        drawn = [int(manifest.rng(self.seed, "look", n).integers(self.looks)) for n in numbers]
        return torch.tensor(drawn, device=self.device)

    def _chances(self, shown: int) -> Tensor | None:
        if not self.augmented:
            return None
        mine = process_group.current().share(self.batch)
        numbers = range(shown + mine.start, shown + mine.stop)
        draws = [manifest.rng(self.seed, "augment", n).random((3, CHANCES), np.float32) for n in numbers]
        return torch.from_numpy(np.stack(draws)).to(self.device)


@functools.lru_cache(maxsize=8)
def _permutation(seed: int, name: str, epoch: int, count: int) -> NDArray[np.int64]:
    return manifest.rng(seed, name, "epoch", epoch).permutation(count)


def cut(pixels: Tensor, views: CropViews, device: torch.device) -> Tensor:
    """Cut views out of uint8 N x H x W x 3, wherever it lies, and take them to `device` as models want them."""
    if views.sides is not None:
        return _resized(pixels, views, device)
    reach = np.arange(views.crop_px)
    rows = views.top[:, None] + reach
    columns = views.left[:, None] + np.where(views.mirrored[:, None], reach[::-1], reach)
    index = (views.crop_index[:, None, None], rows[:, :, None], columns[:, None, :])
    cuts = pixels[tuple(torch.from_numpy(axis).to(pixels.device) for axis in index)]
    return shown(cuts, device)


def _resized(pixels: Tensor, views: CropViews, device: torch.device) -> Tensor:
    """Cuts of sizes of their own, brought to one size: linear between the four pixels around each place, as cv2's."""
    assert views.sides is not None
    (rows, down), (columns, across) = (
        _around(start, side, views.crop_px) for start, side in zip((views.top, views.left), views.sides.T[::-1], strict=True)
    )
    columns, across = (np.where(views.mirrored[:, None], one[..., ::-1], one) for one in (columns, across))
    found: Tensor | None = None
    for row, high in zip(rows, (1 - down, down), strict=True):
        for column, wide in zip(columns, (1 - across, across), strict=True):
            index = (views.crop_index[:, None, None], row[:, :, None], column[:, None, :])
            cuts = pixels[tuple(torch.from_numpy(axis).to(pixels.device) for axis in index)]
            weight = torch.from_numpy((high[:, :, None] * wide[:, None, :]).astype(np.float32)).to(pixels.device)
            found = cuts * weight[..., None] if found is None else found + cuts * weight[..., None]
    assert found is not None
    return shown(found.round().byte(), device)


def _around(start: NDArray[np.int64], side: NDArray[np.int64], count: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The two pixels on both sides of each of `count` places that are spread evenly over a cut, 2 x N x count, and the
    second one's share, N x count.
    """
    places = ((np.arange(count) + 0.5) * (side[:, None] / count) - 0.5).clip(0, side[:, None] - 1)
    before = places.astype(np.int64)
    pair = np.stack([before, np.minimum(before + 1, side[:, None] - 1)])
    return pair + start[:, None], places - before


def load_split(
    data: Path, domain: Domain, split: Split, at_most: int | None = None, listed: str = "data/split"
) -> tuple[list[Row], CropSet]:
    """The rows of a split and their crops; with `at_most`, so many of them, evenly spread.

    Args:
        listed: the folder that lists them (params.dataset), from the project's folder: of a manifest or of shards.

    Raises:
        UserError: there are none, or a picture is missing, damaged or of another size.
    """
    rows = shards.listed(data.parent / listed, domain, split)
    if not rows:
        source = "films" if domain == "anime" else "photos or footage"
        share = "lower split.val and split.pred" if split == "train" else f"raise split.{split}"
        raise UserError(
            f"no {domain} crops in {split}: name more {source} in params.yaml, {share}, "
            "or see in data/dedup and data/crop why pictures were dropped"
        )
    if at_most is not None and at_most < len(rows):
        rows = [rows[index * len(rows) // at_most] for index in range(at_most)]
    return rows, load(data, rows, f"{domain} {split}")


def load_twins(data: Path, rows: Sequence[Row], name: Literal["edge_smooth", "pseudo_targets"]) -> CropSet:
    """The twins of crops that stage `name` made, in the order of the rows.

    Raises:
        UserError: a twin is missing, damaged or of another size.
    """
    if shards.inside(Path(rows[0].file or "")):
        return load(data, [shards.twin_of(row, name) for row in rows], f"{name} twins")
    twins = {row.id: row for row in manifest.kept(manifest.of_sources(data / name / stage.ABOUT, rows))}
    if lost := [row.id for row in rows if row.id not in twins]:
        raise UserError(f"data/{name} has no twin of {lost[0]} (and {len(lost) - 1} others): run dvc repro")
    return load(data, [twins[row.id] for row in rows], f"{name} twins")


def load(data: Path, rows: Sequence[Row], what: str) -> CropSet:
    """Decode the crops of some rows, in threads, with a progress bar; `data` is the folder data/ that they lie in.

    Raises:
        UserError: a picture is missing, damaged or of another size, or there is room neither in memory nor on the disk.
    """
    side = rows[0].width_px

    def fill(pixels: NDArray[np.uint8]) -> str:
        def one(item: tuple[int, Row]) -> bytes:
            index, row = item
            pixels[index] = _square(data.parent, row, side)
            return hashlib.blake2b(pixels[index], digest_size=16).digest()

        total = hashlib.blake2b(digest_size=16)
        with ThreadPoolExecutor() as pool:  # zlib and the hash let go of the interpreter's lock
            done = pool.map(one, enumerate(rows))
            for row, digest in zip(rows, stage.progress(done, what, "crops", len(rows)), strict=True):
                total.update(row.id.encode() + b"\0" + digest)
        return total.hexdigest()

    return laid_out((len(rows), side, side, 3), fill, lambda: _state(data.parent, rows))


def laid_out(shape: tuple[int, ...], fill: Callable[[NDArray[np.uint8]], str], state: Callable[[], str]) -> CropSet:
    """Crops that `fill` writes into the room it is given, returning their digest; into memory where there is enough.

    Args:
        state: names what `fill` would write, without writing it: a mapped file of that name is taken as it is.
    """
    size = math.prod(shape)
    if size <= HOST_SHARE * psutil.virtual_memory().available:
        pixels = np.empty(shape, np.uint8)
        digest = fill(pixels)
        return CropSet(torch.from_numpy(pixels), digest)
    folder, name = files.work_folder() / "crops", state()
    found = next((path for path in folder.glob(f"{name}-*.u8") if path.stat().st_size == size), None)
    if found is None:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
        if size > free:  # a mapped file that meets a full disk kills the process without a word
            raise UserError(
                f"{shape[0]} crops are too many for memory and take {size / 1e9:.3g} GB in {folder}, where "
                f"{free / 1e9:.3g} GB are free: make room, or set GENGA_WORK to a folder on a larger disk"
            )
        aside = folder / f".{name}.{os.getpid()}"
        try:
            raw = np.memmap(aside, np.uint8, "w+", shape=shape)
            found = folder / f"{name}-{fill(raw)}.u8"
            raw.flush()
            os.replace(aside, found)
        finally:
            aside.unlink(missing_ok=True)
    mapped = torch.from_file(str(found), shared=False, size=size, dtype=torch.uint8)
    return CropSet(mapped.view(shape), found.stem.rpartition("-")[2])


def _state(project: Path, rows: Sequence[Row]) -> str:
    """A name for what the files of some rows hold, by their sizes and times, as DVC tells whether to hash a file again."""
    whole = hashlib.blake2b(digest_size=8)
    for row in rows:
        path = project / (row.file or "")
        file = path.parent if shards.inside(path) else path
        if not file.is_file():
            raise UserError(f"{file} does not exist: run dvc repro, which makes it")
        known = file.stat()
        whole.update(f"{row.id}\0{row.file}\0{known.st_size}\0{known.st_mtime_ns}\n".encode())
    return whole.hexdigest()


def _square(project: Path, row: Row, side: int) -> Picture:
    if row.file is None:
        raise UserError(f"{row.id} was kept without a file: delete the folder data/crop and run dvc repro")
    picture = shards.read(row, project)
    if picture.shape != (side, side, 3):
        height, width = picture.shape[:2]
        raise UserError(f"{row.file} is {width}x{height}, not {side}x{side}: delete the folder data/crop and run dvc repro")
    return picture


def place(crops: CropSet, device: torch.device) -> CropSet:
    """Move crops into device memory where they fit beside the networks; else they stay in the host's."""
    if device.type != "cuda":
        return crops
    free, _ = torch.cuda.mem_get_info(device)
    if crops.pixels.nbytes > DEVICE_SHARE * free:
        return crops
    return CropSet(crops.pixels.to(device), crops.digest)
