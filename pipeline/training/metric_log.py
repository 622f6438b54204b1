"""What a run has measured, step by step, and the files that show it."""

from __future__ import annotations

import math
import os
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
    """What a run has measured, as the TSV files that `dvc plots` reads; it goes into checkpoints with the rest."""

    rows: list[tuple[int, Numbers]] = field(default_factory=list)
    """Images seen, and numbers by name, such as train/content."""
    pending: list[Numbers] = field(default_factory=list)
    """Terms of the steps since the last row of training."""
    _window: list[tuple[int, Terms]] = field(default_factory=list)

    def note(self, images_seen: int, terms: Terms) -> None:
        """Take a step's terms; they stay on the device until `settle`, so that no step waits for the last."""
        self._window.append((images_seen, terms))

    def settle(self) -> tuple[int, str] | None:
        """Fetch the terms noted; the first that is not finite, if any, as (images seen, name)."""
        if not self._window:
            return None
        names = list(self._window[0][1])
        table = torch.stack([torch.stack([terms[name].float() for name in names]) for _, terms in self._window])
        process_group.current().average([table])
        values = table.tolist()
        seen = [images_seen for images_seen, _ in self._window]
        self._window.clear()
        for images_seen, row in zip(seen, values, strict=True):
            self.pending.append(dict(zip(names, row, strict=True)))
            for name, value in self.pending[-1].items():
                if not math.isfinite(value):
                    return images_seen, name
        return None

    def mean(self) -> Numbers:
        """The means of the settled terms, which are then done with."""
        count = max(len(self.pending), 1)
        means = {name: math.fsum(row[name] for row in self.pending) / count for name in (self.pending or [{}])[0]}
        self.pending.clear()
        return means

    def log(self, images_seen: int, group: str, numbers: Mapping[str, float]) -> None:
        """Add a row of numbers under a group, such as train or val."""
        self.rows.append((images_seen, {f"{group}/{name}": value for name, value in numbers.items()}))

    def series(self, name: str) -> list[tuple[int, float]]:
        """One number over the run."""
        return [(images_seen, row[name]) for images_seen, row in self.rows if name in row]

    def latest(self, group: str) -> Numbers:
        """The last value of each number of a group, by its name in the group."""
        merged: Numbers = {}
        for _, row in self.rows:
            merged |= row
        return {name.removeprefix(f"{group}/"): value for name, value in merged.items() if name.startswith(f"{group}/")}

    def write(self, folder: Path) -> None:
        """Write the files that DVCLive would: plots/metrics/GROUP/NAME.tsv, and metrics.json with the last of each.

        DVCLive itself stops in a git repository without commits, and would play a long history back number by number
        after each resume.
        """
        latest: dict[str, Any] = {}
        for path in sorted({name for _, row in self.rows for name in row}):
            group, name = path.split("/")
            points = self.series(path)
            file = folder / "plots" / "metrics" / group / f"{name}.tsv"
            file.parent.mkdir(parents=True, exist_ok=True)
            lines = [f"step\t{name}", *(f"{step}\t{value:.6g}" for step, value in points)]
            aside = file.with_name(f".{file.name}")
            aside.write_text("\n".join(lines) + "\n", "utf-8")
            os.replace(aside, file)  # who looks on while it runs sees the old file or the new one
            latest.setdefault(group, {})[name] = float(f"{points[-1][1]:.6g}")
        latest["step"] = self.rows[-1][0] if self.rows else 0
        folder.mkdir(parents=True, exist_ok=True)
        files.write_json(folder / "metrics.json", latest)
