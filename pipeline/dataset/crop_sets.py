"""Decode crops into one uint8 tensor: in memory or, where that is short, in a mapped file that later runs reuse."""

import hashlib
import math
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.core import files, stage
from pipeline.core.errors import UserError
from pipeline.core.manifest import Domain, Row, Split
from pipeline.core.text import repro_command
from pipeline.dataset import crop_files, shards
from pipeline.media.images import Picture

# Crops may take this share of the free device memory; larger sets stay in the host's.
DEVICE_SHARE = 0.4
# And this share of the free host memory; larger sets lie in a mapped file, of which only what is shown need be in memory.
HOST_SHARE = 0.5


@dataclass(frozen=True)
class CropSet:
    """Square crops of one size."""

    pixels: Tensor
    """uint8 RGB, N x side x side x 3."""
    digest: str
    """Hash of ids and pixels, in order; files written anew with the same pixels do not change it."""

    @property
    def side_px(self) -> int:
        """Side of a crop, pixels."""
        return int(self.pixels.shape[1])

    def __len__(self) -> int:
        return len(self.pixels)


def load_split(
    data: Path, domain: Domain, split: Split, at_most: int | None = None, dataset: str = "data/split"
) -> tuple[list[Row], CropSet]:
    """Load the crops of one domain and split, and their rows in the same order.

    Args:
        data: the folder data/.
        at_most: load only this many, evenly spread over the list of crops; None: all.
        dataset: the folder that lists the crops (`dataset` in params.yaml), relative to the project's folder.

    Raises:
        UserError: there are no crops, `dataset` or a picture is missing or damaged, sizes differ, or there is no room for them.
    """
    rows = crop_files.list_crops(data.parent / dataset, domain, split)
    if not rows:
        source = "films" if domain == "anime" else "photos or footage"
        share = "lower split.val and split.pred" if split == "train" else f"raise split.{split}"
        raise UserError(
            f"no {domain} crops in {split}: name more {source} in params.yaml, {share}, "
            "or see in data/dedup and data/crop why pictures were dropped"
        )
    if at_most is not None and at_most < len(rows):
        rows = [rows[index * len(rows) // at_most] for index in range(at_most)]
    return rows, load_crops(data, rows, f"{domain} {split}")


def load_edge_smoothed(data: Path, rows: Sequence[Row]) -> CropSet:
    """Load the edge-smoothed copies of film crops (at least one), in the order of the rows; `data` is the folder data/.

    Raises:
        UserError: a copy is missing, damaged or of another size than the first, or there is no room for them.
    """
    return load_crops(data, crop_files.edge_smoothed_rows(data, rows), crop_files.EDGE_SMOOTH)


def load_crops(data: Path, rows: Sequence[Row], description: str) -> CropSet:
    """Decode the crops of some rows (at least one), in their order, with a progress bar.

    Args:
        data: the folder data/; the files of the rows are relative to its parent.
        description: label of the progress bar.

    Raises:
        UserError: a picture is missing, damaged or not a square as wide as the first, or neither memory nor the disk has room.
    """
    side = rows[0].width_px

    def fill(pixels: NDArray[np.uint8]) -> str:
        def decode(item: tuple[int, Row]) -> bytes:
            index, row = item
            pixels[index] = _read_square(data.parent, row, side)
            return hashlib.blake2b(pixels[index], digest_size=16).digest()

        total = hashlib.blake2b(digest_size=16)
        with ThreadPoolExecutor() as pool:  # zlib and the hash release the GIL
            digests = pool.map(decode, enumerate(rows))
            for row, digest in zip(rows, stage.progress(digests, description, "crops", len(rows)), strict=True):
                total.update(row.id.encode() + b"\0" + digest)
        return total.hexdigest()

    return build_crop_set((len(rows), side, side, 3), fill, lambda: _cache_key(data.parent, rows))


def build_crop_set(shape: tuple[int, ...], fill: Callable[[NDArray[np.uint8]], str], cache_key: Callable[[], str]) -> CropSet:
    """Allocate a uint8 array in memory where there is enough, else in a mapped file, and have it filled.

    Args:
        shape: N x side x side x 3.
        fill: writes the pixels into the array and returns their digest.
        cache_key: identifies what `fill` would write, without writing it: an earlier mapped file with this key is reused.

    Raises:
        UserError: a mapped file is needed and the disk has no room for it.
    """
    size = math.prod(shape)
    if size <= HOST_SHARE * psutil.virtual_memory().available:
        pixels = np.empty(shape, np.uint8)
        digest = fill(pixels)
        return CropSet(torch.from_numpy(pixels), digest)
    folder, key = files.work_folder() / "crops", cache_key()
    file = next((path for path in folder.glob(f"{key}-*.u8") if path.stat().st_size == size), None)
    if file is None:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
        if size > free:  # writing to a mapped file on a full disk kills the process (SIGBUS)
            raise UserError(
                f"{shape[0]} crops are too many for memory and take {size / 1e9:.3g} GB in {folder}, where "
                f"{free / 1e9:.3g} GB are free: make room, or set GENGA_WORK to a folder on a larger disk"
            )
        partial = folder / f".{key}.{os.getpid()}"
        try:
            raw = np.memmap(partial, np.uint8, "w+", shape=shape)
            file = folder / f"{key}-{fill(raw)}.u8"
            raw.flush()
            os.replace(partial, file)
        finally:
            partial.unlink(missing_ok=True)
    mapped = torch.from_file(str(file), shared=False, size=size, dtype=torch.uint8)
    return CropSet(mapped.view(shape), file.stem.rpartition("-")[2])


def to_device(crops: CropSet, device: torch.device) -> CropSet:
    """Copy crops to a CUDA GPU if they take at most DEVICE_SHARE of its free memory; else return them as they are."""
    if device.type != "cuda":
        return crops
    free, _ = torch.cuda.mem_get_info(device)
    if crops.pixels.nbytes > DEVICE_SHARE * free:
        return crops
    return CropSet(crops.pixels.to(device), crops.digest)


def _cache_key(project: Path, rows: Sequence[Row]) -> str:
    """Hash the names, sizes and times of the files of some rows, by which DVC too decides whether to hash a file again."""
    total = hashlib.blake2b(digest_size=8)
    for row in rows:
        path = project / (row.file or "")
        file = path.parent if shards.is_inside(path) else path
        if not file.is_file():
            raise UserError(f"{file} does not exist: run {repro_command(file)}, which makes it")
        known = file.stat()
        total.update(f"{row.id}\0{row.file}\0{known.st_size}\0{known.st_mtime_ns}\n".encode())
    return total.hexdigest()


def _read_square(project: Path, row: Row, side: int) -> Picture:
    picture = crop_files.read_crop(row, project)
    if picture.shape != (side, side, 3):
        height, width = picture.shape[:2]
        raise UserError(
            f"{row.file} is {width}x{height}, not {side}x{side}: delete the folder data/crop and run dvc repro split"
        )
    return picture
