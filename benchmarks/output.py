"""The form in which benchmarks print their results."""

from __future__ import annotations

import json
import os


def print_result(
    metric: str,
    value: float | None,
    unit: str,
    baseline: float | None = None,
    ratio: float | None = None,
    notes: str = "",
    device: str | None = None,
) -> None:
    """Print one JSON line with four significant digits; `ratio` says how many times better than the baseline it is.

    Args:
        value: None if it could not be measured; `notes` say why.
        device: what it was measured on; the number of processors if None.
    """
    rounded = [None if number is None else float(f"{number:.4g}") for number in (value, baseline, ratio)]
    line = {"metric": metric, "value": rounded[0], "unit": unit, "baseline": rounded[1], "ratio": rounded[2]}
    print(json.dumps({**line, "device": device or f"cpu x{os.cpu_count()}", "notes": notes}), flush=True)


def print_gpu_result(
    metric: str, value: float, unit: str, baseline: float | None = None, ratio: float | None = None, notes: str = ""
) -> None:
    """Print a result with the GPU's name, if there is one."""
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    print_result(metric, value, unit, baseline, ratio, notes, device)
