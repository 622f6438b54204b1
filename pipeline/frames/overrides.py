"""A person's decisions against the filtering of dedup: data/keep.txt and data/drop.txt, ids of pictures, one a line, in git.

`#` starts a comment and blank lines are ignored. An id with spaces or other special characters is written as a JSON string in
double quotes. `genga review` writes these files; any editor will do.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Literal

from pipeline.core import files
from pipeline.core.errors import UserError, log

Override = Literal["keep", "drop"]

OVERRIDES: tuple[Override, Override] = ("keep", "drop")
_MAX_REPORTED = 8  # unknown ids named in the log: a film taken out may leave hundreds


def list_path(data: Path, override: Override) -> Path:
    """Return the path of the list of pictures to keep or to drop: keep.txt or drop.txt in the folder `data`."""
    return data / f"{override}.txt"


def parse(text: str, origin: str) -> dict[str, int]:
    """Parse a list into its ids, each with the number of the first line that has it; `origin` names the list in messages.

    Raises:
        UserError: a line is not one id.
    """
    found: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        try:
            name = _parse_line(line)
        except ValueError as error:
            raise UserError(f"{origin}, line {number}: {error}") from None
        if name is not None:
            found.setdefault(name, number)
    return found


def _parse_line(line: str) -> str | None:
    """Return the id on a line, None if it is blank or a comment; raise a ValueError that describes what is wrong with it."""
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
        raise ValueError(f'expected one id, got {line} (write an id with spaces in "double quotes")')
    return str(name)


def format_id(name: str) -> str:
    """Format an id as a line of a list: in double quotes if it would be misread without."""
    plain = name.split() == [name] and not name.startswith(("#", '"'))
    return name if plain else json.dumps(name, ensure_ascii=False)


def edit(text: str, add: Iterable[str] = (), remove: Collection[str] = ()) -> str:
    """Return the text of a list, which `parse` has to accept, with some ids added at its end and the lines of others removed.

    Ids that the list has already are not added again; all other lines stay as they are.
    """
    lines = [line for line in text.split("\n") if _parse_line(line) not in remove]
    present = {_parse_line(line) for line in lines}
    if not lines or lines[-1]:
        lines.append("")
    lines[-1:-1] = [format_id(name) for name in dict.fromkeys(add) if name not in present]
    return "\n".join(lines)


def read(data: Path) -> dict[str, Override]:
    """Read both lists of the folder `data` into id -> override; a missing list is empty.

    Raises:
        UserError: a list cannot be read or is not UTF-8, a line is not one id, or an id is in both lists.
    """
    lists = {override: parse(_text(path), str(path)) for override in OVERRIDES for path in [list_path(data, override)]}
    for name in lists["keep"].keys() & lists["drop"].keys():
        keep, drop = (f"{list_path(data, override)}, line {lists[override][name]}" for override in OVERRIDES)
        raise UserError(f"{format_id(name)} is to be kept ({keep}) and dropped ({drop}): take it out of one of them")
    return {name: override for override, ids in lists.items() for name in ids}


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UserError(f"{path}, line {line}: not UTF-8 text; save it as UTF-8") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): it has to be a text file of ids") from None


def write(data: Path, names: Collection[str], override: Override | None) -> dict[str, Override]:
    """Write the override of some pictures into the lists (None: remove it); each file is replaced atomically.

    Returns:
        The overrides of both lists afterwards.

    Raises:
        UserError: as for `read`; the lists are then left as they were.
    """
    read(data)
    # Removed from one list before being added to the other: if interrupted, an id is in neither list, never in both.
    for which in sorted(OVERRIDES, key=lambda which: which == override):
        path = list_path(data, which)
        old = _text(path)
        new = edit(old, add=names) if which == override else edit(old, remove=set(names))
        if parse(new, str(path)) != parse(old, str(path)):
            files.replace_text(path, new)
    return read(data)


def warn_of_unknown(overrides: Mapping[str, Override], known: Iterable[str], data: Path) -> None:
    """Warn in the log of overridden ids that are not among the `known`: no error, since films come and go."""
    unknown = sorted(overrides.keys() - set(known))
    for name in unknown[:_MAX_REPORTED]:
        where = list_path(data, overrides[name])
        log.warning("%s: there is no picture %s (misspelled, or its film is gone): ignored", where, format_id(name))
    if len(unknown) > _MAX_REPORTED:
        log.warning("and %d more ids of no picture in data/keep.txt and data/drop.txt", len(unknown) - _MAX_REPORTED)
