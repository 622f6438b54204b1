"""`genga stylize`: redraws photos and films, and does only what is missing."""

import functools
import itertools
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from pipeline.core.errors import UserError, log
from pipeline.core.stage import progress
from pipeline.film import videos
from pipeline.film.remux import FORMATS
from pipeline.film.videos import VideoOptions
from pipeline.inference import inputs
from pipeline.inference.photos import Result, stylize_photos
from pipeline.inference.render_options import RenderOptions
from pipeline.inference.result_log import HIDDEN_FILE, ResultLog
from pipeline.inference.stylizer import Stylizer
from pipeline.media import images, kinds

Format = Literal["png", "jpg", "webp", "avif", "tif", "same"]


@dataclass
class Report:
    """What became of each file."""

    done: list[tuple[Path, Path]] = field(default_factory=list)
    """Source and result."""
    skipped: list[tuple[Path, Path]] = field(default_factory=list)
    """Source and result, which an earlier run made from the same source with the same model and options."""
    failed: list[tuple[Path, str]] = field(default_factory=list)
    """Source and error."""

    def summary(self, out: Path | None) -> str:
        """Return the counts in one line, with `out`; or without it the result's path, if there is one result."""
        skipped = f", {len(self.skipped)} were done already" if self.skipped else ""
        failed = f", {len(self.failed)} failed" if self.failed else ""
        if out is None:
            targets = [target for _, target in self.done + self.skipped]
            place = f": {targets[0]}" if len(targets) == 1 else " beside their photos"
        else:
            place = f" into {out}"
        return f"{len(self.done)} redrawn{place}{skipped}{failed}"


def stylize_files(
    paths: Sequence[Path],
    out: Path | None,
    open_stylizer: Callable[[float], Stylizer],
    *,
    format: Format = "png",
    render: RenderOptions | None = None,
    film: VideoOptions | None = None,
    overwrite: bool = False,
    network_megapixels: float = math.inf,
) -> Report:
    """Redraw files, all pictures and films of folders, and what patterns match.

    A file that cannot be read or redrawn is reported in one line and the others go on. Each result is written whole or not
    at all, and no input is ever overwritten.

    Args:
        out: folder for the results, or (for one source) the file to write; None to write each result beside its source.
        open_stylizer: given the megapixels that go through the network in all, returns the stylizer to use.
        format: of the pictures, unless `out` is a file; "same": as the input if that can be written, else PNG.
        overwrite: redraw and replace everything that is there.
        network_megapixels: most megapixels of a picture that go through the network.

    Raises:
        UserError: an input does not exist or holds nothing to redraw; a result would overwrite an input, or (unless
            `overwrite`) a file that is no earlier result; `out` is a file and there are several sources; or it
            cannot be written.
    """
    render, film = render or RenderOptions(), film or VideoOptions()
    plan = inputs.plan(paths, out, lambda path: _result_suffix(path, format))
    if out is not None and inputs.is_file(out):
        _check_suffix(plan[0][0], out)
    # Counts files that are done already too: a run that is resumed uses the same arithmetic as when it began.
    stylizer = open_stylizer(sum(_megapixels(source, network_megapixels) for source, _ in plan))
    for_photos = f"{stylizer.identity} {json.dumps(asdict(render), sort_keys=True)}"
    for_films = f"{for_photos} {json.dumps(asdict(film), sort_keys=True)}"

    def made_by(source: Path) -> str:
        return for_films if _is_film(source) else for_photos

    log_of = _result_logs(out)

    def record(source: Path, target: Path, digest: str) -> None:
        log_of(target).add(source, target, digest, made_by(source))

    report = Report()
    todo: list[tuple[Path, Path]] = []
    for source, target in plan:
        done = not overwrite and os.path.lexists(target) and log_of(target).contains(source, target, made_by(source))
        (report.skipped if done else todo).append((source, target))
    existing = [target for _, target in todo if os.path.lexists(target)]
    if existing and not overwrite:
        more = f" (and {len(existing) - 1} more)" if len(existing) > 1 else ""
        raise UserError(f"{existing[0]}{more} exists already: give another folder or file (-o), or --overwrite")
    if report.skipped:
        log.info("%d of %d are done already", len(report.skipped), len(plan))
    photos = [job for job in todo if not _is_film(job[0])]
    films = [job for job in todo if _is_film(job[0])]
    made: Iterable[Result] = stylize_photos(photos, stylizer, render, before_visible=record)
    if photos:
        made = progress(made, "redraw", "photos", len(photos))
    for result in itertools.chain(made, _stylize_films(films, stylizer, render, film, for_films, record)):
        if result.digest is None:
            log.warning("%s", result.error)
            report.failed.append((result.source, str(result.error)))
        else:
            report.done.append((result.source, result.target))
    return report


def _stylize_films(
    plan: Sequence[tuple[Path, Path]],
    stylizer: Stylizer,
    render: RenderOptions,
    options: VideoOptions,
    made_by: str,
    record: Callable[[Path, Path, str], None],
) -> Iterator[Result]:
    for source, target in plan:
        result = Result(source, target)
        try:
            result.digest = videos.stylize_video(source, target, stylizer, render, options, made_by, record)
        except UserError as error:
            result.fail(error)
        yield result


def _result_logs(out: Path | None) -> Callable[[Path], ResultLog]:
    """Return a function that gives the log of a result: one of the folder for results, or a hidden one in each other folder."""
    if out is not None and not inputs.is_file(out):
        of_folder = ResultLog(out)
        return lambda target: of_folder
    log_in = functools.cache(lambda folder: ResultLog(folder, HIDDEN_FILE))
    return lambda target: log_in(target.parent)


def _check_suffix(source: Path, out: Path) -> None:
    kind, writable = ("films", FORMATS) if _is_film(source) else ("photos", images.WRITABLE_SUFFIXES)
    if out.suffix.lower() not in writable:
        raise UserError(f"{out}: {kind} are written as {', '.join(sorted(writable))}: choose one of these")


def _is_film(path: Path) -> bool:
    return kinds.kind(path) == "film"


def _megapixels(path: Path, most: float) -> float:
    return videos.total_megapixels(path, most) if _is_film(path) else min(images.megapixels_of(path), most)


def _result_suffix(path: Path, format: Format) -> str:
    suffix = path.suffix.lower()
    if _is_film(path):
        return videos.result_suffix(path)
    if format == "same":
        return suffix if suffix in images.WRITABLE_SUFFIXES else ".png"
    return f".{format}"
