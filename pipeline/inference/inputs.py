"""Finds the files to redraw among files, folders and patterns, and names their results."""

import glob
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from pipeline.core.errors import UserError, log
from pipeline.core.text import shorten_stem
from pipeline.media import kinds

SUFFIXES = kinds.PICTURE_SUFFIXES | kinds.FILM_SUFFIXES
MARK = "-genga"
"""End of the names of results that lie beside their sources."""
_RESULT = re.compile(rf"(.+){MARK}(?:-\d+|\.[^.]+)*")  # as `name_results` ends them


def plan(inputs: Sequence[Path], out: Path | None, result_suffix: Callable[[Path], str]) -> list[tuple[Path, Path]]:
    """List every photo and film to redraw, once, with the file to write.

    In a folder for results the tree of a folder is kept; with several inputs, each folder gets a folder of its name.

    Args:
        inputs: files, folders (searched whole) and patterns such as `*.jpg` or `**/*.png`.
        out: folder, or (for one input) a file whose suffix says its format; None to write each result beside its source.
        result_suffix: gives the suffix (with the dot) of a file's result; not asked if `out` is a file.

    Returns:
        Pairs of source and result; nothing is created. Hidden files and earlier results in folders are left out.

    Raises:
        UserError: an input does not exist or holds nothing to redraw, a result would overwrite an input, or `out` is a file
            of another kind, or one file for several inputs or a folder.
    """
    if out is None:
        return _plan_beside(inputs, result_suffix)
    if is_file(out):
        return _plan_file(inputs, out)
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file: give a folder for the results")
    roots = _expand_patterns(inputs)
    found: dict[Path, tuple[Path, PurePosixPath]] = {}  # by resolved path: a file given twice is redrawn once
    earlier = 0
    for root in roots:
        if root.is_dir() and root.resolve() == out.resolve():
            raise UserError(f"{out} is a folder of photos to redraw: give another folder, so that none is overwritten")
        inside = root.is_dir() and out.resolve().is_relative_to(root.resolve())
        for source in _files_in(root) if root.is_dir() else [root]:
            resolved = source.resolve()
            if inside and resolved.is_relative_to(out.resolve()):
                earlier += 1
                continue
            name = PurePosixPath(source.relative_to(root).as_posix() if root.is_dir() else source.name)
            found.setdefault(resolved, (source, root.resolve().name / name if root.is_dir() and len(roots) > 1 else name))
    if earlier:
        log.info("%d files in %s are taken for earlier results and skipped", earlier, out)
    sources = [source for source, _ in found.values()]
    names = name_results([name for _, name in found.values()], [result_suffix(source) for source in sources])
    planned = [(source, out / name) for source, name in zip(sources, names, strict=True)]
    for _, target in planned:
        if target.resolve() in found:
            raise UserError(f"{target} is a photo to redraw: give another folder, so that it is not overwritten")
    return planned


def is_file(out: Path) -> bool:
    """Return whether an output path names a picture or a film by its suffix (and is no folder); it need not exist."""
    return out.suffix.lower() in SUFFIXES and not out.is_dir()


def _plan_file(inputs: Sequence[Path], out: Path) -> list[tuple[Path, Path]]:
    roots = _expand_patterns(inputs)
    if len(roots) != 1 or roots[0].is_dir():
        raise UserError(f"{out} is one file, and there is more than one photo or film to redraw: give a folder for the results")
    (source,) = roots
    if out.resolve() == source.resolve():
        raise UserError(f"{out} is the photo to redraw: give another name, so that it is not overwritten")
    return [(source, out)]


def _plan_beside(inputs: Sequence[Path], result_suffix: Callable[[Path], str]) -> list[tuple[Path, Path]]:
    """Name each result after its source, with `MARK`; results of earlier runs are no sources if their own are there."""
    found: dict[Path, Path] = {}
    for root in _expand_patterns(inputs):
        if root.is_dir():
            listed = _files_in(root)
            names = {path.with_suffix("") for path in listed}
            listed = [path for path in listed if not (of := _RESULT.fullmatch(path.name)) or path.with_name(of[1]) not in names]
        else:
            listed = [root]
        for source in listed:
            found.setdefault(source.resolve(), source)
    sources = list(found.values())
    marked = [PurePosixPath(source.with_name(f"{source.stem}{MARK}{source.suffix}").as_posix()) for source in sources]
    planned = list(zip(sources, map(Path, name_results(marked, [result_suffix(source) for source in sources])), strict=True))
    for _, target in planned:
        if target.resolve() in found:
            raise UserError(f"{target} is a photo to redraw: give a folder for the results (-o), so that it is not overwritten")
    return planned


