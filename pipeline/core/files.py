"""Files: digests, atomic writes, and the folder of what outlives a run."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path

_DIGEST_BYTES = 16


def replace_text(path: Path, text: str) -> None:
    """Give a file a new text (UTF-8, line ends as they are); its permissions stay, and a link stays a link."""
    path = path.resolve()
    path.touch()
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", newline="\n", dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as file:
        try:
            file.write(text)
            file.close()
            shutil.copymode(path, file.name)
            os.replace(file.name, path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def replace_folder(new: Path, old: Path) -> None:
    """Move a finished folder to where an older one may stand; neither is ever seen half there."""
    old.parent.mkdir(parents=True, exist_ok=True)
    if old.exists():
        grave = new.with_name(new.name + ".old")
        shutil.rmtree(grave, ignore_errors=True)
        os.replace(old, grave)
        os.replace(new, old)
        shutil.rmtree(grave)
    else:
        os.replace(new, old)


def write_json(path: Path, value: object) -> None:
    """Write JSON for people and diffs: indented, keys in the given order, one newline at the end."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")


def digest(file: Path | bytes) -> str:
    """What a file (or some bytes) holds, in 32 hexadecimal digits: BLAKE2b, of bytes and not of pixels, as DVC sees files."""
    if isinstance(file, bytes):
        return hashlib.blake2b(file, digest_size=_DIGEST_BYTES).hexdigest()
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, lambda: hashlib.blake2b(digest_size=_DIGEST_BYTES)).hexdigest()


def work_folder() -> Path:
    """Where what outlives a run of DVC lies, git-ignored.

    `dvc exp run --temp` and queued runs happen in a copy of the project, under its .dvc/tmp/exps, which goes with them: what
    they leave for their next try lies in the project itself.
    """
    named = os.environ.get("GENGA_WORK")
    if named is not None:
        return Path(named)
    here = Path.cwd()
    for folder in here.parents:
        if folder.parts[-3:] == (".dvc", "tmp", "exps"):
            return folder.parents[2] / ".work"
    return Path(".work")
