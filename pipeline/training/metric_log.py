"""Numbers measured during a run, and the files that show them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.core import files
from pipeline.core.stage import Numbers
from pipeline.networks import process_group

Terms = dict[str, Tensor]


@dataclass
class MetricLog:
    """Numbers measured during a run, written as the TSV files that `dvc plots` reads; saved in checkpoints."""

    rows: list[tuple[int, Numbers]] = field(default_factory=list)
    """Images seen, and numbers by GROUP/NAME, such as train/content."""
    unlogged: list[Numbers] = field(default_factory=list)
    """Terms of the steps since the last row of group train."""
    _on_device: list[tuple[int, Terms]] = field(default_factory=list)

    def add_step(self, images_seen: int, terms: Terms) -> None:
        """Add the terms of a step; they stay on the device until `fetch_steps`, so that no step waits for the one before."""
        self._on_device.append((images_seen, terms))

    def fetch_steps(self) -> tuple[int, str] | None:
        """Fetch the steps' terms, averaged over processes; return images seen and name of the first not finite, or None."""
        if not self._on_device:
            return None
        names = list(self._on_device[0][1])
        table = torch.stack([torch.stack([terms[name].float() for name in names]) for _, terms in self._on_device])
        process_group.current().average([table])
        values = table.tolist()
        seen = [images_seen for images_seen, _ in self._on_device]
        self._on_device.clear()
        for images_seen, row in zip(seen, values, strict=True):
            self.unlogged.append(dict(zip(names, row, strict=True)))
            for name, value in self.unlogged[-1].items():
                if not math.isfinite(value):
                    return images_seen, name
        return None

    def log_means(self, images_seen: int) -> Numbers:
        """Add a row of group train, the means of the terms fetched since the last such row (at least one step); return it."""
        count = len(self.unlogged)
        means = {name: math.fsum(row[name] for row in self.unlogged) / count for name in self.unlogged[0]}
        self.unlogged.clear()
        self.log(images_seen, "train", means)
        return means

    def log(self, images_seen: int, group: str, numbers: Mapping[str, float]) -> None:
        """Add a row of numbers of a group, such as train or val."""
        self.rows.append((images_seen, {f"{group}/{name}": value for name, value in numbers.items()}))

    def series(self, name: str) -> list[tuple[int, float]]:
        """Return one number (GROUP/NAME) over the run: pairs of images seen and value."""
        return [(images_seen, row[name]) for images_seen, row in self.rows if name in row]

    def latest(self, group: str) -> Numbers:
        """Return the last value of each number of a group, by its name in the group."""
        merged: Numbers = {}
        for _, row in self.rows:
            merged |= row
        return {name.removeprefix(f"{group}/"): value for name, value in merged.items() if name.startswith(f"{group}/")}

    def write(self, folder: Path) -> None:
        """Write the files that DVCLive would: plots/metrics/GROUP/NAME.tsv, and metrics.json with the last value of each.

        DVCLive itself fails in a git repository without commits, and would have to replay the whole history, number by number,
        after each resume.
        """
        latest: dict[str, Any] = {}
        for path in sorted({name for _, row in self.rows for name in row}):
            group, name = path.split("/")
            points = self.series(path)
            file = folder / "plots" / "metrics" / group / f"{name}.tsv"
            file.parent.mkdir(parents=True, exist_ok=True)
            lines = [f"step\t{name}", *(f"{step}\t{value:.6g}" for step, value in points)]
            files.replace_text(file, "\n".join(lines) + "\n")
            latest.setdefault(group, {})[name] = float(f"{points[-1][1]:.6g}")
        latest["step"] = self.rows[-1][0] if self.rows else 0
        folder.mkdir(parents=True, exist_ok=True)
        files.write_json(folder / "metrics.json", latest)