def name_results(sources: Sequence[PurePosixPath], suffixes: Sequence[str]) -> list[PurePosixPath]:
    """Name the results of files after them, no two alike even where upper and lower case are the same.

    `a.jpg` becomes `a.png`. Results that would share a name keep both suffixes (`a.jpg.png`, `a.tif.png`); what still
    collides is numbered (`a-2.png`).

    Args:
        sources: relative paths; the results lie in the same folders. Stems that are too long are shortened.
        suffixes: of each result, with the dot.
    """
    sources = [source.with_name(shorten_stem(source.stem) + source.suffix) for source in sources]
    simple = [source.with_name(source.stem + suffix) for source, suffix in zip(sources, suffixes, strict=True)]
    wanted = Counter(map(_folded, simple))
    taken: set[str] = set()
    results = []
    for source, name, suffix in zip(sources, simple, suffixes, strict=True):
        result = source.with_name(source.name + suffix) if wanted[_folded(name)] > 1 and source.suffix else name
        number, stem = 2, result.stem
        while _folded(result) in taken or (result != name and wanted[_folded(result)]):
            result = result.with_name(f"{stem}-{number}{result.suffix}")
            number += 1
        taken.add(_folded(result))
        results.append(result)
    return results


def _folded(name: PurePosixPath) -> str:
    return unicodedata.normalize("NFC", str(name)).casefold()


def _expand_patterns(inputs: Sequence[Path]) -> list[Path]:
    """Replace each pattern (`*`, `?`, `[a-z]`, `**`) by the files and folders it matches, and check the other paths."""
    paths: list[Path] = []
    for path in inputs:
        if path.is_file() or path.is_dir():
            paths.append(path)
            continue
        if path.exists():
            raise UserError(f"{path} is a pipe or a device, not a file: give a picture, a film, a folder or a pattern")
        if not glob.has_magic(str(path)):
            raise UserError(f"{path} does not exist: give a picture, a film, a folder or a pattern")
        recursive = "**" in path.parts  # matches every folder as well as the pictures in it
        matches = [
            match
            for match in sorted(_glob_recursively(path) if recursive else map(Path, glob.glob(str(path))))
            if (not recursive if match.is_dir() else match.is_file() and kinds.kind(match))
        ]
        if not matches:
            raise UserError(f"{path} matches no picture or film: correct the pattern, or name a folder")
        paths += matches
    return paths


def _glob_recursively(pattern: Path) -> Iterator[Path]:
    """Yield what a pattern with `**` matches, without hidden files; links to folders may go in circles, so none is followed."""
    parts = [*pattern.parts, *["*"] * (pattern.name == "**")]
    fixed = next(index for index, part in enumerate(parts) if glob.has_magic(part))
    root = Path(*parts[:fixed])
    for path in root.glob("/".join(parts[fixed:])):
        if not any(part.startswith(".") for part in path.relative_to(root).parts):
            yield path


def _files_in(folder: Path) -> list[Path]:
    """List the pictures and films under a folder, sorted, without hidden ones; log what other files there are."""
    visible = {path: kinds.kind(path) for path in kinds.visible_files(folder)}
    files = [path for path, kind in visible.items() if kind]
    others = Counter(path.suffix.lower() or "without suffix" for path, kind in visible.items() if not kind)
    names = ", ".join(f"{count} {suffix}" for suffix, count in others.most_common(6))
    if not files:
        raise UserError(f"{folder} holds no pictures or films{f' (but {names})' if names else ''}: put some there")
    if others:
        log.info("%s: skipped %d files that are neither pictures nor films (%s)", folder, others.total(), names)
    return files
