"""Stage: the twin of every photo crop as the film would show it, by the choice of stage `aim` (pipeline/filters/pseudo_target.py).

python -m pipeline.pseudo_targets NAME        NAME as under footage: in params.yaml, or photos
"""

from __future__ import annotations

import functools
from pathlib import Path

from pipeline.core import manifest, stage
from pipeline.dataset import pairs
from pipeline.filters import pseudo_target
from pipeline.params.schema import Params, load


def run(params: Params, out: Path, source: str, data: Path = stage.DATA) -> dict[str, float]:
    """Write the twin of every photo crop of a source under the crop's own name, manifest.jsonl, and a sheet of pairs.

    With the filter none there are none: nobody asks for them.
    """
    if params.pseudo_targets.filter == "none":
        manifest.write(out, [])
        return {"twins": 0}
    crops = manifest.kept(manifest.read(data / "crop" / stage.ABOUT / "photo" / source))
    draw = functools.partial(pseudo_target.redraw, target=pseudo_target.chosen(params, data))
    return {"twins": pairs.make(f"pseudo_targets/{source}", crops, draw, out, data, params.workers)}


if __name__ == "__main__":
    stage.main_of_source("pseudo_targets", run, load, "a name under footage: in params.yaml, or photos")
