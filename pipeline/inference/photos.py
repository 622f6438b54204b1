"""Files, folders and patterns of pictures through a stylizer: what `genga stylize` and the stage `predict` share.

While the network works on some pictures, the next are decoded and the last encoded, on threads. Pictures of one size that
follow one another go through the network together.
"""

from __future__ import annotations

import glob
import itertools
import json
import logging
import os
import secrets
import unicodedata
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal, Protocol, cast, runtime_checkable

import numpy as np

from pipeline.core import files
from pipeline.core.errors import UserError
from pipeline.core.stage import progress
from pipeline.media import arrays, images, photo_metadata
from pipeline.media.images import Photo, Picture

Format = Literal["png", "jpg", "webp", "avif", "tif", "same"]
Metadata = Literal["keep", "no-place", "drop"]

WRITABLE = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff")
GAP_PX = 8
JOURNAL = "redrawn.jsonl"
AHEAD = 3  # pictures decoded before their turn, or encoded after it
AHEAD_MEGAPIXELS = 60.0
BATCH_MEGAPIXELS = 1.0  # larger ones gain nothing together

log = logging.getLogger("genga")


class Redraws(Protocol):
    """What redraws pictures of one size: `Stylizer`, or something simpler."""

    def batch(self, pictures: Sequence[Picture]) -> list[Picture]:
        """The pictures redrawn, in order."""


@runtime_checkable
class Accelerates(Redraws, Protocol):
    """What can be quicker where much is to come."""

    def accelerate(self, megapixels: float) -> None:
        """Be, if that pays for so much."""

    def expect(self, height: int, width: int) -> None:
        """Make ready for many pictures of this size."""


class RedrawsFilms(Protocol):
    """What redraws films: `clips.Films`. Apart, because few who redraw pictures want to decode films."""

    @property
    def suffixes(self) -> frozenset[str]:
        """Of what are films."""

    @property
    def how(self) -> str:
        """What tells its results from others of the same film, model and look."""

    def suffix(self, film: PurePosixPath) -> str:
        """Of the result for a film."""

    def megapixels(self, film: Path) -> float:
        """Of all pictures of a film, roughly."""

    def redraw(self, film: Path, target: Path, stylizer: Redraws, look: Look, how: str) -> str:
        """Redraw a film, or go on doing so where `how` is the same; the result's digest."""


@dataclass(frozen=True)
class Look:
    """What is made of a drawing."""

    strength: float = 1.0
    """0 is the photo, 1 the drawing."""
    keep_color: bool = False
    """Luma of the drawing, chroma of the photo."""
    side_by_side: bool = False
    """The photo, and the result to its right."""
    metadata: Metadata = "drop"
    """EXIF of the photo: all that fits a copy, that without the place, or none."""

    def finish(self, photo: Photo, drawn: Picture) -> Picture:
        """The result, with a fourth channel where the photo has transparency."""
        if self.keep_color:
            drawn = arrays.keep_color(photo.picture, drawn)
        if self.strength != 1.0:
            drawn = arrays.blend(photo.picture, drawn, self.strength)
        result = beside(photo.picture, drawn) if self.side_by_side else drawn
        if photo.alpha is None:
            return result
        alpha = photo.alpha[..., None]
        return np.dstack([result, beside(alpha, alpha) if self.side_by_side else alpha])


@dataclass
class Made:
    """What became of one photo."""

    photo: Path
    target: Path
    digest: str | None = None
    """Of the result's file; None where there is none."""
    reason: str | None = None
    """Why there is none."""
    small: tuple[Picture, Picture] | None = None
    """Photo and result, shrunk, where asked for."""
    width_px: int = 0
    height_px: int = 0


