"""`genga watch`: shows the progress of a training in the terminal, read from the files that it writes while it runs."""

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

RECENT = 5  # log lines in the mean that is shown
SPARKS = "▁▂▃▄▅▆▇█"
SPARK_COUNT = 24
NOTHING = "no training has started here: dvc repro train starts one (looked for in GENGA_WORK, by default .work)"


@dataclass(frozen=True)
class Curve:
    """The logged values of a metric."""

    name: str
    values: Sequence[float]

    def recent(self) -> float:
        """Return the mean of the last RECENT values, of which there has to be one at least."""
        return math.fsum(self.values[-RECENT:]) / len(self.values[-RECENT:])

    def before(self) -> float | None:
        """Return the mean of the up to RECENT values before those of `recent`; None if there are none."""
        earlier = self.values[-2 * RECENT : -RECENT]
        return math.fsum(earlier) / len(earlier) if earlier else None


@dataclass(frozen=True)
class Snapshot:
    """The state of a training at one moment."""

    progress: Progress
    running: bool | None
    training: Sequence[Curve]
    validation: Sequence[Curve]
    warnings: Sequence[str]
    """Names of the diagnostics that warned when they were last computed."""
    sample: Path | None


def take_snapshot(data: Path) -> Snapshot | None:
    """Read the state of the most recent training; None if there is none.

    Args:
        data: the folder data/, which holds the results of a finished training.
    """
    newest = progress.read_newest()
    if newest is None:
        return None
    curves = progress.folder_of(newest.stage) / "plots" / "metrics"
    warned = [curve.name for curve in _read_curves(curves / "diagnostics") if curve.values[-1] > 0]
    folder = data / newest.stage if newest.finished else Path(newest.work)
    return Snapshot(
        newest,
        newest.running(),
        _read_curves(curves / "train"),
        _read_curves(curves / "val"),
        [name for name in warned if name in diagnostics.ADVICE],
        max((folder / "samples").glob("*.jpg"), default=None),
    )


def _read_curves(folder: Path) -> list[Curve]:
    """Read all curves of a folder, by name, those of the discriminator last."""
    found = [Curve(path.stem, _read_values(path)) for path in sorted(folder.glob("*.tsv"))]
    return sorted((curve for curve in found if curve.values), key=lambda curve: curve.name.startswith("discriminator_"))


def _read_values(path: Path) -> list[float]:
    """Read the values of a curve; lines that are incomplete are skipped."""
    values = []
    try:
        lines = path.read_text("utf-8", errors="replace").splitlines()[1:]
    except OSError:  # a new run has just removed it
        return []
    for line in lines:
        with contextlib.suppress(ValueError):
            values.append(float(line.rpartition("\t")[2]))
    return values


def sparkline(values: Sequence[float]) -> str:
    """Draw a curve's finite values as at most `SPARK_COUNT` block characters, each the mean of a part; "" if there are none."""
    finite = [value / len(values) for value in values if math.isfinite(value)]  # scaled, so that sums do not overflow
    count = min(len(finite), SPARK_COUNT)
    edges = [len(finite) * index // max(count, 1) for index in range(count + 1)]
    means = [math.fsum(finite[a:b]) / (b - a) for a, b in itertools.pairwise(edges)]
    if not means:
        return ""
    low, high = min(means), max(means)
    steps = len(SPARKS) - 1
    return "".join(SPARKS[round(steps * ((mean - low) / (high - low))) if high > low else 0] for mean in means)


def format_duration(seconds: float) -> str:
    """Format seconds for people: 45 s, 12 min, 3 h 20 min."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def status(snapshot: Snapshot, now_s: float) -> str:
    """Describe in one line whether the training runs, how fast, and when it will end; `now_s` is time.time()."""
    progress = snapshot.progress
    left = progress.images - progress.images_seen
    ago = format_duration(max(now_s - progress.written_s, 0.0))
    if progress.finished:
        return f"finished {ago} ago, {progress.images_per_s:.3g} images/s"
    if snapshot.running is False:
        return f"stopped {ago} ago: dvc repro {progress.stage} resumes from its last checkpoint"
    remaining = f"{format_duration(left / progress.images_per_s)} to go" if progress.images_per_s > 0 else "starting"
    where = "" if snapshot.running else f" on {progress.machine}"
    return f"{progress.images_per_s:.3g} images/s, {remaining}, updated {ago} ago{where}"


def render(snapshot: Snapshot | None, now_s: float) -> RenderableType:
    """Lay out a snapshot for the terminal; None says that no training has started. `now_s` is time.time()."""
    if snapshot is None:
        return Text(NOTHING)
    progress = snapshot.progress
    head = Table.grid(padding=(0, 1))
    head.add_row(
        Text(progress.stage, style="bold"),
        ProgressBar(progress.images, min(progress.images_seen, progress.images), width=30),
        Text(f"{progress.images_seen} of {progress.images} images"),
    )
    parts: list[RenderableType] = [head, Text(status(snapshot, now_s))]
    parts += [
        _table(title, curves)
        for title, curves in (("training", snapshot.training), ("validation", snapshot.validation))
        if curves
    ]
    parts += [Text(f"! {diagnostics.ADVICE[name]}", style="yellow") for name in snapshot.warnings]
    if snapshot.sample is not None:
        parts.append(Text(f"newest samples: {snapshot.sample}", overflow="fold"))
    return Group(*parts)


def _table(title: str, curves: Sequence[Curve]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(title)
    table.add_column(f"last {RECENT}", justify="right")
    table.add_column("before", justify="right", style="dim")
    table.add_column("whole run")
    for curve in curves:
        before = curve.before()
        table.add_row(curve.name, f"{curve.recent():.4g}", "" if before is None else f"{before:.4g}", sparkline(curve.values))
    return table


def show(data: Path, once: bool, every_s: float) -> None:
    """Show the most recent training, until Ctrl-C.

    Args:
        data: the folder data/.
        once: print it once and return.
        every_s: seconds between updates.

    Raises:
        UserError: `once`, and no training has started here yet.
    """
    console = Console(highlight=False)
    if once:
        snapshot = take_snapshot(data)
        if snapshot is None:
            raise UserError(NOTHING)
        console.print(render(snapshot, time.time()))
        return
    with contextlib.suppress(KeyboardInterrupt), Live(console=console, auto_refresh=False) as screen:
        while True:
            screen.update(render(take_snapshot(data), time.time()), refresh=True)
            time.sleep(every_s)
