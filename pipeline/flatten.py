"""Stage: the twin of every photo square as the film would show it, by the choice of stage `aim` (pipeline/targets.py).

python -m pipeline.flatten NAME        NAME as under footage: in params.yaml, or photos
"""

from __future__ import annotations

import functools
from pathlib import Path

from pipeline import manifest, stage, targets, twins
from pipeline.params import Params


def run(params: Params, out: Path, source: str, data: Path = stage.DATA) -> dict[str, float]:
    """Write the twin of every photo square of a source under the square's own name, manifest.jsonl, and a sheet of pairs.

    With the filter none there are none: nobody asks for them.
    """
    if params.flatten.filter == "none":
        manifest.write(out, [])
        return {"twins": 0}
    squares = manifest.kept(manifest.read(data / "crop" / stage.ABOUT / "photo" / source))
    draw = functools.partial(targets.redraw, aim=targets.chosen(params, data))
    return {"twins": twins.make(f"flatten/{source}", squares, draw, out, data, params.workers)}


if __name__ == "__main__":
    stage.main_of_source("flatten", run, "a name under footage: in params.yaml, or photos")