def redraw(
    plan: Sequence[tuple[Path, Path]], stylizer: Redraws, look: Look, max_megapixels: float, small_px: int = 0
) -> Iterator[Made]:
    """Redraw each photo of `plan` into its target, in order; one that cannot be has a reason instead.

    Args:
        small_px: longer side of the shrunk pictures to be given back; 0 gives none.

    Raises:
        UserError: the disk refuses.
    """
    with ThreadPoolExecutor(2, "redraw") as pool:
        encoding: deque[Future[Made]] = deque()
        for jobs in _batched(_decoded(plan, pool, max_megapixels)):
            whole = [(made, photo) for made, photo in jobs if photo is not None]
            try:
                seen = [
                    photo.picture if photo.alpha is None else arrays.fill_transparent(photo.picture, photo.alpha)
                    for _, photo in whole
                ]
                drawn = stylizer.batch(seen)
            except UserError as fault:
                for made, _ in whole:
                    made.reason = _naming(made.photo, fault)
                drawn = []
            results = iter(drawn)
            for made, photo in jobs:
                result = None if photo is None else next(results, None)
                encoding.append(pool.submit(_encode, made, photo, result, look, small_px))
            large = any(photo.picture.size > 3e6 * AHEAD_MEGAPIXELS / AHEAD for _, photo in whole)
            while len(encoding) > (0 if large else AHEAD):
                yield encoding.popleft().result()
        while encoding:
            yield encoding.popleft().result()


def _decoded(
    plan: Sequence[tuple[Path, Path]], pool: ThreadPoolExecutor, max_megapixels: float
) -> Iterator[tuple[Made, Photo | None]]:
    """Photos in order, some decoded ahead: no more than memory easily holds."""
    waiting: deque[tuple[Made, float, Future[Photo]]] = deque()
    held = 0.0
    for photo, target in plan:
        size = min(images.megapixels_of(photo), max_megapixels)
        while waiting and (len(waiting) >= AHEAD or held + size > AHEAD_MEGAPIXELS):
            made, first, future = waiting.popleft()
            held -= first
            yield made, _got(made, future)
        waiting.append((Made(photo, target), size, pool.submit(images.read_photo, photo, max_megapixels)))
        held += size
    while waiting:
        made, _, future = waiting.popleft()
        yield made, _got(made, future)


def _got(made: Made, future: Future[Photo]) -> Photo | None:
    try:
        return future.result()
    except UserError as fault:
        made.reason = _naming(made.photo, fault)
        return None


def _naming(photo: Path, fault: UserError) -> str:
    return str(fault) if str(photo) in str(fault) else f"{photo}: {fault}"


def _batched(decoded: Iterable[tuple[Made, Photo | None]]) -> Iterator[list[tuple[Made, Photo | None]]]:
    """Neighbours of one size together, as many as `BATCH_MEGAPIXELS` hold."""
    batch: list[tuple[Made, Photo | None]] = []
    shape: tuple[int, ...] = ()
    for made, photo in decoded:
        of_this = () if photo is None else photo.picture.shape
        if batch and (of_this != shape or not of_this or (len(batch) + 1) * of_this[0] * of_this[1] > BATCH_MEGAPIXELS * 1e6):
            yield batch
            batch = []
        batch.append((made, photo))
        shape = of_this
    if batch:
        yield batch


def _encode(made: Made, photo: Photo | None, drawn: Picture | None, look: Look, small_px: int) -> Made:
    if photo is None or drawn is None:
        return made
    result = look.finish(photo, drawn)
    made.height_px, made.width_px = result.shape[:2]
    exif = None if look.metadata == "drop" else photo_metadata.for_copy(photo.exif, look.metadata == "keep")
    try:
        made.target.parent.mkdir(parents=True, exist_ok=True)
        made.digest = images.write(made.target, result, exif)
    except OSError as error:
        if error.errno is None:
            made.reason = f"{made.photo}: {made.target} cannot be encoded ({error}): choose another format"
            return made
        # The next picture would fare no better.
        raise UserError(f"{made.target} cannot be written ({error.strerror}): make room, or give another folder") from None
    except ValueError as error:  # of encoders with bounds of their own: 65,535 pixels a side for JPEG, 16,383 for WebP
        made.reason = f"{made.photo}: {made.target} cannot be encoded ({error}): choose another format"
        return made
    if small_px:
        made.small = (arrays.shrink(photo.picture, small_px), arrays.shrink(np.ascontiguousarray(result[..., :3]), small_px))
    return made


