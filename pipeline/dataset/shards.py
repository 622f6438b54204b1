"""Read crops out of WebDataset shards (tar files) without unpacking them.

    FOLDER/anime/train/000000.tar, 000001.tar, ..., index.json

A sample is its manifest row (KEY.json), its crop (KEY.png) and, of a film, the edge-smoothed copy of the crop
(KEY.edge_smooth.png). A picture in a tar is addressed by a path that continues
into the tar: `anime/train/000000.tar/KEY.png`. `pipeline.dataset.pack` writes shards.
"""

import functools
import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.core.errors import UserError
from pipeline.core.manifest import Domain, Row, Split
from pipeline.core.text import printable

INDEX = "index.json"
FORMAT = "genga shards 1"
_FIX = "fetch it again, or run genga pack"


class _Shard(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")

    file: Annotated[str, Field(pattern=r"^[\w-]+\.tar$", max_length=100)]  # no path: it lies beside the index
    bytes: Annotated[int, Field(ge=0)]
    samples: Annotated[int, Field(ge=0)]


class _Index(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")

    samples: Annotated[int, Field(ge=0)]
    shards: list[_Shard]


def contain(folder: Path, domain: Domain) -> bool:
    """Whether a folder holds shards of a domain, of any split."""
    return any((folder / domain).glob(f"*/{INDEX}"))


def is_inside(path: Path) -> bool:
    """Whether a picture's path leads into a tar, judged by its name alone: FOLDER/NAME.tar/PICTURE."""
    return path.parent.suffix == ".tar"


def rows_of(folder: Path, domain: Domain, split: Split) -> list[Row]:
    """Read the rows of one set, in the order in which they were packed; their `file` leads into a tar.

    Raises:
        UserError: the set is not there, or a shard is missing, truncated or damaged.
    """
    rows: list[Row] = []
    for shard in read_index(folder / domain / split)["shards"]:
        path = folder / domain / split / str(shard["file"])
        size = path.stat().st_size if path.is_file() else None
        if size != shard["bytes"]:
            problem = "is missing" if size is None else f"has {size} bytes of {shard['bytes']}"
            raise UserError(f"{path} {problem}: {_FIX}")
        found = list(_rows_in(path))
        if len(found) != shard["samples"]:
            raise UserError(f"{path} holds {len(found)} of {shard['samples']} crops: {_FIX}")
        rows += found
    return rows


def read_member(path: Path) -> bytes:
    """Read one file of a tar, given a path that leads into it.

    Raises:
        UserError: the tar cannot be read, or has no such member.
    """
    tar, name = path.parent, path.name
    if name not in (members := _members(tar)):
        raise UserError(f"{tar} has no {name}: {_FIX}")
    offset, size = members[name]
    with tar.open("rb") as file:
        file.seek(offset)
        return file.read(size)


def read_index(folder: Path) -> dict[str, Any]:
    """Read index.json of a set: number of `samples`, and of each of its `shards` the `file`, size in `bytes` and `samples`.

    Raises:
        UserError: it is missing, damaged, or of another format.
    """
    path = folder / INDEX
    try:
        index = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{folder} holds no shards: write them with genga pack, or name another folder under dataset:"
        ) from None
    except (ValueError, OSError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({error}): {_FIX}") from None
    if not isinstance(index, dict) or index.get("format") != FORMAT:
        raise UserError(f"{path} is not an index of {FORMAT!r}: pack the crops again with this version of genga")
    try:
        return _Index.model_validate(index).model_dump()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(f"{path} is damaged ({where}: {first['msg'].lower()}): {_FIX}") from None


def summary(folder: Path) -> str:
    """Describe a set for people, as "900 crops in 2 shards, 80.5 MB"; UserError if its index is missing or damaged."""
    index = read_index(folder)
    size = sum(shard["bytes"] for shard in index["shards"])
    return f"{index['samples']} crops in {len(index['shards'])} shards, {size / 1e6:.1f} MB"


def _rows_in(tar: Path) -> Iterator[Row]:
    for name in _members(tar):
        if name.endswith(".json"):
            try:
                row = Row.model_validate_json(read_member(tar / name))
            except ValidationError:
                raise UserError(f"{tar / name} is not a manifest row: {_FIX}") from None
            yield row.model_copy(update={"file": (tar / name).with_suffix(".png").as_posix()})


def _members(tar: Path) -> Mapping[str, tuple[int, int]]:
    """Name -> offset and size in bytes of each file in a tar."""
    try:
        known = tar.stat()
    except OSError as error:
        raise UserError(f"{tar} cannot be read ({error.strerror}): {_FIX}") from None
    return _scan(tar, known.st_mtime_ns, known.st_size)


# Crops are read tar by tar, so a few tables will do; those of a million crops would fill memory. Time and size are cache keys.
@functools.lru_cache(maxsize=16)
def _scan(tar: Path, mtime_ns: int, size: int) -> Mapping[str, tuple[int, int]]:
    try:
        with tarfile.open(tar, "r:") as opened:
            members = {member.name: (member.offset_data, member.size) for member in opened if member.isfile()}
    except (tarfile.TarError, OSError, ValueError) as error:
        raise UserError(f"{tar} is damaged ({error}): {_FIX}") from None
    for name, (offset, length) in members.items():
        if "/" in name or "\0" in name or name in ("", ".", ".."):
            raise UserError(f"{tar} has a file named {printable(name, 100)}, which leads elsewhere: {_FIX}")
        if offset + length > size:
            raise UserError(f"{tar} is damaged ({printable(name, 100)} is cut off): {_FIX}")
    return members
