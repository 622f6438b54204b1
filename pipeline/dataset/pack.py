"""Write crops in forms that others read: here WebDataset shards (tar files), to share or to train from without unpacking.

Equal crops give equal bytes: samples are in the manifest's order, and tar headers depend neither on the day nor on the user.
`pipeline.dataset.shards` describes the layout and reads it; `pipeline.dataset.image_folder` writes the other form.
"""

import contextlib
import io
import os
import re
import shutil
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from pipeline.core import files, manifest, stage
from pipeline.core.errors import UserError
from pipeline.core.manifest import Domain, Row, Split
from pipeline.dataset.crop_files import EDGE_SMOOTH
from pipeline.dataset.shards import FORMAT, INDEX

_KEY_LENGTH = 80  # with its suffix well under the 100 characters of a plain tar header


def key_of(row_id: str) -> str:
    """Turn a row's id into a WebDataset key: letters, digits, - and _ only (a dot would end the key).

    Ids with other characters, or longer than 80, are changed and get a hash of the original appended, so that keys stay unique.
    """
    safe = re.sub(r"[^A-Za-z0-9_-]", "_", row_id)[:_KEY_LENGTH]
    return safe if safe == row_id else f"{safe}-{manifest.number(0, row_id):016x}"


class Sample(NamedTuple):
    """A crop and, if it is a film's, its edge-smoothed copy (else None), as the bytes of their PNG files."""

    key: str
    row: Row
    picture: bytes
    edge_smoothed: bytes | None


class Form(Protocol):
    """A form in which sets of crops are written."""

    marker: str
    """A file that each folder of this form holds."""

    def folder(self, domain: Domain, split: Split) -> str:
        """Return the path of a set's folder, relative to the output folder."""

    def write(self, folder: Path, samples: Iterable[Sample], rows: Sequence[Row]) -> None:
        """Write the samples of a set, which are those of `rows`, into a folder that does not exist yet."""


def pack(data: Path, out: Path, splits: Sequence[Split], domains: Sequence[Domain], form: Form, overwrite: bool) -> list[Path]:
    """Write each combination of domain and split into its own folder of `out`, once all are complete; return the folders.

    Args:
        data: the folder data/, whose stages split and edge_smooth have run.
        overwrite: replace existing sets that `genga pack` wrote.

    Raises:
        UserError: there are no crops, a picture is missing, a set may not be replaced, or `out` cannot be written to.
    """
    rows = manifest.read(data / "split")
    sets = {form.folder(domain, split): manifest.kept(rows, domain, split) for domain in domains for split in splits}
    for name, chosen in sets.items():
        if not chosen:
            raise UserError(f"{data / 'split'} lists no {name.replace('/', ' crops in ')}: name other splits or domains")
        files.check_replaceable(out / name, form.marker, "genga pack", overwrite)
    anime = [row for row in rows if row.domain == "anime"] if "anime" in domains else []
    copies = {row.id: row for row in manifest.kept(manifest.of_sources(data / EDGE_SMOOTH / stage.ABOUT, anime))}
    partial = out.resolve().with_name(f".{out.resolve().name}.{os.getpid()}")
    try:
        partial.mkdir(parents=True)
        for name, chosen in sets.items():
            samples = stage.progress(_samples(data.parent, chosen, copies), f"pack {name}", "crops", len(chosen))
            form.write(partial / name, samples, chosen)
        for name in sets:
            files.replace_folder(partial / name, out / name)
    except OSError as error:
        raise UserError(f"{out} cannot be written to ({error.strerror}): make room, or give another folder") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return [out / name for name in sets]


def _samples(project: Path, rows: Iterable[Row], copies: Mapping[str, Row]) -> Iterator[Sample]:
    for row in rows:
        copy = None
        if row.domain == "anime":
            if row.id not in copies:
                raise UserError(f"data/{EDGE_SMOOTH} has no picture for {row.id}: run dvc repro {EDGE_SMOOTH}")
            copy = manifest.file_of(copies[row.id], project).read_bytes()
        yield Sample(key_of(row.id), row, manifest.file_of(row, project).read_bytes(), copy)


@dataclass(frozen=True)
class WebDataset:
    """Shards as `pipeline.dataset.shards` reads them."""

    shard_mb: float
    """Largest size of a shard in millions of bytes."""
    marker = INDEX

    def folder(self, domain: Domain, split: Split) -> str:
        """Return the path of a set's folder, relative to the output folder: DOMAIN/SPLIT."""
        return f"{domain}/{split}"

    def write(self, folder: Path, samples: Iterable[Sample], rows: Sequence[Row]) -> None:
        """Write the tars and the index of one set, which has at least one crop, into a folder that does not exist yet."""
        folder.mkdir(parents=True)
        shards: list[dict[str, Any]] = []
        filled = 0
        with contextlib.ExitStack() as open_tar:
            for contents in map(_tar_members, samples):
                size = sum(512 + -(-len(content) // 512) * 512 for content in contents.values())
                if not shards or filled + size > self.shard_mb * 1e6:
                    open_tar.close()
                    shards.append({"file": f"{len(shards):06d}.tar", "samples": 0})
                    tar = open_tar.enter_context(tarfile.open(folder / shards[-1]["file"], "x", format=tarfile.USTAR_FORMAT))
                    filled = 0
                for file_name, content in contents.items():
                    header = tarfile.TarInfo(file_name)  # mtime, uid and gid 0, no names, mode 644
                    header.size = len(content)
                    tar.addfile(header, io.BytesIO(content))
                filled += size
                shards[-1]["samples"] += 1
        for shard in shards:
            path = folder / shard["file"]
            shard |= {"bytes": path.stat().st_size, "blake2b": files.digest(path)}
        index = {
            "format": FORMAT,
            "domain": rows[0].domain,
            "split": rows[0].split,
            "samples": len(rows),
            "side_px": rows[0].width_px,
            "shards": shards,
        }
        files.write_json(folder / INDEX, index)


def _tar_members(sample: Sample) -> dict[str, bytes]:
    # `file` is a path on the packer's machine, which is nobody else's business.
    members = {f"{sample.key}.json": sample.row.model_dump_json(exclude_none=True, exclude={"file"}).encode()}
    members[f"{sample.key}.png"] = sample.picture
    if sample.edge_smoothed is not None:
        members[f"{sample.key}.{EDGE_SMOOTH}.png"] = sample.edge_smoothed
    return members