# Files


@dataclass
class Report:
    """What became of each file."""

    done: list[tuple[Path, Path]] = field(default_factory=list)
    """Photo and result."""
    broken: list[tuple[Path, str]] = field(default_factory=list)
    """Photo and why it could not be redrawn."""
    skipped: list[tuple[Path, Path]] = field(default_factory=list)
    """Photo and result that an earlier run made of the same photo by the same model with the same options."""


def redraw_files(
    inputs: Sequence[Path],
    out: Path,
    stylizer: Redraws | Callable[[Picture], Picture],
    *,
    format: Format = "png",
    look: Look | None = None,
    overwrite: bool = False,
    max_megapixels: float = images.DEFAULT_MAX_MEGAPIXELS,
    films: RedrawsFilms | None = None,
    exact: bool = False,
) -> Report:
    """Redraw files, all pictures of folders (their tree is kept), and what patterns match, into the folder `out`.

    A picture that cannot be read or redrawn is reported by one line and left out; the others go on. Each result is written
    whole or not at all. No input is ever written over. What `out`'s journal says an earlier run made of the same photo, model
    and options is left as it is, so a run that was stopped goes on where it was.

    Args:
        format: of the results; same: as the input where that can be written, else PNG.
        overwrite: make anew and replace what is there; without it a result that is no earlier one is a UserError, before any work.
        films: what redraws films, after the pictures; None passes them over.
        exact: never let a stylizer that can be hastened be (see `OpenVinoStylizer.accelerate`).

    Raises:
        UserError: an input does not exist or holds no pictures, a result would lie over an input or an existing file, or the
            folder cannot be written to.
    """
    look = look or Look()
    moving = films.suffixes if films else frozenset[str]()
    inputs = matched(inputs, moving)
    plan = _plan(inputs, out, format, films)
    _refuse_inputs(plan, inputs, out)
    if isinstance(stylizer, Accelerates) and not exact:
        # Of all, done or not: a run that is taken up again draws as it began.
        stylizer.accelerate(
            sum(films.megapixels(one) if films and _moves(one, moving) else images.megapixels_of(one) for one, _ in plan)
        )
    who = getattr(stylizer, "identity", None) or secrets.token_hex(16)  # of a stranger nothing is known to be done
    how = f"{who} {json.dumps(asdict(look), sort_keys=True)}"
    hows = {photo: f"{how} {films.how}" if films and _moves(photo, moving) else how for photo, _ in plan}
    journal = _ResultLog(out)
    todo: list[tuple[Path, Path]] = []
    report = Report()
    for photo, target in plan:
        done = not overwrite and os.path.lexists(target) and journal.has(photo, target, hows[photo])
        (report.skipped if done else todo).append((photo, target))
    _refuse_existing([target for _, target in todo], overwrite)
    if report.skipped:
        log.info("%d of %d are done already", len(report.skipped), len(plan))
    redraws = cast(Redraws, stylizer) if hasattr(stylizer, "batch") else _OneByOne(stylizer)
    still = [(photo, target) for photo, target in todo if not _moves(photo, moving)]
    made = progress(redraw(still, redraws, look, max_megapixels), "redraw", "photos", len(still)) if still else ()
    if films:
        made = itertools.chain(made, _redraw_films([one for one in todo if one not in still], redraws, look, films, hows))
    for one in made:
        if one.digest is None:
            reason = one.reason or ""
            log.warning("%s", reason)
            report.broken.append((one.photo, reason))
        else:
            journal.add(one, hows[one.photo])
            report.done.append((one.photo, one.target))
    return report


def _moves(file: Path, moving: frozenset[str]) -> bool:
    return file.suffix.lower() in moving


