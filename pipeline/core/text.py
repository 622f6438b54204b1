"""Text from outside, such as names of files, made safe to print."""

import hashlib
import os
from pathlib import Path, PurePath

_LONGEST = 2000
_LONGEST_NAME_BYTES = 150  # leaves room for what stages append; file systems allow 255
_LONGEST_STEM_BYTES = 220  # leaves room for a mark, a suffix, and the hidden name of an unfinished file

_REMAKES = {"keyframes": "dedup", "crop": "split"}
"""Stage that includes all of a kind: those of each film, footage and photos have names of their own."""


def repro_command(path: PurePath) -> str:
    """Name the command that makes data/STAGE, or a path in it, again: `dvc repro` with the stage; for other paths, without."""
    parts = path.parts
    name = parts[parts.index("data") + 1] if "data" in parts[:-1] else ""
    is_stage = (Path(__file__).parents[1] / f"{name}.py").is_file()
    return f"dvc repro {_REMAKES.get(name, name)}" if is_stage else "dvc repro"


def printable(text: str, longest: int = _LONGEST) -> str:
    """Escape what a terminal would obey or cannot show (control characters, bytes that are not UTF-8).

    Of a text of more than `longest` characters, "..." replaces the middle beforehand.
    """
    if len(text) > longest:
        text = f"{text[: longest // 2]}...{text[-longest // 2 :]}"
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def safe_name(text: str) -> str:
    """Make a name fit for a part of a file's name: `-` for each unprintable character, cut after 150 bytes of UTF-8."""
    shown = "".join(one if one.isprintable() else "-" for one in text)
    return shown.encode()[:_LONGEST_NAME_BYTES].decode(errors="ignore")


def shorten_stem(stem: str, longest_bytes: int = _LONGEST_STEM_BYTES) -> str:
    """Cut a stem longer than `longest_bytes` to that length, a digest of the whole at its end; others are returned as is."""
    whole = os.fsencode(stem)
    if len(whole) <= longest_bytes:
        return stem
    return f"{whole[: longest_bytes - 9].decode(errors='ignore')}-{hashlib.blake2b(whole, digest_size=4).hexdigest()}"


def is_unicode(path: PurePath) -> bool:
    """Whether a path is text. Names from old archives may be in other encodings; neither DVC nor a manifest can hold them."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True
