"""What a person says against the cull: data/keep.txt and data/drop.txt, ids of pictures, one a line, in git.

`#` begins a comment, blank lines are passed over. An id that a plain line cannot hold (of a photograph with a space in its
name, say) stands in double quotes, as JSON writes it. `genga review` writes these files; an editor does as well.
"""

from __future__ import annotations

import json
import logging
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping
from difflib import SequenceMatcher
from pathlib import Path
from typing import Literal

from pipeline.core import files
from pipeline.core.errors import UserError

Verdict = Literal["keep", "drop"]

VERDICTS: tuple[Verdict, Verdict] = ("keep", "drop")
_NAMED = 8  # unknown ids that are named in the log: a film taken out may leave hundreds
_NEIGHBOURS = 8
_LEAST_SIMILARITY = 0.8

log = logging.getLogger("genga")


def file_of(data: Path, verdict: Verdict) -> Path:
    """Where a verdict's list is."""
    return data / f"{verdict}.txt"


def parse(text: str, origin: str) -> dict[str, int]:
    """The ids of a list, each with the first line it stands on.

    Raises:
        UserError: a line that is not one id.
    """
    found: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        try:
            name = _id_on(line)
        except ValueError as error:
            raise UserError(f"{origin}, line {number}: {error}") from None
        if name is not None:
            found.setdefault(name, number)
    return found


def _id_on(line: str) -> str | None:
    """The id on a line, or None; ValueError tells what is wrong with it."""
    line = line.strip()
    if not line or line.startswith("#"):
        return None
    if line.startswith('"'):
        try:
            name, end = json.JSONDecoder().raw_decode(line)
        except ValueError:
            raise ValueError(f"the double quotes are not closed, or hold what JSON does not allow: {line}") from None
    else:
        name = line.split(maxsplit=1)[0]
        end = len(name)
    rest = line[end:]
    if not name or (rest and not (rest[0].isspace() and rest.lstrip().startswith("#"))):
        raise ValueError(f'expected one id, got {line} (an id with spaces in it stands in "double quotes")')
    return str(name)


def show(name: str) -> str:
    """An id as a line of a list holds it."""
    plain = name.split() == [name] and not name.startswith(("#", '"'))
    return name if plain else json.dumps(name, ensure_ascii=False)


def edit(text: str, add: Iterable[str] = (), remove: Collection[str] = ()) -> str:
    """A list with some ids more and some fewer; every other line stays as it is. The lines must be sound (see `parse`)."""
    lines = [line for line in text.split("\n") if _id_on(line) not in remove]
    there = {_id_on(line) for line in lines}
    if lines[-1]:
        lines.append("")
    lines[-1:-1] = [show(name) for name in dict.fromkeys(add) if name not in there]
    return "\n".join(lines)


def read(data: Path) -> dict[str, Verdict]:
    """What both lists say. A list that is not there is an empty one.

    Raises:
        UserError: a line that is not one id, or an id in both lists.
    """
    keep, drop = (parse(_text(file_of(data, verdict)), str(file_of(data, verdict))) for verdict in VERDICTS)
    for name in keep.keys() & drop.keys():
        keep_line, drop_line = (
            f"{file_of(data, verdict)}, line {lines[name]}" for verdict, lines in zip(VERDICTS, (keep, drop), strict=True)
        )
        raise UserError(f"{show(name)} is to be kept ({keep_line}) and dropped ({drop_line}): take it out of one of them")
    forced: dict[str, Verdict] = {}
    for verdict, lines in zip(VERDICTS, (keep, drop), strict=True):
        forced |= dict.fromkeys(lines, verdict)
    return forced


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UserError(f"{path}, line {line}: not UTF-8 text; save it as UTF-8") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): it is to be a text file of ids") from None


def decide(data: Path, names: Collection[str], verdict: Verdict | None) -> dict[str, Verdict]:
    """Write a verdict on pictures into the lists (None: none any more); each file whole or not at all.

    Returns:
        What both lists say now.

    Raises:
        UserError: the lists are not sound; they are as they were.
    """
    read(data)
    # Out of the one list before into the other: stopped in between, an id is in neither, never in both.
    for one in sorted(VERDICTS, key=lambda one: one == verdict):
        path = file_of(data, one)
        old = _text(path)
        new = edit(old, add=names) if one == verdict else edit(old, remove=set(names))
        if parse(new, str(path)) != parse(old, str(path)):
            files.replace_text(path, new)
    return read(data)


def warn_of_unknown(forced: Mapping[str, Verdict], known: Iterable[str], data: Path) -> None:
    """Say in the log which ids of the lists are no picture's. No fault, since films come and go."""
    names = sorted(known)
    backwards = sorted(name[::-1] for name in names)
    missing = sorted(forced.keys() - set(names))
    for name in missing[:_NAMED]:
        near = nearest(name, names, backwards)
        hint = f"did you mean {show(near)}?" if near else "its film or photograph may be gone"
        log.warning("%s: there is no picture %s; passed over (%s)", file_of(data, forced[name]), show(name), hint)
    if len(missing) > _NAMED:
        log.warning("and %d more ids of no picture in data/keep.txt and data/drop.txt", len(missing) - _NAMED)


def nearest(name: str, names: list[str], backwards: list[str]) -> str | None:
    """The id most like a wrong one, or None where none is like it.

    Looked for among those that begin or that end most alike, so that it costs little among a million.

    Args:
        names: all ids, sorted.
        backwards: all ids spelt backwards, sorted.
    """
    close = _around(name, names) + [other[::-1] for other in _around(name[::-1], backwards)]
    scored = [(SequenceMatcher(None, name, other).ratio(), other) for other in close]
    similarity, best = max(scored, default=(0.0, ""))
    return best if similarity >= _LEAST_SIMILARITY else None


def _around(name: str, names: list[str]) -> list[str]:
    place = bisect_left(names, name)
    return names[max(0, place - _NEIGHBOURS) : place + _NEIGHBOURS]