def _redraw_films(
    plan: Sequence[tuple[Path, Path]], redraws: Redraws, look: Look, films: RedrawsFilms, hows: Mapping[Path, str]
) -> Iterator[Made]:
    for film, target in plan:
        made = Made(film, target)
        try:
            made.digest = films.redraw(film, target, redraws, look, hows[film])
        except UserError as fault:
            made.reason = _naming(film, fault)
        yield made


class _OneByOne:
    def __init__(self, work: Callable[[Picture], Picture]) -> None:
        self._work = work

    def batch(self, pictures: Sequence[Picture]) -> list[Picture]:
        return [self._work(picture) for picture in pictures]


class _ResultLog:
    """What of a folder of results was made of what, a line a result; the last of a result counts.

    By content: a photo that was touched, moved or copied is the same, one that was edited is not; a result that somebody
    painted over is theirs.
    """

    def __init__(self, out: Path) -> None:
        self._out, self._file = out, out / JOURNAL
        self._lines: dict[str, dict[str, str]] = {}
        self._torn = False
        if self._file.is_file():
            text = self._file.read_text("utf-8", errors="replace")
            self._torn = bool(text) and not text.endswith("\n")  # a power cut
            for line in text.splitlines():
                try:
                    entry = json.loads(line)
                    self._lines[entry["result"]] = entry
                except (ValueError, KeyError, TypeError):
                    continue

    def has(self, photo: Path, target: Path, how: str) -> bool:
        """Whether the target, as it lies there, was made of this photo in this way."""
        entry = self._lines.get(target.relative_to(self._out).as_posix())
        return (
            entry is not None
            and entry.get("how") == files.digest(how.encode())
            and target.is_file()
            and entry.get("digest") == files.digest(target)
            and entry.get("photo") == files.digest(photo)
        )

    def add(self, made: Made, how: str) -> None:
        """Note a result that is written."""
        entry = {"result": made.target.relative_to(self._out).as_posix(), "digest": made.digest}
        entry |= {"photo": files.digest(made.photo), "how": files.digest(how.encode())}
        with self._file.open("a", encoding="utf-8") as file:  # one write a line, which is whole or the last
            file.write("\n" * self._torn + json.dumps(entry, ensure_ascii=False) + "\n")
        self._torn = False


def matched(inputs: Sequence[Path], films: frozenset[str] = frozenset()) -> list[Path]:
    """Patterns (`*`, `?`, `[a-z]`, `**` for folders within folders) replaced by what they match; other paths as they are."""
    found: list[Path] = []
    for one in inputs:
        if one.exists() or not glob.has_magic(str(one)):
            found.append(one)
            continue
        there = [Path(name) for name in sorted(glob.glob(str(one), recursive=True))]
        pictures = [path for path in there if path.suffix.lower() in images.SUFFIXES | films or path.is_dir()]
        if "**" in str(one):  # which matches every folder too, whose pictures it then matches one by one
            pictures = [path for path in pictures if not path.is_dir()]
        if not pictures:
            raise UserError(f"{one} matches no picture: mend the pattern, or name a folder")
        found += pictures
    return found


def beside(left: Picture, right: Picture) -> Picture:
    """Two pictures of one height side by side, with a dark gap."""
    gap = np.full((left.shape[0], GAP_PX, left.shape[2]), 24 if left.shape[2] == 3 else 255, np.uint8)
    return np.concatenate([left, gap, right], axis=1)


def name_results(
    names: Iterable[PurePosixPath], format: Format = "png", films: RedrawsFilms | None = None
) -> list[PurePosixPath]:
    """A result's relative path for each photo's, in order, no two alike even where upper and lower case are one.

    `a.jpg` becomes `a.png`. Where that would meet another result, both keep their suffix (`a.jpg.png`, `a.tif.png`); what
    is left is numbered (`a-2.png`).
    """
    photos = list(names)
    simple = [photo.with_name(photo.stem + _suffix(photo, format, films)) for photo in photos]
    meets = Counter(_key(name) for name in simple)
    taken: set[str] = set()
    results = []
    for photo, name in zip(photos, simple, strict=True):
        result = photo.with_name(photo.name + _suffix(photo, format, films)) if meets[_key(name)] > 1 and photo.suffix else name
        number, stem = 2, result.stem
        while _key(result) in taken or (result != name and meets[_key(result)]):
            result = result.with_name(f"{stem}-{number}{result.suffix}")
            number += 1
        taken.add(_key(result))
        results.append(result)
    return results


