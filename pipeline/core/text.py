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
    """Name the command that makes a stage's file or folder again, without the stages that follow."""
    parts = path.parts
    name = parts[parts.index("data") + 1] if "data" in parts[:-1] else ""
    is_stage = (Path(__file__).parents[1] / f"{name}.py").is_file()
    return f"dvc repro {_REMAKES.get(name, name)}" if is_stage else "dvc repro"


def printable(text: str, longest: int = _LONGEST) -> str:
    """Escape what a terminal would obey or cannot show (control characters, bytes that are not UTF-8); cut a long middle."""
    if len(text) > longest:
        text = f"{text[: longest // 2]}...{text[-longest // 2 :]}"
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def safe_name(text: str) -> str:
    """Shorten a name to what part of a file's name may hold everywhere, with `-` for what cannot be shown; most stay as is."""
    shown = "".join(one if one.isprintable() else "-" for one in text)
    return shown.encode()[:_LONGEST_NAME_BYTES].decode(errors="ignore")


def shorten_stem(stem: str, longest_bytes: int = _LONGEST_STEM_BYTES) -> str:
    """Shorten a file's stem that is too long to be appended to; a digest of the whole then tells it from others."""
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
