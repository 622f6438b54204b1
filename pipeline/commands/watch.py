"""`genga watch`: a training in the terminal, from the plain files that it writes while it runs."""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pipeline.core.errors import UserError
from pipeline.training import diagnostics, progress
from pipeline.training.progress import Progress

RECENT = 5  # log lines in a recent mean
SPARKS = "▁▂▃▄▅▆▇█"
SPARK_COUNT = 24
NOTHING = "no training has begun here: dvc repro starts one (GENGA_WORK, by default .work, is where it is looked for)"


@dataclass(frozen=True)
class Term:
    """A number's course."""

    name: str
    values: Sequence[float]

    def recent(self) -> float:
        """The mean of the last log lines."""
        return math.fsum(self.values[-RECENT:]) / len(self.values[-RECENT:])

    def before(self) -> float | None:
        """The mean of as many before those."""
        earlier = self.values[-2 * RECENT : -RECENT]
        return math.fsum(earlier) / len(earlier) if earlier else None


@dataclass(frozen=True)
class Seen:
    """What there is to show."""

    progress: Progress
    running: bool | None
    terms: Sequence[Term]
    judged: Sequence[Term]
    """The same on validation photos."""
    warnings: Sequence[str]
    """Names of what the guards found at their last look."""
    sample: Path | None


def look(data: Path) -> Seen | None:
    """The training last heard of; `data` is the folder data/ that its results go to."""
    newest = progress.newest()
    if newest is None:
        return None
    curves = progress.folder_of(newest.stage) / "plots" / "metrics"
    warned = [term.name for term in _terms(curves / "diagnostics") if term.values[-1] > 0]
    folder = data / newest.stage if newest.finished else Path(newest.work)
    return Seen(
        newest,
        newest.running(),
        _terms(curves / "train"),
        _terms(curves / "val"),
        [name for name in warned if name in diagnostics.ADVICE],
        max((folder / "samples").glob("*.jpg"), default=None),
    )


def _terms(folder: Path) -> list[Term]:
    found = [Term(path.stem, _values(path)) for path in sorted(folder.glob("*.tsv"))]
    return sorted((term for term in found if term.values), key=lambda term: term.name.startswith("discriminator_"))


def _values(path: Path) -> list[float]:
    """The numbers of a curve; a line that is none is passed over."""
    values = []
    try:
        lines = path.read_text("utf-8", errors="replace").splitlines()[1:]
    except OSError:  # a new run has just cleared it away
        return []
    for line in lines:
        with contextlib.suppress(ValueError):
            values.append(float(line.rpartition("\t")[2]))
    return values


def spark(values: Sequence[float]) -> str:
    """A curve as a row of blocks, from its lowest to its highest; long ones by the means of equal stretches."""
    sound = [value / len(values) for value in values if math.isfinite(value)]  # none so large that their sums overflow
    count = min(len(sound), SPARK_COUNT)
    edges = [len(sound) * index // max(count, 1) for index in range(count + 1)]
    means = [math.fsum(sound[a:b]) / (b - a) for a, b in itertools.pairwise(edges)]
    if not means:
        return ""
    low, high = min(means), max(means)
    steps = len(SPARKS) - 1
    return "".join(SPARKS[round(steps * ((mean - low) / (high - low))) if high > low else 0] for mean in means)


def duration(seconds: float) -> str:
    """Seconds as people say them: 45 s, 12 min, 3 h 20 min."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def state(seen: Seen, now_s: float) -> str:
    """Where the training is, in a line."""
    progress, left = seen.progress, seen.progress.images - seen.progress.images_seen
    ago = duration(max(now_s - progress.written_s, 0.0))
    if progress.finished:
        return f"finished {ago} ago, {progress.images_per_s:.3g} images/s"
    if seen.running is False:
        return f"stopped {ago} ago: dvc repro goes on from its last checkpoint"
    remaining = f"{duration(left / progress.images_per_s)} to go" if progress.images_per_s > 0 else "beginning"
    where = "" if seen.running else f" on {progress.machine}"
    return f"{progress.images_per_s:.3g} images/s, {remaining}, last heard of {ago} ago{where}"


def draw(seen: Seen | None, now_s: float) -> RenderableType:
    """What is shown."""
    if seen is None:
        return Text(NOTHING)
    progress = seen.progress
    head = Table.grid(padding=(0, 1))
    head.add_row(
        Text(progress.stage, style="bold"),
        ProgressBar(progress.images, min(progress.images_seen, progress.images), width=30),
        Text(f"{progress.images_seen} of {progress.images} images"),
    )
    parts: list[RenderableType] = [head, Text(state(seen, now_s))]
    parts += [_table(title, terms) for title, terms in (("training", seen.terms), ("validation", seen.judged)) if terms]
    parts += [Text(f"! {diagnostics.ADVICE[name]}", style="yellow") for name in seen.warnings]
    if seen.sample is not None:
        parts.append(Text(f"newest samples: {seen.sample}", overflow="fold"))
    return Group(*parts)


def _table(title: str, terms: Sequence[Term]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(title)
    table.add_column(f"last {RECENT}", justify="right")
    table.add_column("before", justify="right", style="dim")
    table.add_column("whole run")
    for term in terms:
        before = term.before()
        table.add_row(term.name, f"{term.recent():.4g}", "" if before is None else f"{before:.4g}", spark(term.values))
    return table


def show(data: Path, once: bool, every_s: float) -> None:
    """Show the training last heard of, until Ctrl-C.

    Args:
        once: print and leave.

    Raises:
        UserError: nothing has trained here yet, and it is to be shown once.
    """
    console = Console(highlight=False)
    if once:
        seen = look(data)
        if seen is None:
            raise UserError(NOTHING)
        console.print(draw(seen, time.time()))
        return
    with contextlib.suppress(KeyboardInterrupt), Live(console=console, auto_refresh=False) as screen:
        while True:
            screen.update(draw(look(data), time.time()), refresh=True)
            time.sleep(every_s)