def _suffix(photo: PurePosixPath, format: Format, films: RedrawsFilms | None) -> str:
    if films and photo.suffix.lower() in films.suffixes:
        return films.suffix(photo)
    if format == "same":
        return photo.suffix.lower() if photo.suffix.lower() in WRITABLE else ".png"
    return f".{format}"


def _key(name: PurePosixPath) -> str:
    return unicodedata.normalize("NFC", str(name)).casefold()


def _plan(inputs: Sequence[Path], out: Path, format: Format, films: RedrawsFilms | None) -> list[tuple[Path, Path]]:
    """Every photo to be redrawn, once, with the place of its result."""
    several, within = len(inputs) > 1, out.resolve()
    found: dict[Path, tuple[Path, PurePosixPath]] = {}
    earlier = 0
    for root in inputs:
        folder = root.is_dir()
        for photo in _find(root, films.suffixes if films else frozenset()):
            place = photo.resolve()
            if folder and place.is_relative_to(within) and not root.resolve().is_relative_to(within):
                earlier += 1
                continue
            name = PurePosixPath(photo.relative_to(root).as_posix() if folder else photo.name)
            found.setdefault(place, (photo, root.resolve().name / name if folder and several else name))
        if folder:
            _tell_passed_over(root, images.SUFFIXES | (films.suffixes if films else frozenset()))
    if earlier:
        log.info("%d pictures in %s are taken for earlier results and passed over", earlier, out)
    photos = list(found.values())
    results = name_results((name for _, name in photos), format, films)
    return [(photo, out / result) for (photo, _), result in zip(photos, results, strict=True)]


def _find(root: Path, films: frozenset[str]) -> list[Path]:
    """The pictures of a folder, as `images.find`, and its films."""
    if not root.exists():
        raise UserError(f"{root} does not exist: give a picture{', a film' if films else ''}, a folder or a pattern")
    if not root.is_dir():
        return [root]
    moving = [
        path
        for path in root.rglob("*")
        if path.suffix.lower() in films
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    ]
    return sorted(images.find(root, allow_empty=bool(moving)) + moving)


def _tell_passed_over(root: Path, suffixes: frozenset[str]) -> None:
    """One line on the files of a folder that are none we redraw, by their suffix: raw files, music."""
    kinds = Counter(
        path.suffix.lower() or "no suffix"
        for path in root.rglob("*")
        if path.suffix.lower() not in suffixes and path.is_file() and not path.name.startswith(".")
    )
    if kinds:
        text = ", ".join(f"{count} {suffix}" for suffix, count in kinds.most_common(6))
        log.info("%s: passed over %d files that are no pictures we read (%s)", root, kinds.total(), text)


def _refuse_inputs(plan: Sequence[tuple[Path, Path]], inputs: Sequence[Path], out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file: give a folder for the results")
    for root in inputs:
        if root.is_dir() and root.resolve() == out.resolve():
            raise UserError(f"{out} is a folder of photos to redraw: give another folder, so that no photo is written over")
    photos = {photo.resolve() for photo, _ in plan}
    for _, target in plan:
        if target.resolve() in photos:
            raise UserError(f"{target} is a photo to redraw: give another folder, so that it is not written over")


def _refuse_existing(targets: Sequence[Path], overwrite: bool) -> None:
    there = [target for target in targets if os.path.lexists(target)]
    if there and not overwrite:
        more = f" (and {len(there) - 1} more)" if len(there) > 1 else ""
        raise UserError(f"{there[0]}{more} exists already: give another folder, or --overwrite")
