"""Crops in WebDataset shards: one tar after another, to be shared or to be trained from without unpacking.

    OUT/anime/train/000000.tar, 000001.tar, ..., index.json

A sample is its row (KEY.json), its crop (KEY.png) and its twin: smoothed (KEY.edge_smooth.png) for anime, flattened
(KEY.pseudo_targets.png) for photos where stage flatten has made one. Equal crops give
equal bytes: their order is the manifest's, and nothing in a header depends on the day or on who packs. A picture inside is
named by a path that goes on into the tar, such as `anime/train/000000.tar/KEY.png`.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import os
import re
import shutil
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from pipeline.core import files, manifest, stage
from pipeline.core.errors import UserError
from pipeline.core.manifest import Domain, Row, Split
from pipeline.media import images
from pipeline.media.images import Picture

INDEX = "index.json"
FORMAT = "genga shards 1"
_TWINS: Mapping[Domain, str] = {"anime": "edge_smooth", "photo": "pseudo_targets"}  # the stage that makes them
_KEY_LENGTH = 80  # with suffix well under the 100 characters of a plain tar header


class Place(NamedTuple):
    """Where the bytes of a member lie in its tar."""

    offset: int
    size: int


def key_of(name: str) -> str:
    """An id as WebDataset takes it: letters, digits, - and _ (a dot would end the key); an id that changes gets its digest."""
    safe = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:_KEY_LENGTH]
    return safe if safe == name else f"{safe}-{manifest.number(0, name):016x}"


# Writing


def pack(
    data: Path, out: Path, splits: Sequence[Split], domains: Sequence[Domain], shard_mb: float, overwrite: bool
) -> list[Path]:
    """Write the crops of some splits and domains, each set into its own folder of `out`, whole or not at all.

    Args:
        data: the folder data/, whose stages split, smooth (for anime) and flatten (for photos) have run.
        shard_mb: a shard is closed before it grows past this many millions of bytes.
        overwrite: replace sets that are there already; without it they are a UserError, before any work.

    Raises:
        UserError: there are no crops, a twin or a file is missing, a set is there already, or `out` cannot be written to.
    """
    rows = manifest.read(data / "split")
    sets = {f"{domain}/{split}": manifest.kept(rows, domain, split) for domain in domains for split in splits}
    for name, chosen in sets.items():
        if not chosen:
            raise UserError(f"{data / 'split'} lists no {name.replace('/', ' crops in ')}: name other splits or domains")
        if (out / name).exists() and not overwrite:
            raise UserError(f"{out / name} exists already: give another folder, or --overwrite")
        if (out / name).exists() and not (out / name / INDEX).is_file():
            raise UserError(f"{out / name} was not written by genga pack and stays: give another folder")
    twins = {
        row.id: row
        for domain in domains
        for row in manifest.kept(
            manifest.of_sources(data / _TWINS[domain] / stage.ABOUT, (row for row in rows if row.domain == domain))
        )
    }
    aside = out.resolve().with_name(f".{out.resolve().name}.{os.getpid()}")
    try:
        aside.mkdir(parents=True)
        for name, chosen in sets.items():
            _write_set(aside / name, _samples(data.parent, chosen, twins), chosen, name, int(shard_mb * 1e6))
        for name in sets:
            files.replace_folder(aside / name, out / name)
    except OSError as error:
        raise UserError(f"{out} cannot be written to ({error.strerror}): make room, or give another folder") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return [out / name for name in sets]


def _samples(project: Path, rows: Iterable[Row], twins: Mapping[str, Row]) -> Iterator[dict[str, bytes]]:
    """The members of each sample, by name, in the order of the tar."""
    for row in rows:
        key = key_of(row.id)
        # Where the crop lay on the disk of whoever packs is nobody's business.
        members = {f"{key}.json": row.model_dump_json(exclude_none=True, exclude={"file"}).encode()}
        members[f"{key}.png"] = _bytes(project, row, "crop")
        name = _TWINS[row.domain]
        if row.id in twins:
            members[f"{key}.{name}.png"] = _bytes(project, twins[row.id], name)
        elif row.domain == "anime":  # flatten makes none where pseudo_targets.filter is none
            raise UserError(f"data/{name} has no twin of {row.id}: run dvc repro")
        yield members


def _bytes(project: Path, row: Row, home: str) -> bytes:
    path = manifest.file_of(row, project)
    if path.suffix != ".png" or not path.is_file():
        raise UserError(f"{path}, which the manifest names, is no PNG file: delete data/{home} and run dvc repro")
    return path.read_bytes()


def _write_set(folder: Path, samples: Iterable[Mapping[str, bytes]], rows: Sequence[Row], what: str, shard_bytes: int) -> None:
    """Write tars and index of one set."""
    folder.mkdir(parents=True)
    shards: list[dict[str, Any]] = []
    filled = 0
    with contextlib.ExitStack() as open_now:
        for members in stage.progress(samples, f"pack {what}", "crops", len(rows)):
            size = sum(512 + -(-len(content) // 512) * 512 for content in members.values())
            if not shards or filled + size > shard_bytes:
                open_now.close()
                shards.append({"file": f"{len(shards):06d}.tar", "samples": 0})
                tar = open_now.enter_context(tarfile.open(folder / shards[-1]["file"], "x", format=tarfile.USTAR_FORMAT))
                filled = 0
            for name, content in members.items():
                header = tarfile.TarInfo(name)  # mtime, uid and gid 0, no names, mode 644
                header.size = len(content)
                tar.addfile(header, io.BytesIO(content))
            filled += size
            shards[-1]["samples"] += 1
    for shard in shards:
        path = folder / shard["file"]
        shard |= {"bytes": path.stat().st_size, "blake2b": _digest(path)}
    index = {
        "format": FORMAT,
        "domain": rows[0].domain,
        "split": rows[0].split,
        "samples": len(rows),
        "side_px": rows[0].width_px,
        "shards": shards,
    }
    files.write_json(folder / INDEX, index)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


# Reading


def listed(folder: Path, domain: Domain, split: Split) -> list[Row]:
    """The rows of crops to learn from: of shards where the folder holds them, else of its manifest (data/split).

    Raises:
        UserError: the folder holds neither, or what it holds is damaged.
    """
    if any((folder / domain).glob(f"*/{INDEX}")):
        return rows_of(folder, domain, split)
    if not (folder / domain / manifest.MANIFEST).is_file():
        raise UserError(
            f"{folder}, named by dataset: in params.yaml, holds neither crops nor shards: run dvc repro, or genga pack"
        )
    return manifest.kept(manifest.read(folder / domain), domain, split)


def rows_of(folder: Path, domain: Domain, split: Split) -> list[Row]:
    """The rows of a set, their files inside its tars, in the order in which they were packed.

    Raises:
        UserError: the set is not there, or a shard is missing, cut off or damaged.
    """
    rows: list[Row] = []
    for path, samples in _shards(folder / domain / split):
        found = list(_rows(path))
        if len(found) != samples:
            raise UserError(f"{path} holds {len(found)} of {samples} crops: fetch it again, or run genga pack")
        rows += found
    return rows


def twin_of(row: Row, name: str) -> Row:
    """The row of the twin, made by stage `name`, of a crop that lies in a shard."""
    return row.model_copy(update={"file": (row.file or "").removesuffix(".png") + f".{name}.png", "digest": None})


def summary(folder: Path) -> str:
    """A set in words."""
    index = _index(folder)
    size = sum(shard["bytes"] for shard in index["shards"])
    return f"{index['samples']} crops in {len(index['shards'])} shards, {size / 1e6:.1f} MB"


def inside(path: Path) -> bool:
    """Whether a picture's path leads into a tar."""
    return path.parent.suffix == ".tar"


