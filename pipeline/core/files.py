"""Files: digests, atomic writes, and the folder for work that outlives a run."""

import contextlib
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.core.errors import UserError, log
from pipeline.core.text import shorten_stem

_DIGEST_BYTES = 16


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file whole or not at all: yields a temporary path to write, which is renamed to `path` if the block succeeds.

    If the block raises, the temporary file is deleted and `path` stays as it was. The temporary name is in
    the same folder, hidden, keeps the suffix, and is unique among all machines that share the folder.
    """
    temporary = _temporary_name(path)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Write a folder whole or not at all: yields an empty folder beside `path`, renamed to `path` if the block succeeds.

    A folder that was at `path` is then deleted. If the block raises, it stays, and the new one is deleted.
    """
    path = path.resolve()
    temporary = _temporary_name(path)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        replace_folder(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_replaceable(folder: Path, marker: str, command: str, overwrite: bool) -> None:
    """Check that a command may write a folder: it does not exist, or it may be overwritten and the command has written it.

    Args:
        marker: name of a file that every folder written by the command holds.
        command: the command's name, for the message.

    Raises:
        UserError: the folder exists, and `overwrite` is not set or the folder holds no `marker`.
    """
    if folder.exists() and not overwrite:
        raise UserError(f"{folder} exists already: give another folder, or --overwrite")
    if folder.exists() and not (folder / marker).is_file():
        raise UserError(f"{folder} was not written by {command} and is not replaced: give another folder")


@contextlib.contextmanager
def locked(path: Path, busy: str, wait: bool = False) -> Iterator[None]:
    """Hold a lock between processes during the block; a process that is killed releases it.

    Args:
        path: the lock's file, removed after the block.
        busy: the message if another process holds the lock.
        wait: log the message and wait, instead of raising it.

    Raises:
        UserError: another process holds the lock, and `wait` is not set.
    """
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise UserError(busy) from None
        log.warning("%s", busy)
        lock.acquire()
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()


def _temporary_name(path: Path) -> Path:
    return path.with_name(f".{shorten_stem(path.name)}.{secrets.token_hex(4)}{path.suffix}")


def replace_text(path: Path, text: str) -> None:
    """Replace a file's text at once (UTF-8, line ends unchanged); its permissions stay, and a symbolic link stays a link."""
    path = path.resolve()
    with replacing(path) as temporary:
        temporary.write_text(text, "utf-8", newline="\n")
        if path.exists():
            shutil.copymode(path, temporary)


def replace_folder(new: Path, old: Path) -> None:
    """Rename the finished folder `new` to `old`, and delete the folder that was there, if any; neither is seen incomplete."""
    old.parent.mkdir(parents=True, exist_ok=True)
    if old.exists():
        retired = new.with_name(new.name + ".old")
        shutil.rmtree(retired, ignore_errors=True)
        os.replace(old, retired)
        os.replace(new, old)
        shutil.rmtree(retired)
    else:
        os.replace(new, old)


def write_json(path: Path, value: object) -> None:
    """Write JSON for people and diffs: indented, keys in the given order, one newline at the end."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")


def digest(file: Path | bytes) -> str:
    """Compute the BLAKE2b digest of a file or of some bytes: 32 hexadecimal digits."""
    if isinstance(file, bytes):
        return hashlib.blake2b(file, digest_size=_DIGEST_BYTES).hexdigest()
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, lambda: hashlib.blake2b(digest_size=_DIGEST_BYTES)).hexdigest()


def work_folder() -> Path:
    """Return the git-ignored folder for what outlives a run of DVC, such as checkpoints: $GENGA_WORK, or the project's `.work`.

    It need not exist. `dvc exp run --temp` and queued runs happen in a copy of the project under .dvc/tmp/exps, which is
    deleted afterwards; there, the folder returned is `.work` of the project itself.
    """
    chosen = os.environ.get("GENGA_WORK")
    if chosen is not None:
        return Path(chosen)
    for folder in Path.cwd().parents:
        if folder.parts[-3:] == (".dvc", "tmp", "exps"):
            return folder.parents[2] / ".work"
    return Path(".work")