def read(row: Row, project: Path = Path()) -> Picture:
    """Decode the crop of a row, whether its path leads into a tar or to a file.

    Raises:
        UserError: it is missing, damaged or another.
    """
    path = project / (row.file or "")
    if not inside(path):
        return images.read(manifest.file_of(row, project))
    content = _member(path.parent, path.name)
    if row.digest is not None and files.digest(content) != row.digest:
        raise UserError(f"{path} is damaged: fetch {path.parent} again, or run genga pack")
    return images.read(path, data=content)


def _index(folder: Path) -> dict[str, Any]:
    path = folder / INDEX
    try:
        index = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{folder} holds no shards: write them with genga pack, or name another folder under dataset:"
        ) from None
    except (ValueError, OSError) as error:
        raise UserError(f"{path} is damaged ({error}): fetch it again, or run genga pack") from None
    if not isinstance(index, dict) or index.get("format") != FORMAT:
        raise UserError(f"{path} is no index of {FORMAT!r}: pack the crops again with this version of genga")
    return index


def _shards(folder: Path) -> list[tuple[Path, int]]:
    """The tars of a set, all there and of the length that the index tells, each with its count of samples."""
    found = []
    for shard in _index(folder)["shards"]:
        path = folder / str(shard["file"])
        size = path.stat().st_size if path.is_file() else None
        if size != shard["bytes"]:
            state = "is missing" if size is None else f"has {size} bytes of {shard['bytes']}"
            raise UserError(f"{path} {state}: fetch it again, or run genga pack")
        found.append((path, int(shard["samples"])))
    return found


def _rows(path: Path) -> Iterator[Row]:
    for name in _places(path):
        if name.endswith(".json"):
            try:
                row = Row.model_validate_json(_member(path, name))
            except ValidationError:
                raise UserError(f"{path / name} is no row of a manifest: fetch {path} again, or run genga pack") from None
            yield row.model_copy(update={"file": (path / name).with_suffix(".png").as_posix()})


def _member(path: Path, name: str) -> bytes:
    place = _places(path).get(name)
    if place is None:
        raise UserError(f"{path} has no {name}: fetch it again, or run genga pack")
    with path.open("rb") as file:
        file.seek(place.offset)
        return file.read(place.size)


def _places(path: Path) -> Mapping[str, Place]:
    try:
        known = path.stat()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): fetch it again, or run genga pack") from None
    return _scan(path, known.st_mtime_ns, known.st_size)


@functools.lru_cache(maxsize=16)  # crops are read tar by tar; all places of a million would fill memory
def _scan(path: Path, mtime_ns: int, size: int) -> Mapping[str, Place]:
    try:
        with tarfile.open(path, "r:") as tar:
            return {member.name: Place(member.offset_data, member.size) for member in tar}
    except (tarfile.TarError, OSError) as error:
        raise UserError(f"{path} is damaged ({error}): fetch it again, or run genga pack") from None
